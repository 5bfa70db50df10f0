"""Measure `vidsal live`: a clock in the picture is sent, and read back from the recording.

A process of its own sends a moving picture in real time, with the time drawn into it as a strip of
black and white fields; `vidsal live` runs as a user runs it, with its page, a recording and its
table. The clock in each recorded picture, against when the table says that it was on show, is the
latency from the camera to the screen. This script also reads the pictures of the page as a browser
does, and compares the clock in them with its own.

    python scripts/bench_live.py --seconds 60 --sizes 640x360 1280x720 --over udp http
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
# Bits of the clock in milliseconds, and of its check sum.
CLOCK, CHECK = 24, 8
# Where the strips are, as shares of the height: not where captions are.
ROWS = (0.3, 0.6)


class Measured(NamedTuple):
    """One line of the table: what the page showed, what the recording tells, and the price."""

    name: str
    shown: float
    page_ms: list[float]
    latency_ms: list[float]
    times_s: list[float]
    rss_mib: list[float]
    cores: float
    said: str
    file_s: float


class Followed(NamedTuple):
    """What was seen of a page: ages of pictures in ms, memory in MiB, how many pictures, and the
    processor time that all of it took in seconds."""

    ages: list[float]
    memory: list[float]
    pictures: int
    busy_s: float


def coded(ms: int) -> list[int]:
    """Return a time as bits with a check sum behind."""
    ms %= 1 << CLOCK
    check = (ms ^ (ms >> 8) ^ (ms >> 16) ^ 0x5A) & 0xFF
    word = (ms << CHECK) | check
    return [(word >> bit) & 1 for bit in range(CLOCK + CHECK)]


def stamp(picture: np.ndarray, ms: int) -> None:
    """Draw a time into a picture."""
    height, width = picture.shape[:2]
    field = width // (CLOCK + CHECK)
    row = np.repeat(np.array(coded(ms), np.uint8) * 200 + 25, field)
    for place in ROWS:
        top = int(height * place)
        picture[top : top + height // 18, : len(row)] = row[None, :, None]


def read_stamp(grey: np.ndarray) -> int | None:
    """Return the time in a grey picture, or None where it cannot be read."""
    height, width = grey.shape
    field = width / (CLOCK + CHECK)
    centres = ((np.arange(CLOCK + CHECK) + 0.5) * field).astype(int)
    for place in ROWS:
        row = int(height * (place + 1 / 36))
        bits = grey[row - 1 : row + 2, centres].mean(axis=0) > 118
        word = sum(int(bit) << number for number, bit in enumerate(bits))
        ms = word >> CHECK
        if list(map(int, bits)) == coded(ms):
            return ms
    return None


def now_ms() -> int:
    return int(time.time() * 1000)


def age_ms(shown_ms: float, sent_ms: int) -> float:
    """Return the time between what a clock in the picture says and the moment it was seen."""
    return float((round(shown_ms) - sent_ms) % (1 << CLOCK))


def recorded(video: Path, table: Path) -> tuple[list[float], list[float]]:
    """Return how old each analysed frame was when it was on show, in ms, and its time in s.

    A picture of the recording is found by its time, the moment it was on show by its row; of two
    frames at one of the recording's steps the nearer one is in it.
    """
    with table.open(newline="") as file:
        rows = [(float(row["time_s"]), float(row["shown_unix_s"])) for row in csv.DictReader(file)]
    capture = cv2.VideoCapture(str(video))
    fps, clocks = capture.get(cv2.CAP_PROP_FPS), []
    while True:
        ok, picture = capture.read()
        if not ok:
            break
        clocks.append(read_stamp(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)))
    ages, times = [], []
    nearest = {
        round(row[0] * fps): row
        for row in sorted(rows, key=lambda row: -abs(row[0] * fps - round(row[0] * fps)))
    }
    for step, (time_s, shown_s) in sorted(nearest.items()):
        sent = clocks[step] if step < len(clocks) else None
        if sent is not None:
            ages.append(age_ms(1000 * shown_s, sent))
            times.append(time_s)
    return ages, times


def send(over: str, port: int, size: tuple[int, int], fps: int, seconds: float) -> None:
    """Send a moving picture with the time in it, in real time; runs as a process."""
    height, width = size
    frames = loop(size)
    target = f"udp://127.0.0.1:{port}?pkt_size=1316"
    listen = []
    if over == "http":
        target, listen = f"http://127.0.0.1:{port}/live.ts", ["-listen", "1"]
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "quiet", "-f", "rawvideo", "-pix_fmt",
        "bgr24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "pipe:0", "-c:v", "libx264",
        "-preset", "ultrafast", "-tune", "zerolatency", "-threads", "1", "-g", str(fps), "-b:v",
        "4M", "-pix_fmt", "yuv420p", "-f", "mpegts", "-muxdelay", "0", "-flush_packets", "1",
        *listen, target,
    ]  # fmt: skip
    encoder = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert encoder.stdin is not None
    began_s = time.monotonic()
    with contextlib.suppress(BrokenPipeError):
        for number in range(round(seconds * fps)):
            time.sleep(max(0.0, began_s + number / fps - time.monotonic()))
            picture = frames[number % len(frames)].copy()
            stamp(picture, now_ms())
            encoder.stdin.write(picture.data)
            if number % 30 == 0 and time.monotonic() - began_s > number / fps + 1:
                # The reader was away; what was not sent is in the past.
                began_s = time.monotonic() - number / fps
    encoder.kill()


def loop(size: tuple[int, int]) -> list[np.ndarray]:
    """Return frames of the sample clip, forwards and backwards, so that no cut is in them."""
    capture = cv2.VideoCapture(str(CLIP))
    frames: list[np.ndarray] = []
    while len(frames) < 60:
        ok, frame = capture.read()
        if not ok:
            break
        frames.append(cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA))
    return frames + frames[-2:0:-1]


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def pictures(port: int) -> Iterator[bytes]:
    """Yield the pictures of the page as they come."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/pictures")
    answer = connection.getresponse()
    while line := answer.fp.readline():
        length = re.match(rb"Content-Length: (\d+)", line)
        if length:
            answer.fp.readline()
            yield answer.fp.read(int(length.group(1)))


def follow(port: int, seconds: float, process: psutil.Process) -> Followed:
    """Read the page's pictures for so long."""
    ages: list[float] = []
    memory: list[float] = []
    count, began_s, busy_s = 0, time.monotonic(), busy(process)
    for data in pictures(port):
        came_ms, since_s = now_ms(), time.monotonic() - began_s
        count += 1
        # Reading each picture would take time from what is measured.
        if count % 3 == 0:
            grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_2)
            sent = None if grey is None else read_stamp(grey)
            if sent is not None:
                ages.append(age_ms(came_ms, sent))
        if count % 30 == 0:
            memory.append(process.memory_info().rss / 2**20)
        if since_s > seconds:
            break
    return Followed(ages, memory, count, busy(process) - busy_s)


def busy(process: psutil.Process) -> float:
    """Return the processor time of a process and its ffmpegs, in seconds."""
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))


def wait_for_page(port: int, process: subprocess.Popen[str]) -> None:
    """Wait until the page has figures of a run that counts."""
    for _ in range(1200):
        if process.poll() is not None:
            raise SystemExit("vidsal live ended before it began")
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/stats")
            if re.search(rb'"time_s": [1-9]', connection.getresponse().read()):
                return
        time.sleep(0.1)
    raise SystemExit("vidsal live did not begin within two minutes")


def measure(
    over: str, size: tuple[int, int], fps: int, seconds: float, more: list[str]
) -> Measured:
    """Run one case."""
    port = free_port(socket.SOCK_DGRAM if over == "udp" else socket.SOCK_STREAM)
    page = free_port()
    address = f"udp://127.0.0.1:{port}" if over == "udp" else f"http://127.0.0.1:{port}/live.ts"
    sender = multiprocessing.Process(target=send, args=(over, port, size, fps, seconds + 120))
    sender.start()
    with tempfile.TemporaryDirectory() as folder:
        if over == "http":
            time.sleep(1.5)
        file, table = Path(folder) / "live.mp4", Path(folder) / "live.csv"
        process = subprocess.Popen(
            [sys.executable, "-m", "vidsal", "live", address, "--preview", "web", "--port",
             str(page), "--model", "lite0", "--duration", str(seconds + 3), "-o",
             str(file), "--table", str(table), *more],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        try:
            wait_for_page(page, process)
            page_ms, memory, seen, busy_s = follow(page, seconds, psutil.Process(process.pid))
            said = process.communicate(timeout=60)[1].strip().splitlines()[-1]
            file_s = imageio_ffmpeg.count_frames_and_secs(str(file))[1]
            ages, times = recorded(file, table)
        finally:
            process.kill()
            sender.terminate()
            sender.join()
    name = f"{over} {size[1]}x{size[0]}"
    return Measured(
        name, seen / seconds, page_ms, ages, times, memory, busy_s / seconds, said, file_s
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--sizes", nargs="+", default=["640x360", "1280x720"])
    parser.add_argument("--over", nargs="+", choices=["udp", "http"], default=["udp", "http"])
    options, more = parser.parse_known_args()
    print(
        "| stream | shown/s | latency median | 95 % | first third | last third | page "
        "| RSS begin, third, end | cores |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for over in options.over:
        for text in options.sizes:
            width, height = map(int, text.split("x"))
            one = measure(over, (height, width), options.fps, options.seconds, more)
            ages, times = np.array(one.latency_ms), np.array(one.times_s)
            third = options.seconds / 3
            begin, end = ages[times < third], ages[times > 2 * third]
            print(
                f"| {one.name} | {one.shown:.1f} | {np.median(ages):.0f} ms "
                f"| {np.percentile(ages, 95):.0f} ms | {np.median(begin):.0f} ms "
                f"| {np.median(end):.0f} ms | {np.median(one.page_ms):.0f} ms "
                f"| {one.rss_mib[0]:.0f}, {one.rss_mib[len(one.rss_mib) // 3]:.0f}, "
                f"{one.rss_mib[-1]:.0f} MiB "
                f"| {one.cores:.2f} |",
                flush=True,
            )
            print(
                f"  {one.said}; {len(ages)} clocks read; the recording lasts {one.file_s:.2f} s",
                file=sys.stderr,
            )


if __name__ == "__main__":
    main()
