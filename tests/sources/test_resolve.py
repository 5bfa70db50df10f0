"""Names of sources are parsed and expanded."""

import os
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest

from vidsal.errors import UsageError, VidsalError
from vidsal.settings import Settings
from vidsal.sources.resolve import (
    Pictures,
    SourceName,
    expand,
    one_source,
    parse_live,
    parse_source,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten pictures, a video, and files that are neither."""
    here = tmp_path / "shots"
    here.mkdir()
    for n in range(1, 11):
        iio.imwrite(here / f"shot{n}.png", np.full((8, 12, 3), 20 * n, np.uint8))
    (here / "clip.MP4").write_bytes(b"video")
    (here / "notes.doc").write_text("no")
    (here / ".hidden.png").write_text("no")
    (here / "sub").mkdir()
    return here


def _names(sources: list[SourceName]) -> list[str]:
    return [one.path.name for one in sources]


SHOTS = [f"shot{n}.png" for n in range(1, 11)]


def test_a_folder_is_its_media_in_natural_order(folder: Path) -> None:
    assert _names(expand(folder)) == ["clip.MP4", *SHOTS]


def test_a_glob_is_its_matches(folder: Path) -> None:
    assert _names(expand(str(folder / "shot?.png"))) == SHOTS[:9]
    assert _names(expand(str(folder.parent / "**" / "*.MP4"))) == ["clip.MP4"]


def test_a_file_named_like_a_glob_is_that_file(tmp_path: Path) -> None:
    path = tmp_path / "a[1].png"
    path.touch()
    assert expand(str(path)) == [parse_source(path)]


def test_a_list_names_files_beside_it_or_anywhere(folder: Path) -> None:
    other = folder.parent / "other.mp4"
    names = folder / "list.txt"
    live = "rtsp://me@127.0.0.1//a"
    lines = ["# mine", "shot3.png", "", str(other), "  shot1.png ", "\t# not this", live, "0", "7"]
    names.write_text("\n".join(lines), encoding="utf-8-sig")
    # A number is a camera's, unless a file is called so.
    (folder / "7").touch()
    assert [(one.kind, one.address) for one in expand(names)] == [
        ("file", str(folder / "shot3.png")), ("file", str(other)),
        ("file", str(folder / "shot1.png")), ("stream", live), ("camera", "0"),
        ("file", str(folder / "7")),
    ]  # fmt: skip
    (one,) = expand(names, is_sequence=True)
    assert one.kind == "pictures"
    assert one.pictures == (folder / "shot3.png", folder / "shot1.png")


@pytest.mark.parametrize("word", [0, "rtsp://127.0.0.1/a", "http://127.0.0.1:8/*.mp4", "gone.mp4"])
def test_other_names_are_only_parsed(word: str | int) -> None:
    assert expand(word) == [parse_source(word)]
    assert expand(word, is_sequence=True) == [parse_source(word)]


def test_pictures_of_a_sequence_are_one_source(folder: Path) -> None:
    pictures = tuple(folder / name for name in SHOTS)
    for word in (folder, folder / "*.png"):
        assert expand(word, is_sequence=True) == [
            SourceName("pictures", str(folder), str(folder), folder, pictures)
        ]


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("sub", "there is no video or picture in this folder"),
        ("no*.mp4", "there is no file that matches"),
        ("empty.txt", "there is no name in this list"),
        ("latin.txt", "cannot be read as a list of files"),
    ],
)
def test_a_name_without_a_match_is_one_line(folder: Path, word: str, says: str) -> None:
    (folder / "empty.txt").write_text("# nothing\n")
    (folder / "latin.txt").write_bytes(b"caf\xe9.mp4\n")
    with pytest.raises(VidsalError, match=says) as caught:
        expand(str(folder / word))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("word", ["", "  "])
def test_an_empty_name_is_not_the_current_folder(word: str) -> None:
    with pytest.raises(VidsalError, match="a source has an empty name"):
        expand(word)


def test_no_picture_for_a_sequence_is_one_line(folder: Path) -> None:
    with pytest.raises(VidsalError, match="there is no picture for sequence=True"):
        expand(str(folder / "*.MP4"), is_sequence=True)


def test_one_source_may_be_given_in_any_type(folder: Path) -> None:
    clip = folder / "clip.MP4"
    with os.scandir(folder) as entries:
        (entry,) = (one for one in entries if one.name == "clip.MP4")
    pictures = Pictures("shots", (folder / "shot1.png",))
    cases: list[tuple[Any, str, str]] = [
        (clip, "file", str(clip)),
        (str(clip), "file", str(clip)),
        (entry, "file", str(clip)),
        (np.str_(clip), "file", str(clip)),
        (0, "camera", "0"),
        (np.int64(2), "camera", "2"),
        ("0", "camera", "0"),
        ("rtsp://127.0.0.1/a", "stream", "rtsp://127.0.0.1/a"),
        ("gone.mp4", "file", "gone.mp4"),
        (pictures, "pictures", "shots"),
    ]
    for given, kind, address in cases:
        name = one_source(given)
        assert (name.kind, name.address) == (kind, address)
        assert type(name.address) is str
        assert one_source(name) is name
    assert one_source(pictures).pictures == pictures.paths


def test_several_names_that_mean_one_are_one_source(folder: Path) -> None:
    assert one_source(str(folder / "*.MP4")).path == folder / "clip.MP4"
    (folder / "list.txt").write_text("shot3.png\n")
    assert one_source(folder / "list.txt").path == folder / "shot3.png"
    (folder / "sub" / "a.mp4").touch()
    assert one_source(folder / "sub").path == folder / "sub" / "a.mp4"
    shots = one_source(str(folder / "*.png"), is_sequence=True)
    assert shots.kind == "pictures" and len(shots.pictures) == 10


def test_several_sources_are_one_line_with_the_way_out(folder: Path) -> None:
    (folder / "list.txt").write_text("shot3.png\n0\n")
    for word, count in [("*.png", 10), ("", 11), ("list.txt", 2)]:
        with pytest.raises(UsageError) as caught:
            one_source(str(folder / word))
        assert str(caught.value) == (
            f"{folder / word!s} means {count} sources, one is expected: pass them one by one, or "
            "all to vidsal.run_all; Settings(sequence=True) makes one video of pictures"
        )


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (["a.mp4"], "list"),
        (("a.mp4", "b.mp4"), "tuple"),
        (np.zeros((4, 6, 3), np.uint8), "ndarray"),
        (np.array(0), "ndarray"),
        (b"a.mp4", "bytes"),
        (None, "NoneType"),
        (True, "bool"),
        (np.True_, "bool"),
        (0.0, "float"),
        ({"a.mp4"}, "set"),
        (Settings(), "Settings"),
        (open, "builtin_function_or_method"),
    ],
)
def test_a_wrong_type_is_named_and_not_printed(given: Any, kind: str) -> None:
    with pytest.raises(UsageError) as caught:
        one_source(given)
    assert str(caught.value) == (
        "a source is a name (str or Path), the number of a camera (int) or vidsal.Pictures, got "
        f"{kind}; vidsal.run and vidsal.analyse also take arrays, vidsal.run_all takes names only"
    )


def test_a_path_of_bytes_is_refused(folder: Path) -> None:
    with os.scandir(os.fsencode(folder)) as entries:
        entry = next(entries)
    with pytest.raises(UsageError, match="got DirEntry; vidsal"):
        one_source(entry)  # type: ignore[arg-type]


# How one name is parsed.


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://a.b/clips/one.mp4", "one.mp4"),
        ("HTTP://a.b/one.MOV?key=1#t=2", "one.MOV"),
        ("https://a.b/my%20clip.webm", "my clip.webm"),
        ("https://a.b/..%2F..%2Fclip.mkv", "clip.mkv"),
        ("https://a.b/cat.jpg", "cat.jpg"),
        ("https://a.b/live.m3u8", ""),
        ("https://a.b/mjpg/video.cgi", ""),
        ("https://a.b.mp4", ""),
        ("rtsp://a.b/one.mp4", ""),
        ("one.mp4", ""),
        ("//[a.mp4", ""),
        ("http://[::1/a.mp4", ""),
        (0, ""),
    ],
)
def test_a_web_address_of_a_media_file_is_a_url(address: str | int, name: str) -> None:
    parsed = parse_source(address)
    assert (parsed.path.name if parsed.kind == "url" else "") == name


@pytest.mark.parametrize(
    ("given", "kind", "display_name", "stem"),
    [
        ("a/b.c.mp4", "file", "a/b.c.mp4", "b.c"),
        (Path("a/b.mp4"), "file", "a/b.mp4", "b"),
        ("7", "camera", "camera 7", "7"),
        ("007", "camera", "camera 7", "7"),
        (3, "camera", "camera 3", "3"),
        ("/dev/video3", "camera", "camera 3", "video3"),
        ("/dev/null", "file", "/dev/null", "null"),
        ("rtsp://me:secret@door.local:554/h264", "stream", "stream door.local-554",
         "streamdoor.local-554"),
        ("udp://me:s@cret@[::1]:abc", "stream", "stream --1-abc", "stream--1-abc"),
        ("http://a/b.m3u8?key=1", "stream", "stream a", "streama"),
        ("https://me:secret@a.b/c/my%20clip.mp4?key=1", "url", "https://a.b/c/my%20clip.mp4",
         "my clip"),
        ("ftp://a/b.mp4", "file", "ftp://a/b.mp4", "b"),
        (Pictures("shots/day.one", ()), "pictures", "shots/day.one", "day"),
    ],
)  # fmt: skip
def test_a_name_is_parsed_once(given: Any, kind: str, display_name: str, stem: str) -> None:
    name = parse_source(given)
    assert (name.kind, name.display_name, name.stem) == (kind, display_name, stem)
    assert "secret" not in repr(name) and "key=1" not in repr(name)


def test_a_number_is_a_file_if_one_has_this_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "7").touch()
    assert (parse_source("7").kind, parse_source(7).kind) == ("file", "camera")


@pytest.mark.parametrize(
    ("given", "is_picture"),
    [
        ("a.JPG", True),
        ("a.gif", False),
        ("https://a/b.png?w=1", True),
        ("https://a/b.mp4", False),
        ("rtsp://a/b.png", False),
        (Pictures("a.png", ()), False),
    ],
)
def test_names_of_pictures(given: Any, is_picture: bool) -> None:
    assert parse_source(given).is_named_as_picture == is_picture


@pytest.mark.parametrize(
    ("address", "kind", "display_name"),
    [
        ("7", "camera", "camera 7"),
        ("/dev/video3", "camera", "camera 3"),
        ("/dev/v4l/by-id/usb-cam", "camera", "camera usb-cam"),
        ("http://a/b.mp4", "stream", "stream a"),
    ],
)
def test_live_names(address: str, kind: str, display_name: str) -> None:
    name = parse_live(address)
    assert (name.kind, name.address, name.display_name) == (kind, address, display_name)
    assert parse_live(name) is name


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("²", "²: not a camera or a stream (a file: vidsal run ²)"),
        ("-1", "-1: not a camera or a stream (a file: vidsal run -1)"),
        ("ftp://me:secret@a/b", "ftp:// is not a stream that can be read: rtsp, http, udp, tcp, "
         "rtmp, srt can"),
    ],
)  # fmt: skip
def test_a_name_that_is_not_live_is_one_line(address: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_live(address)
    assert str(caught.value) == message
