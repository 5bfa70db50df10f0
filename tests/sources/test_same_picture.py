"""A file, a pipe of ffmpeg and a stream of the same pictures give the same frames."""

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from conftest import run_ffmpeg
from live_fakes import hide_coded_size

from vidsal.errors import VidsalError
from vidsal.settings import Settings
from vidsal.sources import open_source
from vidsal.sources.capture import StreamCapture
from vidsal.sources.live import LiveSource
from vidsal.sources.resolve import parse_live
from vidsal.types import Rgb

# Flat bars of saturated colours, and a white square that moves to and fro by 2 pixels per field.
COLORS = [(255, 0, 0), (255, 255, 0), (0, 128, 0), (0, 0, 255)]
H264 = ["-c:v", "libx264", "-qp", "1", "-preset", "veryfast", "-g", "8"]
HDR = "color_primaries=bt2020:colorspace=bt2020nc:range=tv"
BT709 = "setparams=colorspace=bt709:range=tv"
UNTAGGED = "h264_metadata=colour_primaries=2:transfer_characteristics=2:matrix_coefficients=2"


def _yuv(matrix: str, pixels: str = "yuv420p") -> str:
    return f"scale=out_color_matrix={matrix}:out_range=tv,format={pixels}"


# Filters and options that make the pictures; size of the frames (height, width).
KINDS: dict[str, tuple[str, list[str], tuple[int, int]]] = {
    "SAR 64:45": (f"{_yuv('bt601')},setsar=64/45", H264, (96, 182)),
    "rotation 90": (
        _yuv("bt601"),
        [*H264, "-bsf:v", "h264_metadata=display_orientation=insert:rotate=90"],
        (128, 96),
    ),
    "mirror": (
        _yuv("bt601"),
        [*H264, "-bsf:v", "h264_metadata=display_orientation=insert:flip=horizontal"],
        (96, 128),
    ),
    "interlaced": (
        f"{_yuv('bt601')},interlace=lowpass=off,setfield=tff",
        [*H264, "-flags", "+ildct+ilme"],
        (96, 128),
    ),
    "MPEG-2 interlaced": (
        f"{_yuv('bt601')},interlace=lowpass=off,setfield=tff",
        ["-c:v", "mpeg2video", "-q:v", "1", "-g", "8", "-flags", "+ildct+ilme"],
        (96, 128),
    ),
    "PQ": (f"{_yuv('bt2020', 'yuv420p10')},setparams={HDR}:color_trc=smpte2084", H264, (96, 128)),
    "HLG": (
        f"{_yuv('bt2020', 'yuv420p10')},setparams={HDR}:color_trc=arib-std-b67",
        H264,
        (96, 128),
    ),
    "untagged HD": (
        f"scale=1280:96:flags=neighbor,{_yuv('bt709')},setsar=1",
        [*H264, "-bsf:v", UNTAGGED],
        (96, 1280),
    ),
    "10 bit": (f"{_yuv('bt709', 'yuv420p10')},{BT709}", H264, (96, 128)),
    "4:2:2": (f"{_yuv('bt709', 'yuv422p')},{BT709}", H264, (96, 128)),
    "full range": (
        "scale=out_color_matrix=bt709:out_range=pc,format=yuv420p,"
        "setparams=colorspace=bt709:range=pc",
        H264,
        (96, 128),
    ),
}  # fmt: skip
# Each default case needs about 2 s.
QUICK = {("UDP", "PQ"), ("UDP", "untagged HD"), ("HTTP", "SAR 64:45"), ("HTTP", "rotation 90")}
WAYS = ("ffmpeg", "UDP", "HTTP")
CASES = [
    pytest.param(
        way, kind, marks=[] if way == "ffmpeg" or (way, kind) in QUICK else pytest.mark.slow
    )
    for way in WAYS
    for kind in KINDS
]


def _made(path: Path, kind: str, *options: str, seconds: float = 1.6) -> Path:
    filters, encoding, _ = KINDS[kind]
    rate = 50 if "interlace" in filters else 25
    boxes = ",".join(
        f"drawbox=x={32 * n}:w=32:h=ih:t=fill:c=0x{red:02x}{green:02x}{blue:02x}"
        for n, (red, green, blue) in enumerate(COLORS)
    )
    moving = "drawbox=x=0:y=72:w=128:h=24:t=fill:c=black"
    square = "overlay=x='abs(mod(2*n,160)-80)':y=80:format=rgb"
    source = f"r={rate}:d={seconds},format=rgb24"
    run_ffmpeg(
        "-f", "lavfi", "-i", f"color=s=128x96:{source},{boxes},{moving}[bars];"
        f"color=white:s=8x8:{source}[square];[bars][square]{square}",
        "-vf", filters, *encoding, "-movflags", "-write_colr", *options, str(path),
    )  # fmt: skip
    return path


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def _sent(path: Path, way: str, seconds: float = 20) -> Iterator[str]:
    """Send a file in real time, again and again, for some seconds; yield the address."""
    port = _free_port()
    address = f"udp://127.0.0.1:{port}"
    target = [f"{address}?pkt_size=1316"]
    if way == "HTTP":
        address = f"http://127.0.0.1:{port}/live"
        # This server answers one request.
        target = ["-listen", "1", address]
    process = subprocess.Popen(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "quiet", "-nostdin", "-re",
         "-stream_loop", "-1", "-i", str(path), "-t", str(seconds), "-c", "copy", "-f", "mpegts",
         *target],
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield address
    finally:
        process.kill()
        process.wait()


def _open_when_ready(address: str) -> LiveSource:
    """Open a stream whose server may not listen yet."""
    for _ in range(100):
        try:
            return LiveSource(address, Settings(duration=30.0))
        except VidsalError as error:
            if "refused" not in str(error):
                raise
            time.sleep(0.1)
    raise AssertionError(f"{address} is not served")


def _live(path: Path, way: str, count: int = 8) -> list[Rgb]:
    with _sent(path, way) as address, _open_when_ready(address) as source:
        frames = source.frames()
        pictures = [next(frames).rgb for _ in range(count)]
        assert pictures[0].shape[:2] == (source.info.height_px, source.info.width_px)
        assert source.info.fps == 25
    return pictures


def _read(path: Path, *, is_strict: bool = False) -> list[Rgb]:
    with open_source(path, Settings(strict=is_strict)) as source:
        return [frame.rgb for frame in source.frames()]


def _bars(rgb: Rgb, kind: str) -> Rgb:
    """Return the flat part of each bar, (4, n, 3)."""
    if kind == "rotation 90":
        rgb = np.rot90(rgb, -1)
    if kind == "mirror":
        rgb = rgb[:, ::-1]
    height, width = rgb.shape[:2]
    rows, bar, margin = slice(height // 16, height * 11 // 16), width // 4, width // 16
    inner = [slice(n * bar + margin, (n + 1) * bar - margin) for n in range(4)]
    return np.stack([rgb[rows, columns].reshape(-1, 3) for columns in inner])


def _nearest(rgb: Rgb, pictures: list[Rgb]) -> Rgb:
    return min(pictures, key=lambda one: float(np.abs(one.astype(int) - rgb).mean()))


def _require_same(pictures: list[Rgb], expected: list[Rgb], kind: str) -> None:
    assert pictures[0].shape == (*KINDS[kind][2], 3)
    means, largest = [], []
    for rgb in pictures:
        off = np.abs(_nearest(rgb, expected).astype(int) - rgb)
        means.append(off.mean())
        largest.append(
            np.abs(_bars(rgb, kind).astype(int) - _bars(expected[5], kind).astype(int)).max()
        )
    # Where a repeated file begins anew, one interlaced picture depends on another neighbour.
    assert np.median(means) < 2
    assert max(largest) <= 6


@pytest.mark.parametrize(("way", "kind"), CASES)
def test_each_way_gives_the_frames_of_the_file(way: str, kind: str, tmp_path: Path) -> None:
    path = _made(tmp_path / "a.mp4", kind)
    expected = _read(path)
    assert len(expected) == 40
    pictures = _read(path, is_strict=True) if way == "ffmpeg" else _live(path, way)
    _require_same(pictures, expected, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_the_bars_of_the_file_have_the_colours_that_were_made(kind: str, tmp_path: Path) -> None:
    bars = _bars(_read(_made(tmp_path / "a.mp4", kind))[5], kind)
    if kind not in ("PQ", "HLG"):
        off = np.abs(bars.astype(int) - np.array(COLORS)[:, None])
        assert off.max() <= (4 if kind == "MPEG-2 interlaced" else 2)
        return
    # Tone mapping keeps the hue, and no bar stays as bright as it was coded.
    red, yellow, _, blue = bars.mean(axis=1)
    assert red.argmax() == 0 and blue.argmax() == 2
    assert yellow[:2].min() > 2 * yellow[2]


@pytest.mark.parametrize("codec", ["interlaced", "MPEG-2 interlaced"])
def test_no_frame_of_an_interlaced_file_has_combs(codec: str, tmp_path: Path) -> None:
    for rgb in _read(_made(tmp_path / "a.ts", codec))[2:-2]:
        rows = rgb[80:88].astype(float).mean(axis=-1)
        assert np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean() < 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["PQ", "untagged HD", "interlaced", "rotation 90"])
def test_a_stream_that_is_joined_before_its_key_frame_gives_the_same(
    kind: str, tmp_path: Path
) -> None:
    path = _made(tmp_path / "a.mp4", kind, "-g", "500", "-sc_threshold", "0", seconds=5)
    expected = _read(path)
    with _sent(path, "UDP") as address:
        time.sleep(0.5)
        capture = StreamCapture(parse_live(address))
        try:
            capture.open()
            pictures = [capture.read() for _ in range(8)]
        finally:
            capture.close()
    _require_same([rgb for rgb in pictures if rgb is not None], expected, kind)


@pytest.mark.slow
@pytest.mark.parametrize("is_described", [True, False])
@pytest.mark.parametrize("kind", ["rotation 90", "mirror"])
def test_a_stream_that_is_joined_behind_its_first_header_is_turned(
    kind: str, is_described: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_described:
        hide_coded_size(monkeypatch)
    # ffmpeg's bitstream filter places the header behind the picture of each later key frame.
    path = _made(tmp_path / "a.mp4", kind)
    expected = _read(path)
    with _sent(path, "UDP") as address:
        time.sleep(0.5)
        capture = StreamCapture(parse_live(address))
        try:
            assert capture.open()[:2] == KINDS[kind][2]
            pictures = [capture.read() for _ in range(8)]
        finally:
            capture.close()
    _require_same([rgb for rgb in pictures if rgb is not None], expected, kind)


@pytest.mark.parametrize("kind", ["rotation 90", "mirror"])
def test_a_recording_that_was_cut_is_turned_from_its_first_picture_on(
    kind: str, tmp_path: Path
) -> None:
    whole = _made(tmp_path / "a.ts", kind)
    packets = whole.read_bytes()
    cut = tmp_path / "b.ts"
    # Three packets describe the stream. The first key frame goes with the first quarter.
    cut.write_bytes(packets[: 3 * 188] + packets[len(packets) // 4 // 188 * 188 :])
    pictures = _read(cut)
    assert 20 < len(pictures) < 40
    _require_same(pictures, _read(whole), kind)


def test_a_part_of_a_file_is_turned_like_the_whole(tmp_path: Path) -> None:
    path = _made(tmp_path / "a.mp4", "rotation 90", seconds=12)
    with open_source(path, Settings(start=11.0)) as source:
        pictures = [frame.rgb for frame in source.frames()]
    assert len(pictures) == 25
    _require_same(pictures, _read(path), "rotation 90")


@pytest.mark.slow
def test_a_stream_that_changes_its_size_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parts = [_made(tmp_path / "0.ts", "10 bit"), tmp_path / "1.ts"]
    run_ffmpeg("-i", str(parts[0]), "-vf", "scale=64:96", *H264, str(parts[1]))
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    with _sent(both, "UDP") as address:
        capture = StreamCapture(parse_live(address))
        try:
            capture.open()
            sizes = {rgb.shape for rgb in (capture.read() for _ in range(50)) if rgb is not None}
        finally:
            capture.close()
    assert len(sizes) == 1
    assert re.search(r"pictures are (64|128)x96 from here on, and are scaled to", caplog.text)


@pytest.mark.slow
def test_a_stream_that_ends_before_a_key_frame_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidsal.sources.capture._SILENCE_S", 1.0)
    path = _made(tmp_path / "a.mp4", "PQ", "-g", "500", "-sc_threshold", "0", seconds=9)
    with _sent(path, "UDP", seconds=4) as address:
        time.sleep(0.5)
        with pytest.raises(VidsalError, match=r"ended before a key frame arrived$"):
            LiveSource(address, Settings())
