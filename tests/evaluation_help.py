"""Helpers for tests of the evaluation: clips and photos with ground truth, and their scores."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from conftest import run_ffmpeg
from numpy.typing import NDArray

from vidsal.evaluation.report import EvaluationReport
from vidsal.settings import Settings
from vidsal.types import Rgb

SIZE = (72, 96)
SIDE = 24
ALL = 1000
GAZE = ["NSS", "AUC-Judd", "sAUC", "CC", "SIM", "KL"]
MASKS = ["pixel AUC", "max-F", "max-F of mean", "J", "S-measure", "pointing", "MAE"]

Grey = NDArray[np.uint8]
Points = NDArray[np.float64]


def plain_settings(**options: Any) -> Settings:
    given: dict[str, Any] = {
        "model": "none", "working_width": 96, "samples": 16, "static_every": 1, "sizes": "1",
    }  # fmt: skip
    return Settings(**given | options)


def write_png(path: Path, picture: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)


def _texture(rng: np.random.Generator, size: tuple[int, int], low: int, high: int) -> Rgb:
    small = rng.integers(low, high, (size[0] // 4 + 1, size[1] // 4 + 1, 3), np.uint8)
    return np.asarray(cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def square_clip(
    frames: int, *, speed: int = 2, pan: int = 0, top: int = 24, left: int = 8, seed: int = 0
) -> Iterator[tuple[Rgb, Grey]]:
    """Yield pictures of a bright square on a dark background, and the masks of the square.

    The square moves by `speed` and the background by `pan` pixels a frame.
    """
    rng = np.random.default_rng(seed)
    ground = _texture(rng, (SIZE[0], SIZE[1] + pan * frames), 20, 110)
    square = _texture(rng, (SIDE, SIDE), 150, 250)
    for n in range(frames):
        picture, mask = ground[:, pan * n :][:, : SIZE[1]].copy(), np.zeros(SIZE, np.uint8)
        inside = np.s_[top : top + SIDE, left + speed * n : left + speed * n + SIDE]
        picture[inside], mask[inside] = square, 255
        yield picture, mask


def write_sequence(folder: Path, name: str = "a", *, frames: int = 25, **how: int) -> list[Grey]:
    """Write such a clip as pictures with masks; return the masks."""
    masks = []
    for n, (picture, mask) in enumerate(square_clip(frames, **how)):
        write_png(folder / name / "frames" / f"{n:05d}.png", picture[..., ::-1])
        write_png(folder / name / "masks" / f"{n:05d}.png", mask)
        masks.append(mask)
    return masks


def write_video(
    folder: Path, name: str, pictures: Iterable[Rgb], rows: Iterable[str], rate: int
) -> None:
    """Write a lossless video and its table of fixations."""
    for part in ("videos", "fixations"):
        (folder / part).mkdir(exist_ok=True)
    (folder / "fixations" / f"{name}.csv").write_text(
        "\n".join(["x,y,first_frame,last_frame", *rows])
    )
    raw = folder.parent / f"raw {name}"
    for n, picture in enumerate(pictures):
        write_png(raw / f"{n:05d}.png", picture[..., ::-1])
    run_ffmpeg(
        "-framerate", str(rate), "-i", str(raw / "%05d.png"), "-c:v", "ffv1",
        str(folder / "videos" / f"{name}.mkv"),
    )  # fmt: skip


def write_photo(
    folder: Path, name: str, *, mask: Grey | None = None, points: Points | None = None
) -> None:
    """Write a dark photo of 48 x 64 that is bright on its mask, with mask and fixations."""
    picture = np.full((48, 64, 3), 30, np.uint8)
    if mask is not None:
        picture[mask > 0] = 220
        write_png(folder / "masks" / f"{name}.png", mask)
    if points is not None:
        table = folder / "fixations" / f"{name}.csv"
        table.parent.mkdir(parents=True, exist_ok=True)
        rows = "".join(f"{column * 64},{row * 48}\n" for row, column in points)
        table.write_text("x,y\n" + rows)
    write_png(folder / "images" / f"{name}.png", picture)


def box_mask(inside: tuple[slice, slice], size: tuple[int, int] = (48, 64)) -> Grey:
    mask = np.zeros(size, np.uint8)
    mask[inside] = 255
    return mask


def points_around(row: float, column: float, *, count: int = 12) -> Points:
    """Return fixations around a place."""
    return np.random.default_rng(0).normal((row, column), 0.03, (count, 2))


def mean_of(report: EvaluationReport, row: str, measure: str) -> float:
    (table,) = report.tables
    return table.rows[row][measure].mean


def rows_of(report: EvaluationReport) -> list[str]:
    (table,) = report.tables
    return list(table.rows)
