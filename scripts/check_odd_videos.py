"""Decode a folder of odd videos, and compare with the known sizes and frame counts.

    python scripts/check_odd_videos.py FOLDER

FOLDER holds ``expected.csv`` with the columns file, coded_size (WxH), rotation (degrees), sar
(sample aspect ratio) and decoded_frames. An empty decoded_frames means that the file cannot be
decoded. vidsal must return every frame of a decodable file, upright and with square pixels. It must
reject another file with a one-line error. The exit code is 1 if any file fails.
"""

import argparse
import csv
import sys
from fractions import Fraction
from pathlib import Path

from vidsal.errors import VidsalError
from vidsal.settings import Settings
from vidsal.sources import open_source


def main() -> int:
    """Check each file, print one line per file, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with videos and expected.csv")
    folder = parser.parse_args().folder
    failures = 0
    with (folder / "expected.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            expected, actual = expected_result(row), decoded_result(folder / row["file"])
            is_right = actual == expected or (expected is None and isinstance(actual, str))
            failures += not is_right
            status, note = ("ok   ", "") if is_right else ("WRONG", f", expected {expected}")
            print(f"{status} {row['file']} {actual}{note}")
    print(f"{failures} wrong")
    return int(failures > 0)


def expected_result(row: dict[str, str]) -> tuple[int, int, int] | None:
    """Return the expected (frames, width, height), or None for a file that cannot be decoded."""
    if not row["decoded_frames"]:
        return None
    width, height = (int(side) for side in row["coded_size"].split("x"))
    aspect = Fraction(row["sar"] or 1)
    size = (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))
    if round(float(row["rotation"] or 0)) % 180:
        size = size[::-1]
    return int(row["decoded_frames"]), *size


def decoded_result(path: Path) -> tuple[int, int, int] | str:
    """Return the decoded (frames, width, height), or the error message."""
    try:
        with open_source(path, Settings()) as source:
            sizes = [frame.rgb.shape[:2] for frame in source.frames()]
    except VidsalError as error:
        return str(error)
    assert len(set(sizes)) == 1
    return len(sizes), sizes[0][1], sizes[0][0]


if __name__ == "__main__":
    sys.exit(main())
