"""Measure the latency, rate, memory and processor time of `vidsal live`.

    python scripts/bench_live.py --seconds 60 --sizes 640x360 1280x720 --over udp http

With `--over udp-lengths` the sender states the length of each packet of a picture. A picture is
then complete when it has arrived, else when the next one begins.

A second process sends a moving picture in real time. Each frame carries the time of sending as a
strip of black and white fields. `vidsal live` runs as a user runs it, with its page, a recording
and a table. Two latencies are measured:

- recording: the display time in the table minus the time in the recorded picture;
- page: this script reads the page's pictures as a browser does, and compares their time with the
  clock of the machine.

Options that this script does not know are passed on to `vidsal live`. Needs psutil.
"""

import argparse
import contextlib
import csv
import http.client
import multiprocessing
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import imageio_ffmpeg
import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[1]
CLIP = ROOT / "sample_media" / "chinchilla.mp4"
# Options of a sender over UDP.
UDP = {"udp": [], "udp-lengths": ["-omit_video_pes_length", "0"]}
# Bits of the time in milliseconds, and of its checksum.
CLOCK_BITS, CHECKSUM_BITS = 24, 8
# Vertical positions of the strips as fractions of the height. Captions do not cover them.
STRIP_POSITIONS = (0.3, 0.6)


class PageStats(NamedTuple):
    """Measurements while the page's pictures were read.

    `cpu_s` is the processor time of vidsal and its child processes.
    """

    latency_ms: list[float]
    rss_mib: list[float]
    pictures: int
    cpu_s: float


class Measurement(NamedTuple):
    """The results of one stream.

    `summary` is the last line that vidsal writes to stderr, `recording_s` the recording's duration.
    """

    name: str
    seconds: float
    page: PageStats
    latency_ms: list[float]
    times_s: list[float]
    summary: str
    recording_s: float


def encode_time(ms: int) -> list[int]:
    """Return a time and its checksum as bits, the most significant bit first."""
    ms %= 1 << CLOCK_BITS
    checksum = (ms ^ (ms >> 8) ^ (ms >> 16) ^ 0x5A) & 0xFF
    code = (ms << CHECKSUM_BITS) | checksum
    return [(code >> bit) & 1 for bit in reversed(range(CLOCK_BITS + CHECKSUM_BITS))]


def draw_time(picture: np.ndarray, ms: int) -> None:
    """Draw a time into a (height, width, 3) uint8 picture, in place."""
    height, width = picture.shape[:2]
    field_px = width // (CLOCK_BITS + CHECKSUM_BITS)
    row = np.repeat(np.array(encode_time(ms), np.uint8) * 200 + 25, field_px)
    for position in STRIP_POSITIONS:
        top = int(height * position)
        picture[top : top + height // 18, : len(row)] = row[None, :, None]


def read_time(grey: np.ndarray) -> int | None:
    """Return the time in a (height, width) uint8 picture in ms, or None if it is unreadable."""
    height, width = grey.shape
    field_px = width / (CLOCK_BITS + CHECKSUM_BITS)
    centres = ((np.arange(CLOCK_BITS + CHECKSUM_BITS) + 0.5) * field_px).astype(int)
    for position in STRIP_POSITIONS:
        row = int(height * (position + 1 / 36))
        bits = [int(bit) for bit in grey[row - 1 : row + 2, centres].mean(axis=0) > 118]
        ms = int("".join(map(str, bits[:CLOCK_BITS])), 2)
        if bits == encode_time(ms):
            return ms
    return None


def now_ms() -> int:
    """Return the time of the machine's clock in milliseconds."""
    return int(time.time() * 1000)


def latency_ms(shown_ms: float, sent_ms: int) -> float:
    """Return the time from sending to display; `sent_ms` is known modulo 2**24 ms only."""
    return float((round(shown_ms) - sent_ms) % (1 << CLOCK_BITS))


def recorded_latencies(video: Path, table: Path) -> tuple[list[float], list[float]]:
    """Return the latency in ms and the time in s of each analysed frame of a recording.

    A frame of the recording is found by its time. Where two analysed frames share one frame of the
    recording, the recording holds the one with the nearer time.
    """
    with table.open(newline="") as file:
        rows = [(float(row["time_s"]), float(row["shown_unix_s"])) for row in csv.DictReader(file)]
    fps, sent_times = times_in_pictures(video)
    by_offset = sorted(rows, key=lambda row: -abs(row[0] * fps - round(row[0] * fps)))
    nearest = {round(row[0] * fps): row for row in by_offset}
    latencies, times = [], []
    for number, (time_s, shown_s) in sorted(nearest.items()):
        sent_ms = sent_times[number] if number < len(sent_times) else None
        if sent_ms is not None:
            latencies.append(latency_ms(1000 * shown_s, sent_ms))
            times.append(time_s)
    return latencies, times


def times_in_pictures(video: Path) -> tuple[float, list[int | None]]:
    """Return a video's frame rate, and the time that is drawn into each of its frames in ms."""
    capture = cv2.VideoCapture(str(video))
    fps: float = capture.get(cv2.CAP_PROP_FPS)
    times: list[int | None] = []
    while True:
        is_read, picture = capture.read()
        if not is_read:
            return fps, times
        times.append(read_time(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)))


def send(protocol: str, port: int, size: tuple[int, int], fps: int, seconds: float) -> None:
    """Send a moving picture with the time in it, in real time. Runs as a process of its own."""
    frames = looping_frames(size)
    encoder = subprocess.Popen(encoder_command(protocol, port, size, fps), stdin=subprocess.PIPE)
    assert encoder.stdin is not None
    start_s = time.monotonic()
    with contextlib.suppress(BrokenPipeError):
        for number in range(round(seconds * fps)):
            time.sleep(max(0.0, start_s + number / fps - time.monotonic()))
            picture = frames[number % len(frames)].copy()
            draw_time(picture, now_ms())
            encoder.stdin.write(picture.data)
            if number % 30 == 0 and time.monotonic() - start_s > number / fps + 1:
                # The receiver paused. Go on in real time instead of catching up.
                start_s = time.monotonic() - number / fps
    encoder.kill()


def encoder_command(protocol: str, port: int, size: tuple[int, int], fps: int) -> list[str]:
    """Return the ffmpeg command that encodes raw BGR frames from stdin and sends them."""
    height, width = size
    target = ["-listen", "1", f"http://127.0.0.1:{port}/live.ts"]
    if protocol in UDP:
        target = [*UDP[protocol], f"udp://127.0.0.1:{port}?pkt_size=1316"]
    return [
        imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "quiet", "-f", "rawvideo", "-pix_fmt",
        "bgr24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "pipe:0", "-c:v", "libx264",
        "-preset", "ultrafast", "-tune", "zerolatency", "-threads", "1", "-g", str(fps), "-b:v",
        "4M", "-pix_fmt", "yuv420p", "-f", "mpegts", "-muxdelay", "0", "-flush_packets", "1",
        *target,
    ]  # fmt: skip


def looping_frames(size: tuple[int, int]) -> list[np.ndarray]:
    """Return frames of the sample clip, forward and then backward, so that the loop has no cut."""
    capture = cv2.VideoCapture(str(CLIP))
    frames: list[np.ndarray] = []
    while len(frames) < 60:
        is_read, frame = capture.read()
        if not is_read:
            break
        frames.append(cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA))
    return frames + frames[-2:0:-1]


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """Return a port of this machine that no program uses."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def page_pictures(port: int) -> Iterator[bytes]:
    """Yield the JPEG files of the page's MJPEG stream as they arrive."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/pictures")
    response = connection.getresponse()
    while line := response.fp.readline():
        length = re.match(rb"Content-Length: (\d+)", line)
        if length:
            response.fp.readline()
            yield response.fp.read(int(length.group(1)))


def watch_page(port: int, seconds: float, process: psutil.Process) -> PageStats:
    """Read the page's pictures for some seconds."""
    latencies: list[float] = []
    rss_mib: list[float] = []
    count, start_s, start_cpu_s = 0, time.monotonic(), cpu_s(process)
    for jpeg in page_pictures(port):
        arrival_ms, elapsed_s = now_ms(), time.monotonic() - start_s
        count += 1
        # Decoding every picture would take processor time from vidsal.
        if count % 3 == 0:
            grey = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_2)
            sent_ms = None if grey is None else read_time(grey)
            if sent_ms is not None:
                latencies.append(latency_ms(arrival_ms, sent_ms))
        if count % 30 == 1:
            rss_mib.append(process.memory_info().rss / 2**20)
        if elapsed_s > seconds:
            break
    return PageStats(latencies, rss_mib, count, cpu_s(process) - start_cpu_s)


def cpu_s(process: psutil.Process) -> float:
    """Return the processor time of a process and its child processes, in seconds."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


def wait_for_page(port: int, process: subprocess.Popen[str]) -> None:
    """Wait until the page reports the first second of the stream."""
    for _ in range(1200):
        if process.poll() is not None:
            raise SystemExit("vidsal live ended before its first picture")
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/stats")
            if re.search(rb'"time_s": [1-9]', connection.getresponse().read()):
                return
        time.sleep(0.1)
    raise SystemExit("vidsal live showed no picture within two minutes")


def measure(
    protocol: str, size: tuple[int, int], fps: int, seconds: float, options: list[str]
) -> Measurement:
    """Run `vidsal live` on one stream and measure it."""
    port = free_port(socket.SOCK_DGRAM if protocol in UDP else socket.SOCK_STREAM)
    page_port = free_port()
    url = f"udp://127.0.0.1:{port}" if protocol in UDP else f"http://127.0.0.1:{port}/live.ts"
    sender = multiprocessing.Process(target=send, args=(protocol, port, size, fps, seconds + 120))
    sender.start()
    with tempfile.TemporaryDirectory() as folder:
        if protocol == "http":
            time.sleep(1.5)
        video, table = Path(folder) / "live.mp4", Path(folder) / "live.csv"
        process = subprocess.Popen(
            [sys.executable, "-m", "vidsal", "live", url, "--preview", "web", "--port",
             str(page_port), "--model", "lite0", "--duration", str(seconds + 3), "-o",
             str(video), "--table", str(table), *options],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        try:
            wait_for_page(page_port, process)
            page = watch_page(page_port, seconds, psutil.Process(process.pid))
            summary = process.communicate(timeout=60)[1].strip().splitlines()[-1]
            recording_s = imageio_ffmpeg.count_frames_and_secs(str(video))[1]
            latencies, times = recorded_latencies(video, table)
        finally:
            process.kill()
            sender.terminate()
            sender.join()
    name = f"{protocol} {size[1]}x{size[0]}"
    return Measurement(name, seconds, page, latencies, times, summary, recording_s)


def table_row(result: Measurement) -> str:
    """Return the results of one stream as a row of the printed table."""
    latencies, times = np.array(result.latency_ms), np.array(result.times_s)
    first = latencies[times < result.seconds / 3]
    last = latencies[times > 2 * result.seconds / 3]
    rss_mib = result.page.rss_mib
    return (
        f"| {result.name} | {result.page.pictures / result.seconds:.1f} "
        f"| {np.median(latencies):.0f} ms | {np.percentile(latencies, 95):.0f} ms "
        f"| {np.median(first):.0f} ms | {np.median(last):.0f} ms "
        f"| {np.median(result.page.latency_ms):.0f} ms "
        f"| {rss_mib[0]:.0f}, {rss_mib[len(rss_mib) // 3]:.0f}, {rss_mib[-1]:.0f} MiB "
        f"| {result.page.cpu_s / result.seconds:.2f} |"
    )


def main() -> None:
    """Measure each protocol and size, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=30, help="length of each measurement")
    parser.add_argument("--fps", type=int, default=30, help="frame rate of the stream")
    parser.add_argument(
        "--sizes", nargs="+", default=["640x360", "1280x720"], help="sizes of the stream (WxH)"
    )
    parser.add_argument(
        "--over", nargs="+", choices=[*UDP, "http"], default=["udp", "http"], help="protocols"
    )
    arguments, options = parser.parse_known_args()
    print(
        "| stream | shown/s | latency median | 95 % | first third | last third | page latency "
        "| RSS at start, one third, end | cores |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for protocol in arguments.over:
        for text in arguments.sizes:
            width, height = map(int, text.split("x"))
            result = measure(protocol, (height, width), arguments.fps, arguments.seconds, options)
            print(table_row(result), flush=True)
            print(
                f"  {result.summary}; {len(result.latency_ms)} frames with a readable time; "
                f"the recording lasts {result.recording_s:.2f} s",
                file=sys.stderr,
            )


if __name__ == "__main__":
    main()
