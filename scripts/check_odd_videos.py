"""Read a folder of odd videos, and compare with what other decoders make of them.

    python scripts/check_odd_videos.py FOLDER

FOLDER holds ``expected.csv`` with the columns file, coded_size (WxH), rotation, sar, and
decoded_frames (empty for a file that cannot be read). A file that can be read must give so many
frames, upright and with square pixels; another one must be told in one line.
"""

import csv
import sys
from fractions import Fraction
from pathlib import Path

from vidsal.errors import VidsalError
from vidsal.settings import Settings
from vidsal.sources import open_source


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    folder, wrong = Path(sys.argv[1]), 0
    with (folder / "expected.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            meant, found = expected(row), seen(folder / row["file"])
            good = found == meant or (meant is None and isinstance(found, str))
            wrong += not good
            print("ok   " if good else "WRONG", row["file"], found, "" if good else f"not {meant}")
    print(f"{wrong} wrong")
    return 1 if wrong else 0


def expected(row: dict[str, str]) -> tuple[int, int, int] | None:
    """Return frames, width and height as they should come; None for no video."""
    if not row["decoded_frames"]:
        return None
    width, height = (int(side) for side in row["coded_size"].split("x"))
    aspect = Fraction(row["sar"] or 1)
    size = (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))
    if round(float(row["rotation"] or 0)) % 180:
        size = size[::-1]
    return int(row["decoded_frames"]), *size


def seen(path: Path) -> tuple[int, int, int] | str:
    """Return frames, width and height as they come, or why none do."""
    try:
        with open_source(path, Settings()) as source:
            sizes = [frame.rgb.shape[:2] for frame in source.frames()]
    except VidsalError as error:
        return str(error)
    assert len(set(sizes)) == 1
    return len(sizes), sizes[0][1], sizes[0][0]


if __name__ == "__main__":
    sys.exit(main())
