"""Maps of other programs: how their files are found, read and scored."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import run_ffmpeg
from evaluation_help import (
    ALL,
    GAZE,
    MASKS,
    SIZE,
    box_mask,
    mean_of,
    plain_settings,
    points_around,
    rows_of,
    square_clip,
    write_photo,
    write_png,
    write_sequence,
    write_video,
)
from numpy.typing import NDArray

from vidsal.errors import VidsalError
from vidsal.evaluation import metrics
from vidsal.evaluation.evaluate import evaluate


def test_maps_equal_to_the_masks_score_best(data: Path, theirs: Path) -> None:
    for n, mask in enumerate(write_sequence(data, frames=6)):
        # Named by number, with other zeros; one is larger, one darker, one has 16 bits.
        shown: NDArray[Any] = mask
        if n == 2:
            shown = cv2.resize(mask, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
        elif n == 3:
            shown = mask // 3
        elif n == 4:
            shown = mask * np.uint16(200)
        write_png(theirs / "a" / f"{n:03d}.png", shown)
    write_png(theirs / "a" / "99.png", 255 - mask)
    against = {"theirs": theirs, "again": theirs}
    report = evaluate([data], plain_settings(), against=against, frames_per_clip=ALL)
    assert rows_of(report)[-2:] == ["theirs", "again"]
    for measure in MASKS:
        best = 0 if measure == "MAE" else 1
        assert mean_of(report, "theirs", measure) == pytest.approx(best, abs=1e-6)
        assert mean_of(report, "again", measure) == mean_of(report, "theirs", measure)


def test_maps_equal_to_the_density_score_best(data: Path, theirs: Path) -> None:
    for name, place in (("a", (0.3, 0.3)), ("b", (0.6, 0.8))):
        points = points_around(*place)
        write_photo(data, name, points=points)
        density = metrics.density(points, (48, 64))
        write_png(theirs / f"{name}.png", np.asarray(density / density.max() * 65535, np.uint16))
    report = evaluate([data], plain_settings(working_width=64), against={"theirs": theirs})
    assert list(report.tables[0].rows["theirs"]) == GAZE
    for measure, best in {"CC": 1, "SIM": 1, "KL": 0, "sAUC": 1}.items():
        assert mean_of(report, "theirs", measure) == pytest.approx(best, abs=2e-3)
    for measure, least in {"NSS": 3.0, "AUC-Judd": 0.95}.items():
        assert mean_of(report, "theirs", measure) > least


def test_maps_of_videos_are_named_by_the_number_of_the_frame(data: Path, theirs: Path) -> None:
    for n in range(16):
        # The fixations and the map of frame n are in row n.
        write_png(theirs / "a" / f"{n}.png", box_mask(np.s_[n : n + 1, :], SIZE))
    rows = [f"{x},{n}.5,{n},{n}" for n in range(16) for x in range(4, 90, 8)]
    write_video(data, "a", (picture for picture, _ in square_clip(16)), rows, 10)
    report = evaluate([data], plain_settings(), against={"theirs": theirs}, frames_per_clip=ALL)
    (table,) = report.tables
    # The first half second, five frames, is not scored.
    assert (table.clips, table.frames) == (1, 11)
    # 71 of 72 rows are below the bright one, which ties with itself.
    assert mean_of(report, "theirs", "AUC-Judd") == pytest.approx(71.5 / 72)


def test_a_given_density_is_what_maps_are_compared_with(data: Path, theirs: Path) -> None:
    given = np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))
    (data / "video").mkdir()
    run_ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10", "-frames:v", "8", "-c:v", "ffv1",
        str(data / "video" / "1.mkv"),
    )  # fmt: skip
    for n in range(1, 9):
        write_png(data / "annotation" / "0001" / "fixation" / f"{n}.png", box_mask(np.s_[3:6, 3:6]))
        write_png(data / "annotation" / "0001" / "maps" / f"{n}.png", given)
        write_png(theirs / "1" / f"{n:04d}.png", given)
    report = evaluate([data], plain_settings(working_width=64), against={"theirs": theirs})
    assert report.tables[0].frames == 3
    for measure, best in {"CC": 1, "SIM": 1, "KL": 0}.items():
        assert mean_of(report, "theirs", measure) == pytest.approx(best, abs=1e-5)
    # The fixations are elsewhere.
    assert mean_of(report, "theirs", "NSS") < -1


def test_maps_of_photos_are_found_by_name_and_by_number(data: Path, theirs: Path) -> None:
    left, right = box_mask(np.s_[10:30, 4:20]), box_mask(np.s_[10:30, 40:60])
    for name, mask in (("cat", left), ("007", right)):
        write_photo(data, name, mask=mask)
    write_png(theirs / "cat.png", left)
    write_png(theirs / "7.png", right)
    report = evaluate([data], plain_settings(working_width=64), against={"theirs": theirs})
    assert mean_of(report, "theirs", "pixel AUC") == 1


def test_a_larger_map_is_averaged(data: Path, theirs: Path) -> None:
    mask = box_mask(np.s_[10:30, 4:20])
    write_photo(data, "a", mask=mask)
    # One of 64 pixels is bright, in the corner of the area that becomes one pixel.
    large = np.zeros((8 * 48, 8 * 64), np.uint8)
    large[::8, ::8] = mask
    write_png(theirs / "a.png", large)
    report = evaluate([data], plain_settings(working_width=64), against={"theirs": theirs})
    assert mean_of(report, "theirs", "pixel AUC") == 1


@pytest.mark.parametrize("what", ["missing", "twice", "no clip"])
def test_a_missing_or_repeated_map_is_one_line(what: str, data: Path, theirs: Path) -> None:
    for n, mask in enumerate(write_sequence(data, "bear", frames=4)):
        write_png(theirs / "bear" / f"{n}.png", mask)
    count, frame = 0, "00002"
    if what == "missing":
        (theirs / "bear" / "2.png").unlink()
    elif what == "twice":
        count = 2
        write_png(theirs / "bear" / "002.png", mask)
    else:
        (theirs / "bear").rename(theirs / "dog")
        frame = "00001"
    with pytest.raises(VidsalError) as caught:
        evaluate([data], plain_settings(), against={"name of row": theirs}, frames_per_clip=ALL)
    assert str(caught.value).startswith(
        f"name of row: {count} maps for frame {frame} of bear in {theirs / 'bear'}, expected one"
    )
    assert "\n" not in str(caught.value)


def test_a_map_that_cannot_be_read_is_one_line(data: Path, theirs: Path) -> None:
    write_photo(data, "a", mask=box_mask(np.s_[10:30, 4:20]))
    (theirs / "a.png").write_text("no picture")
    with pytest.raises(VidsalError) as caught:
        evaluate([data], plain_settings(), against={"theirs": theirs})
    assert str(caught.value) == f"{theirs / 'a.png'} cannot be read as a picture"
