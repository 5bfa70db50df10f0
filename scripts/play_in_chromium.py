"""Play an MP4 file in headless Chromium, and compare it with what ffmpeg decodes.

    python scripts/play_in_chromium.py FILE.mp4

The environment variable CHROMIUM names the browser; without it, the script searches PATH for the
usual names. A page with a <video> element reports the duration, the size and the mean colour of one
frame, which it reads from a canvas. ffmpeg decodes the same frame. The exit code is 0 if both
agree, 1 if they differ, 2 if there is no Chromium.
"""

import argparse
import contextlib
import functools
import http.server
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np

from vidsal.media import ffmpeg, probe

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# Longest time for the browser to start and to report.
TIMEOUT_S = 60.0
# Largest difference of a mean colour, 0 to 255. Browsers round colours differently.
COLOUR_TOLERANCE = 4.0

PAGE = """<!doctype html><video id="v" muted preload="auto" src="/video"></video><script>
const v = document.getElementById("v"), at = %f;
const send = (report) => fetch("/report", {method: "POST", body: JSON.stringify(report)});
v.onerror = () => send({error: v.error.message || "code " + v.error.code});
v.onloadeddata = () => { v.currentTime = at; };
v.onseeked = async () => {
  if (!v.videoWidth) return send({error: "the browser cannot decode this codec"});
  const c = document.createElement("canvas");
  c.width = v.videoWidth; c.height = v.videoHeight;
  const g = c.getContext("2d");
  g.drawImage(v, 0, 0);
  const d = g.getImageData(0, 0, c.width, c.height).data, sums = [0, 0, 0];
  for (let i = 0; i < d.length; i += 4) for (let k = 0; k < 3; k++) sums[k] += d[i + k];
  v.onseeked = null;
  const mean = sums.map((sum) => sum / (d.length / 4));
  v.onerror = null;
  const start = v.currentTime;
  await v.play();
  await new Promise((done) => setTimeout(done, 500));
  send({duration_s: v.duration, width: c.width, height: c.height, mean,
        played_s: v.ended ? v.duration - start : v.currentTime - start});
};
</script>"""


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the page and the video, and puts the page's report into a queue.

    Players seek, so the video is served in byte ranges.
    """

    def __init__(self, video: Path, at_s: float, reports: "queue.Queue[Any]", *rest: Any) -> None:
        self.video, self.at_s, self.reports = video, at_s, reports
        super().__init__(*rest)

    def do_GET(self) -> None:
        """Send the page or a byte range of the video."""
        if self.path == "/":
            self._send(200, "text/html", (PAGE % self.at_s).encode())
        elif self.path == "/video":
            data = self.video.read_bytes()
            start, _, end = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
            first = int(start or 0)
            last = min(int(end or len(data) - 1), len(data) - 1)
            content_range = f"bytes {first}-{last}/{len(data)}"
            self._send(206, "video/mp4", data[first : last + 1], content_range)
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        """Take the page's report."""
        self.reports.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._send(200, "text/plain", b"")

    def _send(
        self, code: int, content_type: str, body: bytes, content_range: str | None = None
    ) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Accept-Ranges", "bytes")
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        # A player closes the connection when it has read enough.
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write no log line per request."""


def find_browser() -> str | None:
    """Return the path of Chromium, or None if there is none."""
    configured = os.environ.get("CHROMIUM")
    paths = (shutil.which(name) for name in ([configured] if configured else NAMES))
    return next((path for path in paths if path), None)


def play(browser: str, video: Path, at_s: float) -> dict[str, Any]:
    """Play a video in Chromium, and return the page's report about it and its frame at a time."""
    reports: queue.Queue[Any] = queue.Queue()
    handler = functools.partial(Handler, video, at_s, reports)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as profile:
        process = subprocess.Popen(
            [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--autoplay-policy=no-user-gesture-required", f"--user-data-dir={profile}",
             f"http://127.0.0.1:{server.server_port}/"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            report: dict[str, Any] = reports.get(timeout=TIMEOUT_S)
        except queue.Empty:
            report = {"error": f"no report within {TIMEOUT_S:g} s"}
        finally:
            process.terminate()
            process.wait()
            server.shutdown()
            server.server_close()
    return report


def mean_colour(video: Path, at_s: float, size: tuple[int, int]) -> list[float]:
    """Return the mean red, green and blue of a frame as ffmpeg decodes it, 0 to 255."""
    arguments = [
        ffmpeg.executable(), "-loglevel", "error", "-ss", f"{at_s:.6f}",
        "-i", ffmpeg.file_url(video), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24",
        # Without these flags ffmpeg rounds down, by up to three levels.
        "-vf",
        "scale=in_color_matrix=bt709:in_range=tv:out_range=pc:flags=accurate_rnd+full_chroma_int",
        "-",
    ]  # fmt: skip
    data = subprocess.run(arguments, capture_output=True, check=True).stdout
    return [float(mean) for mean in np.frombuffer(data, np.uint8).reshape(*size, 3).mean((0, 1))]


def main() -> int:
    """Play the video, print the comparison, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path, help="MP4 file")
    video = parser.parse_args().video
    browser = find_browser()
    if browser is None:
        print("Chromium was not found: install it, or set CHROMIUM to its path; nothing is checked")
        return 2
    picture = probe.inspect(video).picture
    if picture is None:
        print(f"{video} has no video stream")
        return 1
    # The middle of a frame, so that rounding cannot select the next frame.
    number = picture.frames // 2
    at_s = float((number + 0.5) / picture.rate)
    report = play(browser, video, at_s)
    if "error" in report:
        print(f"{browser} does not play {video}: {report['error']}")
        return 1
    return compare(video, report, picture, at_s, number)


def compare(
    video: Path, report: dict[str, Any], picture: probe.VideoStream, at_s: float, number: int
) -> int:
    """Compare Chromium's report with the file; print each check and return the exit code."""
    mean = mean_colour(video, at_s, picture.upright_px)
    error = max(abs(a - b) for a, b in zip(report["mean"], mean, strict=True))
    frame_s = float(1 / picture.rate)
    sound = probe.inspect(video).sound
    duration_s = max(picture.end_s, sound.end_s if sound else 0.0)
    height, width = picture.upright_px
    checks = [
        ("duration", f"{report['duration_s']:.3f} s", f"{duration_s:.3f} s",
         abs(report["duration_s"] - duration_s) <= frame_s),
        ("size", f"{report['width']}x{report['height']}", f"{width}x{height}",
         (report["height"], report["width"]) == (height, width)),
        (f"mean colour of frame {number}", _rgb_text(report["mean"]), _rgb_text(mean),
         error <= COLOUR_TOLERANCE),
        ("playback", f"{report['played_s']:.2f} s in 0.5 s", "more than 0", report["played_s"] > 0),
    ]  # fmt: skip
    for name, actual, expected, is_right in checks:
        print(f"{'ok   ' if is_right else 'WRONG'} {name}: Chromium {actual}, expected {expected}")
    return 0 if all(is_right for *_, is_right in checks) else 1


def _rgb_text(colour: list[float]) -> str:
    """Return three means with one decimal each."""
    return ", ".join(f"{mean:.1f}" for mean in colour)


if __name__ == "__main__":
    sys.exit(main())
