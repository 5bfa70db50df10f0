"""Pictures that are the frames of one video."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest

from vidsal.errors import UsageError, VidsalError
from vidsal.settings import Settings
from vidsal.sources import open_source
from vidsal.sources.resolve import Pictures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten pictures, each lighter than the one before."""
    shots = tmp_path / "shots"
    shots.mkdir()
    for n in range(1, 11):
        iio.imwrite(shots / f"shot{n}.png", np.full((8, 12, 3), 20 * n, np.uint8))
    return shots


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
    # Pictures of other sizes are resized to the first one.
    assert {frame.rgb.shape for frame in frames} == {(8, 12, 3)}
    with (
        pytest.raises(VidsalError, match=r"shot4\.png is a corrupt picture"),
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
    with pytest.raises(VidsalError, match=r"shot1\.png is a corrupt picture"):
        open_source(folder, Settings(sequence=True, strict=True))


def test_a_sequence_without_a_picture_in_the_part_is_one_line(folder: Path) -> None:
    with pytest.raises(VidsalError, match="none of its 10 pictures is in the wanted part"):
        open_source(folder, Settings(sequence=True, start=5))


def test_pictures_are_named_in_any_way(folder: Path) -> None:
    names: Any = [str(folder / "shot1.png"), folder / "shot2.png"]
    pictures = Pictures("shots", names)
    assert pictures == Pictures("shots", (folder / "shot1.png", folder / "shot2.png"))
    with open_source(pictures, Settings()) as source:
        assert [int(frame.rgb.mean()) for frame in source.frames()] == [20, 40]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 11}, "every=11 is too large for the 10 pictures of {folder}"),
        (
            {"every": 6, "end": 0.2},
            "every=6 is too large for the 5 pictures of {folder} in that part",
        ),
    ],
)
def test_a_step_longer_than_the_sequence_is_one_line(
    options: dict[str, Any], message: str, folder: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        open_source(folder, Settings(sequence=True, **options))
    assert str(caught.value) == message.format(folder=folder)
