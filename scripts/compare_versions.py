"""Compare the outputs of two checkouts of vidsal byte for byte.

    python scripts/compare_versions.py OLD [NEW] [--only NAME ...]

The script runs the same commands on the sample media with the code of each checkout and with this
Python: overlay, quad and side-by-side videos, a photo, ``--resume``, ``--model none``, ``evaluate``
and every help text. Decoded frames and sound, tables, maps, scores and help texts must be equal. It
prints one line per command. The exit code is 1 if anything differs.

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
    """Compare the outputs of each command, and return the exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command-line arguments; default: those of the process.

    Returns
    -------
    int
        0 if all outputs are equal, else 1.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("old", type=Path, help="a checkout of vidsal")
    parser.add_argument(
        "new", type=Path, nargs="?", default=_ROOT, help="another one (default: this one)"
    )
    parser.add_argument("--only", nargs="*", choices=list(_CASES), default=list(_CASES))
    options = parser.parse_args(arguments)
    differs = False
    for name in options.only:
        old, new = (
            _checksums(checkout.resolve(), _CASES[name]) for checkout in (options.old, options.new)
        )
        differences = list(_differences(old, new))
        differs |= bool(differences)
        print(f"{name}: {'; '.join(differences) or f'equal ({len(old)} results)'}", flush=True)
    return int(differs)


def _checksums(checkout: Path, arguments: list[str]) -> dict[str, str]:
    """Run a command with a checkout's code; return the checksum of each of its results by name."""
    with tempfile.TemporaryDirectory() as folder:
        if "data" in arguments:
            _make_data(Path(folder) / "data")
        done = subprocess.run(
            [sys.executable, "-m", "vidsal", *arguments],
            cwd=folder, capture_output=True, check=False,
            env=os.environ | {"PYTHONPATH": str(checkout), "COLUMNS": "100"},
        )  # fmt: skip
        results = {"exit code": str(done.returncode), "stdout": _sha256(done.stdout)}
        for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
            name = path.relative_to(folder).as_posix()
            if not name.startswith("data/"):
                is_video = path.suffix == ".mp4"
                results[name] = _decoded_sha256(path) if is_video else _sha256(path.read_bytes())
        return results


def _decoded_sha256(path: Path) -> str:
    """Return a checksum of a video's decoded frames, timestamps and sound."""
    checksum = hashlib.sha256()
    with av.open(str(path)) as container:
        for frame in container.decode():
            checksum.update(str(frame.pts).encode())
            checksum.update(frame.to_ndarray().tobytes())
    return checksum.hexdigest()


def _sha256(data: bytes) -> str:
    """Return the hexadecimal SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


def _differences(old: dict[str, str], new: dict[str, str]) -> Iterator[str]:
    """Yield a line for each result that differs or exists in one checkout only."""
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield f"{name} differs" if name in old and name in new else f"{name} exists in one only"


def _make_data(folder: Path) -> None:
    """Write a data set of 16 frames with masks of the square in the sample clip."""
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
