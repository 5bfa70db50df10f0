"""What the words of a command line mean."""

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest

from vidsal.errors import UsageError, VidsalError
from vidsal.settings import Settings
from vidsal.sources import open_source
from vidsal.sources.resolve import Pictures, What, expand, one_source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten pictures, a video and what is neither."""
    here = tmp_path / "shots"
    here.mkdir()
    for n in range(1, 11):
        iio.imwrite(here / f"shot{n}.png", np.full((8, 12, 3), 20 * n, np.uint8))
    (here / "clip.MP4").write_bytes(b"video")
    (here / "notes.doc").write_text("no")
    (here / ".hidden.png").write_text("no")
    (here / "sub").mkdir()
    return here


def _names(found: list[What]) -> list[str]:
    return [Path(str(one)).name for one in found]


SHOTS = [f"shot{n}.png" for n in range(1, 11)]


def test_a_folder_is_its_media_in_the_order_of_people(folder: Path) -> None:
    assert _names(expand(folder)) == ["clip.MP4", *SHOTS]


def test_a_glob_is_what_matches(folder: Path) -> None:
    assert _names(expand(str(folder / "shot?.png"))) == SHOTS[:9]
    assert _names(expand(str(folder.parent / "**" / "*.MP4"))) == ["clip.MP4"]


def test_a_file_with_the_signs_of_a_glob_is_that_file(tmp_path: Path) -> None:
    path = tmp_path / "a[1].png"
    path.touch()
    assert expand(str(path)) == [str(path)]


def test_a_list_names_files_beside_it_or_anywhere(folder: Path) -> None:
    other = folder.parent / "other.mp4"
    names = folder / "list.txt"
    live = "rtsp://me@127.0.0.1//a"
    lines = ["# mine", "shot3.png", "", str(other), "  shot1.png ", "\t# not this", live, "0", "7"]
    names.write_text("\n".join(lines), encoding="utf-8-sig")
    # A number is a camera's, unless a file is called so.
    (folder / "7").touch()
    assert expand(names) == [
        folder / "shot3.png", other, folder / "shot1.png", live, "0", folder / "7",
    ]  # fmt: skip
    (one,) = expand(names, is_sequence=True)
    assert isinstance(one, Pictures) and len(one.paths) == 2


@pytest.mark.parametrize("word", [0, "rtsp://127.0.0.1/a", "http://127.0.0.1:8/*.mp4", "gone.mp4"])
def test_other_words_are_left_to_what_opens_them(word: str | int) -> None:
    assert expand(word) == [word]
    assert expand(word, is_sequence=True) == [word]


def test_pictures_of_a_sequence_are_one_source(folder: Path) -> None:
    (one,) = expand(folder, is_sequence=True)
    assert isinstance(one, Pictures)
    assert (str(one), _names(list(one.paths))) == (str(folder), SHOTS)
    (other,) = expand(str(folder / "*.png"), is_sequence=True)
    assert isinstance(other, Pictures) and (other.name, other.paths) == (str(folder), one.paths)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("sub", "there is no video or picture in this folder"),
        ("no*.mp4", "there is no file of such a name"),
        ("empty.txt", "there is no name in this list"),
        ("latin.txt", "cannot be read as a list of files"),
    ],
)
def test_a_word_that_means_nothing_is_one_line(folder: Path, word: str, says: str) -> None:
    (folder / "empty.txt").write_text("# nothing\n")
    (folder / "latin.txt").write_bytes(b"caf\xe9.mp4\n")
    with pytest.raises(VidsalError, match=says) as caught:
        expand(str(folder / word))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("word", ["", "  "])
def test_no_name_is_not_the_current_folder(word: str) -> None:
    with pytest.raises(VidsalError, match="a source without a name"):
        expand(word)


def test_no_picture_for_a_sequence_is_one_line(folder: Path) -> None:
    with pytest.raises(VidsalError, match="there is no picture for --sequence"):
        expand(str(folder / "*.MP4"), is_sequence=True)


def test_a_sequence_is_a_video_of_its_pictures(folder: Path) -> None:
    settings = Settings(sequence=True, fps="5", start=0.4, duration=1.0, every=2)  # type: ignore[arg-type]
    with open_source(folder, settings) as source:
        info = source.info
        frames = list(source.frames())
    # Every second one is shown twice as long.
    assert (info.name, info.fps, info.frame_count_hint) == (str(folder), Fraction(5, 2), 3)
    assert (info.height_px, info.width_px) == (8, 12)
    assert info.duration_s == pytest.approx(1.2)
    assert [frame.index for frame in frames] == [2, 4, 6]
    assert [frame.time_s for frame in frames] == pytest.approx([0.4, 0.8, 1.2])
    assert [int(frame.rgb.mean()) for frame in frames] == [60, 100, 140]


def test_a_bad_picture_of_a_sequence_is_left_out_or_an_error(folder: Path) -> None:
    (folder / "shot4.png").write_bytes(b"no picture")
    iio.imwrite(folder / "shot5.png", np.full((16, 24, 3), 100, np.uint8))
    with open_source(folder, Settings(sequence=True)) as source:
        frames = list(source.frames())
        assert source.findings().damaged == 1
    assert [frame.index for frame in frames] == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    # One of another size is brought to that of the first.
    assert {frame.rgb.shape for frame in frames} == {(8, 12, 3)}
    with (
        pytest.raises(VidsalError, match=r"shot4\.png is a damaged picture"),
        open_source(folder, Settings(sequence=True, strict=True)) as source,
    ):
        list(source.frames())


def test_every_nth_picture_is_counted_from_the_start(folder: Path) -> None:
    # As in a video.
    settings = Settings(sequence=True, fps="10", start=0.1, every=3)  # type: ignore[arg-type]
    with open_source(folder, settings) as source:
        assert [frame.index for frame in source.frames()] == [1, 4, 7]


def test_a_bad_first_picture_is_left_out_as_well(folder: Path) -> None:
    (folder / "shot1.png").write_bytes(b"no picture")
    with open_source(folder, Settings(sequence=True)) as source:
        assert (source.info.height_px, source.info.width_px) == (8, 12)
        assert [frame.index for frame in source.frames()] == list(range(1, 10))
        assert source.findings().damaged == 1
    with pytest.raises(VidsalError, match=r"shot1\.png is a damaged picture"):
        open_source(folder, Settings(sequence=True, strict=True))


def test_a_sequence_without_a_picture_in_the_part_is_one_line(folder: Path) -> None:
    with pytest.raises(VidsalError, match="none of its 10 pictures is in the part asked for"):
        open_source(folder, Settings(sequence=True, start=5))


def test_one_source_is_what_it_is(folder: Path) -> None:
    clip = folder / "clip.MP4"
    with os.scandir(folder) as entries:
        (entry,) = (one for one in entries if one.name == "clip.MP4")
    pictures = Pictures("shots", (folder / "shot1.png",))
    cases: list[tuple[Any, What]] = [
        (clip, clip),
        (str(clip), str(clip)),
        (entry, clip),
        (np.str_(clip), str(clip)),
        (0, 0),
        (np.int64(2), 2),
        ("0", "0"),
        ("rtsp://127.0.0.1/a", "rtsp://127.0.0.1/a"),
        ("gone.mp4", "gone.mp4"),
        (pictures, pictures),
    ]
    for given, meant in cases:
        assert one_source(given) == meant
    number: Any = np.int64(2)
    assert type(one_source(number)) is int


def test_pictures_are_named_in_any_way(folder: Path) -> None:
    names: Any = [str(folder / "shot1.png"), folder / "shot2.png"]
    pictures = Pictures("shots", names)
    assert pictures == Pictures("shots", (folder / "shot1.png", folder / "shot2.png"))
    with open_source(pictures, Settings()) as source:
        assert [int(frame.rgb.mean()) for frame in source.frames()] == [20, 40]


def test_several_names_that_mean_one_are_one_source(folder: Path) -> None:
    assert one_source(str(folder / "*.MP4")) == folder / "clip.MP4"
    (folder / "list.txt").write_text("shot3.png\n")
    assert one_source(folder / "list.txt") == folder / "shot3.png"
    (folder / "sub" / "a.mp4").touch()
    assert one_source(folder / "sub") == folder / "sub" / "a.mp4"
    shots = one_source(str(folder / "*.png"), is_sequence=True)
    assert isinstance(shots, Pictures) and len(shots.paths) == 10


def test_several_sources_are_one_line_that_says_what_takes_them(folder: Path) -> None:
    (folder / "list.txt").write_text("shot3.png\n0\n")
    for word, count in [("*.png", 10), ("", 11), ("list.txt", 2)]:
        with pytest.raises(UsageError) as caught:
            one_source(str(folder / word))
        assert str(caught.value) == (
            f"{folder / word!s} means {count} sources, one is expected: take them one by one, or "
            "all with run_all of vidsal.jobs; Settings(sequence=True) makes one video of pictures"
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
def test_what_can_be_no_source_is_told_by_its_type(given: Any, kind: str) -> None:
    with pytest.raises(UsageError) as caught:
        one_source(given)
    assert str(caught.value) == (
        "a source is a name (str or Path), the number of a camera (int) or vidsal.Pictures, got "
        f"{kind}; run_all of vidsal.jobs takes a list of sources"
    )


def test_a_path_of_bytes_is_no_source(folder: Path) -> None:
    with os.scandir(os.fsencode(folder)) as entries:
        entry = next(entries)
    with pytest.raises(UsageError, match="got DirEntry; run_all"):
        one_source(entry)  # type: ignore[arg-type]
