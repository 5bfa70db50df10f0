"""Compare what two checkouts of vidsal write, byte for byte.

    python scripts/compare_versions.py OLD [NEW] [--only NAME ...]

Runs the same commands on the sample media with each checkout's code and this Python: overlay, quad
and side-by-side videos, a photo, ``--resume``, ``--model none``, ``evaluate`` and every help text.
Decoded frames and sound, tables, maps, scores and help texts must be equal. Prints one line per
command and exits with 1 where anything differs.

Needs PyAV (``pip install av``).
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import cv2
import numpy as np

_ROOT = Path(__file__).resolve().parents[1]
_MEDIA = _ROOT / "sample_media"
_CLIP, _SQUARE, _CAT = (
    str(_MEDIA / name) for name in ("chinchilla.mp4", "moving_square.mp4", "cat.jpg")
)
_LITE0 = ["--model", "lite0"]
_CASES: dict[str, list[str]] = {
    "run": ["run", _CLIP, *_LITE0, "-o", "out.mp4", "--table", "t.csv", "--maps", "maps"],
    "quad": ["run", _CLIP, *_LITE0, "--layout", "quad", "--duration", "2", "-o", "out.mp4"],
    "side-by-side": [
        "run", _CLIP, *_LITE0, "--layout", "side-by-side", "--duration", "2", "-o", "out.mp4",
    ],
    "photo": ["run", _CAT, *_LITE0, "-o", "out.png", "--table", "t.csv", "--boxes", "0.5"],
    "resume": ["run", _CLIP, *_LITE0, "--resume", "-o", "out.mp4", "--table", "t.csv"],
    "no network": ["run", _SQUARE, "--model", "none", "-o", "out.mp4", "--maps", "maps"],
    "evaluate": ["evaluate", "data", "--models", "lite0", "--json", "scores.json"],
    **{
        f"help {name}".strip(): [*([name] if name else []), "--help"]
        for name in ("", "run", "live", "evaluate", "faithfulness", "models", "doctor")
    },
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison that a command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("old", type=Path, help="a checkout of vidsal")
    parser.add_argument("new", type=Path, nargs="?", default=_ROOT, help="default: this one")
    parser.add_argument("--only", nargs="*", choices=list(_CASES), default=list(_CASES))
    asked = parser.parse_args(arguments)
    differs = False
    for name in asked.only:
        old, new = (
            _written(checkout.resolve(), _CASES[name]) for checkout in (asked.old, asked.new)
        )
        lines = list(_differences(old, new))
        differs |= bool(lines)
        print(f"{name}: {'; '.join(lines) or f'equal ({len(old)} results)'}", flush=True)
    return int(differs)


def _written(checkout: Path, words: list[str]) -> dict[str, str]:
    """Return a checksum of each result of a command, by name."""
    with tempfile.TemporaryDirectory() as folder:
        if "data" in words:
            _make_data(Path(folder) / "data")
        done = subprocess.run(
            [sys.executable, "-m", "vidsal", *words],
            cwd=folder, capture_output=True, check=False,
            env=os.environ | {"PYTHONPATH": str(checkout), "COLUMNS": "100"},
        )  # fmt: skip
        results = {"exit code": str(done.returncode), "stdout": _sum(done.stdout)}
        files = sorted(one for one in Path(folder).rglob("*") if one.is_file())
        for path in files:
            name = path.relative_to(folder).as_posix()
            if not name.startswith("data/"):
                results[name] = _decoded(path) if path.suffix == ".mp4" else _sum(path.read_bytes())
        return results


def _decoded(path: Path) -> str:
    """Return a checksum of the pictures, their times and the sound of a video."""
    total = hashlib.sha256()
    with av.open(str(path)) as container:
        for frame in container.decode():
            total.update(str(frame.pts).encode())
            total.update(frame.to_ndarray().tobytes())
    return total.hexdigest()


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _differences(old: dict[str, str], new: dict[str, str]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield f"{name} differs" if name in old and name in new else f"{name} is in one only"


def _make_data(folder: Path) -> None:
    """Write a sequence with masks: the square of the sample clip is the object."""
    for kind in ("frames", "masks"):
        (folder / "square" / kind).mkdir(parents=True)
    video = cv2.VideoCapture(_SQUARE)
    for number in range(16):
        is_read, picture = video.read()
        assert is_read
        bright = np.asarray(picture.max(axis=2) > 200, np.uint8) * 255
        for kind, image in (("frames", picture), ("masks", bright)):
            cv2.imwrite(str(folder / "square" / kind / f"{number:05d}.png"), image)


if __name__ == "__main__":
    sys.exit(main())
