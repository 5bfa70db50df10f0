"""The filters that pictures need, chosen by the description of their stream."""

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import run_ffmpeg

from vidsal.media import ffmpeg
from vidsal.media.headers import display_orientation
from vidsal.media.probe import VideoStream
from vidsal.sources.filters import PictureTraits, picture_filters, reason_against_opencv

SQUARE = (
    "scale='if(between(sar,1,10),round(iw*sar),iw)':'if(between(sar,0.1,1),round(ih/sar),ih)'"
    ":flags=bicubic+full_chroma_int"
)


def _line(pixels: str, codec: str = "h264", size: str = "1280x720") -> str:
    return f"Stream #0:0[0x100]: Video: {codec} (High), {pixels}, {size} [SAR 1:1 DAR 16:9], 25 fps"


def _stream(**changes: Any) -> VideoStream:
    values: dict[str, Any] = {
        "codec": "h264", "coded_px": (48, 64), "rotation_deg": 0, "sample_aspect": Fraction(1),
        "is_hdr": False, "missing_hdr_tags": (), "lacks_matrix": False, "is_interlaced": False,
        "times_s": np.arange(3) / 25, "has_times": True, "rate": Fraction(25),
        "is_variable": False, "end_s": 0.12, "corrupt_packets": 0, "ends_corrupt": False,
    }  # fmt: skip
    return VideoStream(**values | changes)


def test_plain_pictures_are_only_scaled_to_square_pixels() -> None:
    assert picture_filters(PictureTraits()) == [SQUARE, "setsar=1"]
    assert picture_filters(PictureTraits(), (48, 64)) == [
        "scale=64:48:flags=bicubic+full_chroma_int", "setsar=1",
    ]  # fmt: skip


def test_filters_come_in_their_order() -> None:
    filters = picture_filters(
        PictureTraits(
            is_hdr=True,
            missing_hdr_tags=("colorspace", "color_primaries"),
            lacks_matrix=True,
            may_be_interlaced=True,
        )
    )
    assert filters[:2] == [
        "bwdif=send_frame:auto:interlaced",
        "setparams=colorspace=bt2020nc:color_primaries=bt2020",
    ]
    assert "tonemap" in filters[2]
    assert filters[3:] == [f"{SQUARE}:in_color_matrix=bt709", "setsar=1"]


@pytest.mark.parametrize(
    ("line", "codec", "traits"),
    [
        (_line("yuv420p(tv, bt709, progressive)"), "h264", PictureTraits()),
        (_line("yuv420p(progressive)"), "h264", PictureTraits(lacks_matrix=True)),
        (_line("yuv420p(progressive)", size="720x576"), "h264", PictureTraits()),
        (_line("yuv420p(tv)", "vp8"), "vp8", PictureTraits()),
        (_line("yuvj420p(pc, bt470bg/unknown/unknown)", "mjpeg"), "mjpeg", PictureTraits()),
        (
            _line("yuv420p(tv, bt709, top first)", "hevc"),
            "hevc",
            PictureTraits(may_be_interlaced=True),
        ),
        (_line("yuv420p(tv, bt709)"), "h264", PictureTraits(may_be_interlaced=True)),
        (_line("yuv420p(tv, bt709)", "hevc"), "hevc", PictureTraits()),
        (
            _line("yuv420p(tv, bt709, progressive)", "mpeg2video"),
            "mpeg2video",
            PictureTraits(may_be_interlaced=True),
        ),
        (
            _line("yuv420p10le(tv, bt2020nc/bt2020/smpte2084)", "hevc"),
            "hevc",
            PictureTraits(is_hdr=True),
        ),
        (
            _line("yuv420p10le(tv, unknown/bt2020/arib-std-b67)", "hevc", "640x360"),
            "hevc",
            PictureTraits(is_hdr=True, missing_hdr_tags=("colorspace",)),
        ),
        ("", "", PictureTraits()),
    ],
)
def test_traits_of_a_live_stream(line: str, codec: str, traits: PictureTraits) -> None:
    assert PictureTraits.of_live(line, codec) == traits


def test_traits_of_a_file() -> None:
    stream = _stream(is_hdr=True, missing_hdr_tags=("colorspace",), lacks_matrix=True)
    assert PictureTraits.of_file(stream, may_be_interlaced=True) == PictureTraits(
        is_hdr=True, missing_hdr_tags=("colorspace",), lacks_matrix=True, may_be_interlaced=True
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"is_hdr": True}, "HDR"),
        ({"lacks_matrix": True}, "BT.709 without a tag"),
        ({"has_wide_gamut": True}, "primaries"),
    ],
)
def test_opencv_decodes_what_it_converts_right(changes: dict[str, Any], reason: str) -> None:
    found = reason_against_opencv(_stream(**changes), may_be_interlaced=False)
    assert (reason in found) if reason else not found
    assert "interlaced" in reason_against_opencv(_stream(), may_be_interlaced=True)


@pytest.fixture(scope="module")
def plain_h264(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of two pictures without an orientation."""
    path = tmp_path_factory.mktemp("h264") / "plain.h264"
    run_ffmpeg(
        "-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=0.08", "-c:v", "libx264", "-bf", "0", str(path)
    )
    return path


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("rotation", "flips"),
    [
        one
        for one in itertools.product(
            (0, 90, 180, 270), ("", "horizontal", "vertical", "horizontal+vertical")
        )
        if one != (0, "")
    ],
)
def test_orientation_filters_turn_as_ffmpeg_itself_does(
    rotation: int, flips: str, plain_h264: Path, tmp_path: Path
) -> None:
    turned, by_ffmpeg, by_filters = (
        tmp_path / name for name in ("turned.h264", "ffmpeg.rgb", "filters.rgb")
    )
    asked = f"h264_metadata=display_orientation=insert:rotate={rotation}"
    asked += f":flip={flips}" * bool(flips)
    run_ffmpeg("-i", str(plain_h264), "-c", "copy", "-bsf:v", asked, str(turned))
    orientation = display_orientation(ffmpeg.trace_headers(turned))
    filters = picture_filters(PictureTraits(orientation=orientation))
    to_rgb = ("-frames:v", "1", "-pix_fmt", "rgb24", "-f", "rawvideo")
    scale = ",".join(picture_filters(PictureTraits()))
    run_ffmpeg("-i", str(turned), "-vf", scale, *to_rgb, str(by_ffmpeg))
    run_ffmpeg("-i", str(plain_h264), "-vf", ",".join(filters), *to_rgb, str(by_filters))
    ours, theirs = (np.fromfile(path, np.uint8).astype(int) for path in (by_filters, by_ffmpeg))
    # A flip and a rotation round chroma in another order than one transposition does.
    assert np.abs(ours - theirs).max() <= 6
