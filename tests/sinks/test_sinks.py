"""The sinks of a run: all files appear or none, and their names are checked first."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from sink_help import FILM, kill_ffmpeg, make_info, make_picture, make_saliency, names_in

from vidsal.errors import UsageError, VidsalError
from vidsal.runtime.atomic_write import write_text
from vidsal.settings import Settings
from vidsal.sinks import claim_outputs, open_sinks, output_path, require_apart
from vidsal.types import SourceInfo

pytestmark = pytest.mark.usefixtures("own_folder")


# All sinks together, and their file names


def test_all_sinks_fail_together(tmp_path: Path) -> None:
    settings = Settings(table=tmp_path / "t.csv", maps=tmp_path / "maps")
    with (
        pytest.raises(VidsalError, match="ffmpeg failed"),
        open_sinks(make_info(), settings, tmp_path / "o.mp4") as sinks,
    ):
        sinks.write(make_saliency(), make_picture(0))
        sinks.write(make_saliency(1), make_picture(1))
        kill_ffmpeg()
    assert names_in(tmp_path) == []


def test_all_sinks_succeed_together(tmp_path: Path) -> None:
    settings = Settings(table=tmp_path / "t.csv", maps=tmp_path / "maps")
    with open_sinks(make_info(), settings, tmp_path / "o.mp4") as sinks:
        sinks.write(make_saliency(), make_picture(0))
        # Nothing at the final names before the end.
        assert not any((tmp_path / name).exists() for name in ("o.mp4", "t.csv", "maps"))
    assert {"o.mp4", "t.csv", "maps", "maps/fused/000000.png"} <= set(names_in(tmp_path))
    assert not [name for name in names_in(tmp_path) if name.startswith(".")]


@pytest.mark.parametrize(
    ("info", "given", "expected"),
    [
        (SourceInfo("some/dir/clip.v2.mov", 4, 4, FILM), None, "clip.v2_saliency.mp4"),
        (SourceInfo("some/photo.jpg", 4, 4, None), None, "photo_saliency.png"),
        (SourceInfo("camera 0", 4, 4, FILM, is_live=True), None, "camera0_saliency.mp4"),
        (SourceInfo("a.mov", 4, 4, FILM), "x/y.MP4", "x/y.MP4"),
        (SourceInfo("a.jpg", 4, 4, None), "x/y.jpeg", "x/y.jpeg"),
    ],
)
def test_output_path(info: SourceInfo, given: str | None, expected: str) -> None:
    output = Path(given) if given else None
    assert output_path(info, Settings(output=output)) == Path(expected)


@pytest.mark.parametrize(
    ("codec", "expected"),
    [("av1", "a_saliency.mp4"), ("prores", "a_saliency.mov"), ("ffv1", "a_saliency.mkv")],
)
def test_a_name_that_nobody_gave_fits_the_codec(codec: Any, expected: str, tmp_path: Path) -> None:
    info, settings = SourceInfo("a.avi", 48, 64, FILM), Settings(codec=codec)
    assert claim_outputs(info, settings) == Path(expected)


def test_a_link_means_what_it_names(tmp_path: Path) -> None:
    real, link = tmp_path / "elsewhere.mp4", tmp_path / "o.mp4"
    link.symlink_to(real)
    assert claim_outputs(make_info(), Settings(output=link)) == real
    real.write_bytes(b"precious")
    with pytest.raises(VidsalError, match=r"elsewhere\.mp4 exists: give another name"):
        claim_outputs(make_info(), Settings(output=link))


def test_a_link_to_itself_is_replaced(tmp_path: Path) -> None:
    link = tmp_path / "t.csv"
    link.symlink_to(link)
    claim_outputs(make_info(), Settings(output=tmp_path / "o.mp4", table=link))
    write_text(link, "words")
    assert not link.is_symlink() and link.read_text() == "words"


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".gif", ".GIF"])
def test_output_is_claimed_in_every_container(suffix: str, tmp_path: Path) -> None:
    output = tmp_path / f"o{suffix}"
    assert claim_outputs(make_info(), Settings(output=output)) == output
    output.write_bytes(b"precious")
    with pytest.raises(VidsalError, match="exists: give another name"):
        claim_outputs(make_info(), Settings(output=output))


@pytest.mark.parametrize(
    ("fps", "given", "says"),
    [
        (FILM, "o.avi", r"output='o\.avi': a video is written as \.mp4"),
        (FILM, "o", r"output='o': a video is written as \.mp4"),
        (FILM, "o.png", r"a video is written as \.mp4"),
        (None, "o.mp4", r"a photo is written as \.png or \.jpg or \.jpeg"),
    ],
)
def test_output_of_another_kind(fps: Fraction | None, given: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        output_path(make_info(fps), Settings(output=Path(given)))


def _claims(folder: Path, **options: Any) -> Path:
    (folder / "source.mp4").write_bytes(b"the source")
    info = SourceInfo(str(folder / "source.mp4"), 48, 64, FILM)
    return claim_outputs(info, Settings(**options))


def test_no_result_is_the_source_or_one_of_its_files(tmp_path: Path) -> None:
    one, two = tmp_path / "1.png", tmp_path / "2.png"
    for path in (one, two):
        path.touch()
    (tmp_path / "link.png").symlink_to(two)
    files = (str(one), str(two))
    require_apart(str(tmp_path), tmp_path / "new.png", files)
    with pytest.raises(VidsalError, match=r"1\.png is the source itself: give another name"):
        require_apart(str(one), one)
    for name in ("2.png", "link.png"):
        with pytest.raises(VidsalError, match=rf"{name} is a file of the source"):
            require_apart(str(tmp_path / "*.png"), tmp_path / name, files)
    # An address is no file, however long it is.
    require_apart("https://host/" + "x" * 300, one)


def test_claims_are_checked_before_any_work(tmp_path: Path) -> None:
    assert _claims(tmp_path, output=tmp_path / "o.mp4") == tmp_path / "o.mp4"
    # The check makes no folder: the sinks do.
    assert _claims(tmp_path, output=tmp_path / "new" / "o.mp4") == tmp_path / "new" / "o.mp4"
    assert names_in(tmp_path) == ["source.mp4"]
    source = tmp_path / "source.mp4"
    (tmp_path / "t.csv").write_text("old")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"output": source}, "exists"),
        ({"output": source, "overwrite": True}, "is the source itself"),
        ({"output": tmp_path / "o.mp4", "table": source, "overwrite": True}, "the source itself"),
        ({"output": tmp_path / "o.mp4", "table": tmp_path / "t.csv"}, r"t\.csv exists"),
        (
            {"output": tmp_path / "o.mp4", "table": tmp_path / "o.mp4"},
            r"output= and table= both name .*o\.mp4",
        ),
        ({"output": tmp_path / "t.csv" / "o.mp4"}, r"t\.csv is not a folder: give another name"),
        (
            {"output": tmp_path / "t.csv" / "no" / "o.mp4"},
            r"o\.mp4: .*t\.csv is not a folder: give another name",
        ),
        ({"output": tmp_path / "o.mp4", "maps": tmp_path / "t.csv"}, r"t\.csv is a file"),
        ({"output": tmp_path / "o.mp4", "table": tmp_path}, "is a folder: give the name of a file"),
    ]
    for options, says in cases:
        with pytest.raises(VidsalError, match=says):
            _claims(tmp_path, **options)
    assert source.read_bytes() == b"the source"
    assert (tmp_path / "t.csv").read_text() == "old"
    assert names_in(tmp_path) == ["source.mp4", "t.csv"]
