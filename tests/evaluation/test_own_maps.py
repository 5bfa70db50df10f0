"""Maps that vidsal wrote: they are paired with frames by position, or refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from evaluation_help import (
    ALL,
    SIZE,
    box_mask,
    mean_of,
    plain_settings,
    square_clip,
    write_photo,
    write_png,
    write_sequence,
    write_video,
)

from vidsal.errors import VidsalError
from vidsal.evaluation.evaluate import evaluate
from vidsal.pipeline import run
from vidsal.settings import Settings


def _renumbered(data: Path, clip: str, first: int, step: int = 1) -> None:
    """Number the frames of a clip from another number."""
    for kind in ("frames", "masks"):
        for path in sorted((data / clip / kind).iterdir(), reverse=True):
            path.rename(path.with_name(f"{first + step * int(path.stem):05d}.png"))


def _write_own(folder: Path, masks: list[np.ndarray], kinds: tuple[str, ...] = ("fused",)) -> None:
    for kind in kinds:
        for n, mask in enumerate(masks):
            # Only the map of the fused kind is right.
            write_png(folder / kind / f"{n:06d}.png", mask if kind == "fused" else 255 - mask)


def test_maps_of_a_run_are_scored(data: Path, tmp_path: Path) -> None:
    write_sequence(data, "a", frames=8)
    _renumbered(data, "a", first=3)
    settings = Settings(
        model="none", sequence=True, maps=tmp_path / "maps", output=tmp_path / "a.mp4"
    )
    run(data / "a" / "frames", settings, progress=False)
    against = {"us": tmp_path / "maps"}
    report = evaluate([data], plain_settings(), against=against, frames_per_clip=ALL)
    # Frame 3 is the first one, which has no motion and is not scored.
    assert report.tables[0].frames == 7
    assert mean_of(report, "us", "pixel AUC") > 0.9


@pytest.mark.parametrize("first", [0, 1, 3, 30])
@pytest.mark.parametrize("step", [1, 5])
@pytest.mark.parametrize("place", ["", "a", "fused", "a/fused"])
def test_own_maps_are_paired_by_position(
    place: str, step: int, first: int, data: Path, tmp_path: Path
) -> None:
    masks = write_sequence(data, "a", frames=10)
    _renumbered(data, "a", first, step)
    kinds = ("fused",) if place.endswith("fused") else ("static", "motion", "fused")
    folder = tmp_path / "maps" / place.removesuffix("fused")
    _write_own(folder, masks, kinds)
    given = folder / "fused" if place == "fused" else tmp_path / "maps"
    report = evaluate([data], plain_settings(), against={"us": given}, frames_per_clip=ALL)
    assert mean_of(report, "us", "pixel AUC") == 1


def test_own_maps_of_several_clips_are_in_folders_of_their_names(
    data: Path, tmp_path: Path
) -> None:
    for clip, first in (("a", 2), ("b", 30)):
        masks = write_sequence(data, clip, frames=6)
        _renumbered(data, clip, first)
        _write_own(tmp_path / "maps" / clip, masks)
    report = evaluate([data], plain_settings(), against={"us": tmp_path / "maps"})
    assert mean_of(report, "us", "pixel AUC") == 1
    # The maps of one clip are not those of all.
    with pytest.raises(VidsalError, match="us: 0 maps for frame"):
        evaluate([data], plain_settings(), against={"us": tmp_path / "maps" / "a"})


def test_own_maps_of_videos_and_photos(data: Path, tmp_path: Path) -> None:
    rows = [f"{x},{n}.5,{n},{n}" for n in range(16) for x in range(4, 90, 8)]
    write_video(data, "v", (picture for picture, _ in square_clip(16)), rows, 10)
    _write_own(tmp_path / "videos" / "v", [box_mask(np.s_[n : n + 1, :], SIZE) for n in range(16)])
    against = {"us": tmp_path / "videos"}
    report = evaluate([data], plain_settings(), against=against, frames_per_clip=ALL)
    assert mean_of(report, "us", "AUC-Judd") == pytest.approx(71.5 / 72)

    photos = tmp_path / "photos"
    for name, mask in (("cat", box_mask(np.s_[5:15, 4:20])), ("7", box_mask(np.s_[9:30, 40:60]))):
        write_photo(photos, name, mask=mask)
        _write_own(tmp_path / "own" / name, [mask])
    report = evaluate([photos], plain_settings(working_width=64), against={"us": tmp_path / "own"})
    assert mean_of(report, "us", "pixel AUC") == 1


@pytest.mark.parametrize(("first", "step", "maps"), [(30, 1, 31), (3, 1, 8), (1, 1, 8), (0, 2, 8)])
def test_maps_numbered_by_position_without_vidsals_folders_are_refused(
    first: int, step: int, maps: int, data: Path, tmp_path: Path
) -> None:
    masks = write_sequence(data, "a", frames=8)
    _renumbered(data, "a", first, step)
    for n in range(maps):
        write_png(tmp_path / "maps" / "a" / f"{n:06d}.png", masks[n % 8])
    last = first + 7 * step
    with pytest.raises(VidsalError) as caught:
        evaluate([data], plain_settings(), against={"us": tmp_path / "maps"})
    assert str(caught.value) == (
        f"us: the maps in {tmp_path / 'maps' / 'a'} are numbered 0 to {maps - 1}, and the frames "
        f"of a {first} to {last}: name each map as its frame, or keep the maps of vidsal in "
        f"{tmp_path / 'maps' / 'a' / 'fused'}"
    )


def test_maps_of_a_whole_video_are_paired_by_number(data: Path, tmp_path: Path) -> None:
    masks = write_sequence(data, "a", frames=8)
    _renumbered(data, "a", 5)
    for n in range(20):
        mask = masks[n - 5] if 5 <= n < 13 else 255 - masks[0]
        write_png(tmp_path / "maps" / "a" / f"{n}.png", mask)
    report = evaluate([data], plain_settings(), against={"them": tmp_path / "maps"})
    assert mean_of(report, "them", "pixel AUC") == 1


def test_own_maps_of_another_clip_are_refused(data: Path, tmp_path: Path) -> None:
    masks = write_sequence(data, "a", frames=6)
    _write_own(tmp_path / "maps", [*masks, *masks])
    with pytest.raises(VidsalError, match="has a map of frame 11, and a has 6 frames"):
        evaluate([data], plain_settings(), against={"us": tmp_path / "maps"})
    shutil.rmtree(tmp_path / "maps")
    _write_own(tmp_path / "maps", masks[:2])
    with pytest.raises(VidsalError, match=r"has no map of frame [2-5] of a .*counted from 0"):
        evaluate([data], plain_settings(), against={"us": tmp_path / "maps"})


def test_maps_of_both_kinds_are_refused(data: Path, tmp_path: Path) -> None:
    for n, mask in enumerate(masks := write_sequence(data, "a", frames=6)):
        write_png(tmp_path / "maps" / "a" / f"{n}.png", mask)
    _write_own(tmp_path / "maps" / "a", masks)
    with pytest.raises(VidsalError, match="may both be the maps of a: remove one of them"):
        evaluate([data], plain_settings(), against={"us": tmp_path / "maps"})


def test_frames_without_leading_zeros_are_in_the_order_of_a_run(data: Path, tmp_path: Path) -> None:
    masks = write_sequence(data, "a", frames=12)
    for kind in ("frames", "masks"):
        for path in (data / "a" / kind).iterdir():
            path.rename(path.with_name(f"{int(path.stem)}.png"))
    _write_own(tmp_path / "maps", masks)
    report = evaluate([data], plain_settings(), against={"us": tmp_path / "maps"})
    assert mean_of(report, "us", "pixel AUC") == 1
