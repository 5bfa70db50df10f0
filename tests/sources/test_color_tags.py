"""Saturated bars of all color tags have the coded levels with each decoder."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from conftest import run_ffmpeg

from vidsal.settings import Settings
from vidsal.sources import open_source

COLORS = [
    (255, 0, 0), (255, 255, 0), (0, 128, 0), (0, 0, 255), (255, 0, 255), (0, 255, 255),
    (255, 255, 255), (0, 0, 0),
]  # fmt: skip
MATRICES = {"bt601": "smpte170m", "bt709": "bt709", "bt2020": "bt2020nc"}
# (height, width) of high and of standard definition.
SIZES = {"HD": (48, 1280), "SD": (48, 320)}
TAGGED = list(product(SIZES, MATRICES, ("tv", "pc"), ("420", "422", "444"), ("p", "p10le"), [True]))
UNTAGGED = list(
    product(["HD"], ["bt709"], ["tv"], ("420", "422", "444"), ("p", "p10le"), [False])
) + list(product(["SD"], ["bt601"], ["tv"], ("420", "422", "444"), ("p", "p10le"), [False]))
# The other cases need half a minute.
CASES = [
    pytest.param(
        *case,
        marks=[] if (case[3] == "420" or not case[-1]) and case[0] == "HD" else pytest.mark.slow,
    )
    for case in TAGGED + UNTAGGED
]


def _bars(path: Path, size: tuple[int, int], matrix: str, pixels: str, tags: str) -> Path:
    height, width = size
    bar = width // len(COLORS)
    boxes = ",".join(
        f"drawbox=x={bar * n}:w={bar}:h=ih:t=fill:c=0x{red:02x}{green:02x}{blue:02x}"
        for n, (red, green, blue) in enumerate(COLORS)
    )
    color_range = "pc" if "range=pc" in tags else "tv"
    run_ffmpeg(
        "-f", "lavfi", "-i", f"color=s={width}x{height}:r=5:d=0.4,format=rgb24,{boxes}", "-vf",
        f"scale=out_color_matrix={matrix}:out_range={color_range}:flags=accurate_rnd,"
        f"format={pixels},setparams={tags}",
        "-c:v", "libx264", "-qp", "1", "-preset", "ultrafast", "-movflags", "-write_colr",
        str(path),
    )  # fmt: skip
    return path


def _largest_error(path: Path, *, is_strict: bool = False) -> tuple[int, str]:
    with open_source(path, Settings(strict=is_strict)) as source:
        rgb = next(iter(source.frames())).rgb.astype(int)
        decoder = source.findings().decoder
    bar = rgb.shape[1] // len(COLORS)
    errors = [
        np.abs(rgb[4:-4, n * bar + 8 : (n + 1) * bar - 8] - color).max()
        for n, color in enumerate(COLORS)
    ]
    return max(errors), decoder


@pytest.mark.parametrize(
    ("size", "matrix", "color_range", "subsampling", "depth", "is_tagged"), CASES
)
def test_bars_keep_their_levels(
    size: str, matrix: str, color_range: str, subsampling: str, depth: str, is_tagged: bool,
    tmp_path: Path,
) -> None:  # fmt: skip
    tags = "range=unknown:colorspace=unknown"
    if is_tagged:
        tags = f"range={color_range}:colorspace={MATRICES[matrix]}"
    path = _bars(tmp_path / "a.mp4", SIZES[size], matrix, f"yuv{subsampling}{depth}", tags)
    error, decoder = _largest_error(path)
    assert error <= 2
    # OpenCV, which is quicker, decodes whatever it converts by the right matrix.
    assert decoder == ("ffmpeg" if size == "HD" and not is_tagged else "OpenCV")


@pytest.mark.parametrize("is_strict", [False, True])
@pytest.mark.parametrize(
    ("tags", "decoder"),
    [
        ("colorspace=bt2020nc:color_primaries=bt2020:color_trc=bt2020-10", "ffmpeg"),
        ("colorspace=bt709:color_primaries=smpte432:color_trc=bt709", "ffmpeg"),
        ("colorspace=bt709:color_primaries=bt709:color_trc=bt709", "OpenCV"),
        ("colorspace=smpte170m:color_primaries=smpte170m:color_trc=smpte170m", "OpenCV"),
        ("colorspace=bt470bg:color_primaries=bt470bg:color_trc=bt470bg", "OpenCV"),
        ("colorspace=smpte240m:color_primaries=smpte240m:color_trc=smpte240m", "OpenCV"),
        ("colorspace=fcc:color_primaries=bt470m:color_trc=bt470m", "OpenCV"),
    ],
)
def test_primaries_change_no_level(
    tags: str, decoder: str, is_strict: bool, tmp_path: Path
) -> None:
    matrix = tags.partition("=")[2].partition(":")[0]
    matrix = {"smpte170m": "bt601", "bt470bg": "bt601", "bt2020nc": "bt2020"}.get(matrix, matrix)
    path = _bars(tmp_path / "a.mp4", SIZES["SD"], matrix, "yuv420p", f"{tags}:range=tv")
    error, found = _largest_error(path, is_strict=is_strict)
    assert error <= 2
    assert found == ("ffmpeg" if is_strict else decoder)


def test_grey_pictures_with_wide_primaries_are_decoded_by_ffmpeg(tmp_path: Path) -> None:
    # In the first pictures both decoders are alike; the colours come later.
    path = tmp_path / "a.mp4"
    run_ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=320x48:r=25:d=1,hue=s='if(lt(n,10),0,1)'", "-vf",
        "scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p,"
        "setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc=bt2020-10:range=tv",
        "-c:v", "libx264", str(path),
    )  # fmt: skip
    with open_source(path, Settings()) as source:
        assert len(list(source.frames())) == 25
        assert source.findings().decoder == "ffmpeg"
