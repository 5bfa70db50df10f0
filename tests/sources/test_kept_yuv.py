"""Files whose luma and chroma are kept as they are, and those that are converted."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from conftest import MakeClip, run_ffmpeg

import vidsal
from vidsal import Settings
from vidsal.media import ffmpeg
from vidsal.media.probe import inspect
from vidsal.settings import SourceOptions
from vidsal.sources.decoders import is_kept_yuv
from vidsal.sources.video import VideoSource
from vidsal.types import Frame
from vidsal.yuv import Yuv420


def _coded(matrix: str, levels: str, filters: str = "") -> list[str]:
    """Return ffmpeg's arguments for pictures of a matrix and a range, and their tags."""
    scale = f"{filters}scale=out_color_matrix={matrix}:out_range={levels}"
    return ["-vf", scale, "-colorspace", matrix, "-color_range", levels]


BT709 = _coded("bt709", "tv")
# Only ffmpeg reports corrupt frames, so that it decodes.
STRICT = SourceOptions(strict=True)


def _frames(path: Path, options: SourceOptions = STRICT) -> list[Frame]:
    with VideoSource(path, options) as source:
        return list(source.frames())


def _raw(path: Path, pixel_format: str = "yuv420p") -> np.ndarray:
    """Return the frames of a file as ffmpeg writes them, (frames, bytes) uint8."""
    done = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(path), "-f", "rawvideo",
         "-pix_fmt", pixel_format, "-"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    count = len(done.stdout) // (len(_frames(path)))
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, count)


def _chroma(path: Path) -> set[str]:
    """Return the places of chroma samples by the tables E-1 of H.264 and E.3 of H.265."""
    headers = ffmpeg.trace_headers(path)
    return set(re.findall(r"chroma_sample_loc_type_top_field\s+[01]+ = (\d)", headers))


def settings_for(output: Path) -> Settings:
    return Settings(output=output, model="none", annotate=False, quality=100)


def test_planes_are_those_of_the_file(make_clip: MakeClip) -> None:
    path = make_clip(frames=6, options=BT709)
    frames = _frames(path)
    for frame, expected in zip(frames, _raw(path), strict=True):
        assert isinstance(frame.yuv, Yuv420)
        assert np.array_equal(frame.yuv.data, expected)


def test_a_high_definition_file_without_tags_is_kept(make_clip: MakeClip) -> None:
    path = make_clip(size=(96, 1280), frames=3)
    # Without being strict: OpenCV would read it as BT.601.
    for frame, expected in zip(_frames(path, SourceOptions()), _raw(path), strict=True):
        assert isinstance(frame.yuv, Yuv420)
        assert np.array_equal(frame.yuv.data, expected)


def test_a_turned_file_is_kept_and_turned(make_clip: MakeClip, tmp_path: Path) -> None:
    path = make_clip(frames=3, options=BT709)
    turned = tmp_path / "turned.mp4"
    run_ffmpeg("-display_rotation", "90", "-i", str(path), "-c", "copy", str(turned))
    for frame, upright in zip(_frames(turned), _frames(path), strict=True):
        assert isinstance(frame.yuv, Yuv420) and isinstance(upright.yuv, Yuv420)
        assert frame.size_px == (64, 48)
        assert upright.yuv.is_left and not frame.yuv.is_left
        for plane, other in zip(frame.yuv.planes, upright.yuv.planes, strict=True):
            assert np.array_equal(plane, np.rot90(other))


@pytest.mark.parametrize(
    "options",
    [
        [], _coded("smpte170m", "tv"), _coded("bt709", "pc"), [*BT709, "-pix_fmt", "yuv444p"],
        [*BT709, "-pix_fmt", "yuv422p"], [*BT709, "-pix_fmt", "yuv420p10le"],
        [*BT709, "-aspect", "2"],
    ],
    ids=["untagged SD", "BT.601", "full range", "4:4:4", "4:2:2", "10 bit", "wide pixels"],
)  # fmt: skip
def test_other_files_become_rgb(options: list[str], make_clip: MakeClip) -> None:
    path = make_clip(frames=2, options=options)
    picture = inspect(path).picture
    assert picture is not None and not is_kept_yuv(picture)
    assert [frame.yuv for frame in _frames(path)] == [None, None]


def test_odd_sides_become_rgb(tmp_path: Path) -> None:
    path = tmp_path / "odd.mkv"
    run_ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25", "-frames:v", "2",
        *_coded("bt709", "tv", "scale=63:48,setsar=1,"), "-c:v", "ffv1", "-pix_fmt", "yuv420p",
        str(path),
    )  # fmt: skip
    frames = _frames(path)
    assert [frame.yuv for frame in frames] == [None, None]
    assert frames[0].size_px == (48, 63)


@pytest.mark.parametrize(
    "other",
    [
        _coded("bt709", "pc"), _coded("smpte170m", "tv"), [*BT709, "-pix_fmt", "yuv444p"],
        _coded("bt709", "tv", "scale=32:24,"),
    ],
    ids=["full range", "BT.601", "4:4:4", "another size"],
)  # fmt: skip
def test_a_later_part_with_other_colours_gets_those_of_the_first(
    other: list[str], make_clip: MakeClip, tmp_path: Path
) -> None:
    picture = "color=0xc06030"
    parts = [
        make_clip(f"{n}.ts", frames=10, options=options, picture=picture)
        for n, options in enumerate((list(BT709), other))
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames = _frames(joined, SourceOptions(strict=False))
    assert len(frames) >= 18 and all(frame.yuv is not None for frame in frames)
    first, last = (frame.rgb[8:40, 8:56].mean(axis=(0, 1)) for frame in (frames[0], frames[-1]))
    # ffmpeg's own conversion darkens by up to 4 levels. By another matrix or range these would be
    # 12 or more.
    assert np.abs(first - (0xC0, 0x60, 0x30)).max() < 6
    assert np.abs(first - last).max() < 4
    assert {frame.size_px for frame in frames} == {(48, 64)}


def test_the_overlay_of_a_kept_file_has_the_pixels_of_the_file_where_nothing_is_salient(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    path = make_clip(size=(96, 1280), frames=3, picture="color=0xc06030")
    output = vidsal.run(path, settings_for(tmp_path / "o.mp4"))
    raw, written = _raw(path), _raw(output)
    assert raw.shape == written.shape
    # The scene does not move: its map is empty.
    assert np.abs(raw.astype(int) - written).max() <= 2


@pytest.mark.parametrize(("place", "written"), [("left", set()), ("topleft", {"1"})])
def test_chroma_stays_where_it_is_and_players_are_told(
    place: str, written: set[str], make_clip: MakeClip, tmp_path: Path
) -> None:
    path = make_clip(size=(96, 1280), frames=3, options=["-chroma_sample_location", place])
    (frame, *_) = _frames(path, SourceOptions())
    assert isinstance(frame.yuv, Yuv420) and frame.yuv.is_left == (place == "left")
    for layout in ("overlay", "side-by-side"):
        settings = replace(settings_for(tmp_path / f"{layout}.mp4"), layout=layout)
        # Left is the default, which has no tag. 1 is the middle.
        assert _chroma(vidsal.run(path, settings, progress=False)) == written
