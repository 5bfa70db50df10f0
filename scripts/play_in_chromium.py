"""Play an MP4 in headless Chromium, and compare what it shows with what the file holds.

    python scripts/play_in_chromium.py FILE.mp4

The browser is the one that CHROMIUM names, else the first of the usual names in PATH. A page with
a <video> element tells length, size and the mean colour of one frame, read back from a canvas;
ffmpeg decodes the same frame for comparison. Exit code 0 if they agree, 1 if not, 2 without
Chromium.
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
# How long the browser may take to start and to answer.
PATIENCE_S = 60.0
# Levels of 255: browsers convert colours with their own arithmetic.
COLOUR_LEVELS = 4.0

PAGE = """<!doctype html><video id="v" muted preload="auto" src="/film"></video><script>
const v = document.getElementById("v"), at = %f;
const tell = (said) => fetch("/answer", {method: "POST", body: JSON.stringify(said)});
v.onerror = () => tell({error: v.error.message || "code " + v.error.code});
v.onloadeddata = () => { v.currentTime = at; };
v.onseeked = async () => {
  if (!v.videoWidth) return tell({error: "it decodes no picture of this codec"});
  const c = document.createElement("canvas");
  c.width = v.videoWidth; c.height = v.videoHeight;
  const g = c.getContext("2d");
  g.drawImage(v, 0, 0);
  const d = g.getImageData(0, 0, c.width, c.height).data, sums = [0, 0, 0];
  for (let i = 0; i < d.length; i += 4) for (let k = 0; k < 3; k++) sums[k] += d[i + k];
  v.onseeked = null;
  const mean = sums.map((one) => one / (d.length / 4));
  v.onerror = null;
  const begin = v.currentTime;
  await v.play();
  await new Promise((done) => setTimeout(done, 500));
  tell({duration_s: v.duration, width: c.width, height: c.height, mean,
        played_s: v.ended ? v.duration - begin : v.currentTime - begin});
};
</script>"""


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the page and the film, with ranges, since players seek; takes the answer."""

    def __init__(self, film: Path, at_s: float, said: "queue.Queue[Any]", *rest: Any) -> None:
        self.film, self.at_s, self.said = film, at_s, said
        super().__init__(*rest)

    def do_GET(self) -> None:
        if self.path == "/":
            self._send(200, "text/html", (PAGE % self.at_s).encode())
        elif self.path == "/film":
            data = self.film.read_bytes()
            asked = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
            first = int(asked[0] or 0)
            last = min(int(asked[2] or len(data) - 1), len(data) - 1)
            where = f"bytes {first}-{last}/{len(data)}"
            self._send(206, "video/mp4", data[first : last + 1], where)
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        self.said.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._send(200, "text/plain", b"")

    def _send(self, code: int, kind: str, body: bytes, where: str | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Accept-Ranges", "bytes")
        if where:
            self.send_header("Content-Range", where)
        self.end_headers()
        # A player that has seen enough hangs up.
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


def browser() -> str | None:
    """Return the path of a Chromium, if there is one."""
    wanted = os.environ.get("CHROMIUM")
    found = (shutil.which(name) for name in ([wanted] if wanted else NAMES))
    return next((one for one in found if one), None)


def shown(program: str, film: Path, at_s: float) -> dict[str, Any]:
    """Return what Chromium says of a film and of its frame at some time."""
    said: queue.Queue[Any] = queue.Queue()
    handler = functools.partial(Handler, film, at_s, said)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as profile:
        process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--autoplay-policy=no-user-gesture-required", f"--user-data-dir={profile}",
             f"http://127.0.0.1:{server.server_port}/"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            answer: dict[str, Any] = said.get(timeout=PATIENCE_S)
        except queue.Empty:
            answer = {"error": f"no answer within {PATIENCE_S:g} s"}
        finally:
            process.terminate()
            process.wait()
            server.shutdown()
            server.server_close()
    return answer


def decoded(film: Path, at_s: float, size: tuple[int, int]) -> list[float]:
    """Return the mean red, green and blue of a frame as ffmpeg decodes it."""
    words = [
        ffmpeg.executable(), "-loglevel", "error", "-ss", f"{at_s:.6f}",
        "-i", ffmpeg.file_url(film), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-vf",
        # Without these flags ffmpeg rounds down, by up to three levels.
        "scale=in_color_matrix=bt709:in_range=tv:out_range=pc:flags=accurate_rnd+full_chroma_int",
        "-",
    ]  # fmt: skip
    data = subprocess.run(words, capture_output=True, check=True).stdout
    return [float(one) for one in np.frombuffer(data, np.uint8).reshape(*size, 3).mean((0, 1))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("film", type=Path)
    film = parser.parse_args().film
    program = browser()
    if program is None:
        print("no Chromium is here: install one, or name it in CHROMIUM; nothing was checked")
        return 2
    picture = probe.inspect(film).picture
    if picture is None:
        print(f"{film} holds no picture")
        return 1
    # In the middle of a frame, where no rounding leads to its neighbour.
    number = picture.frames // 2
    at_s = float((number + 0.5) / picture.rate)
    answer = shown(program, film, at_s)
    if "error" in answer:
        print(f"{program} does not play {film}: {answer['error']}")
        return 1
    return report(film, answer, picture, at_s, number)


def report(
    film: Path, answer: dict[str, Any], picture: probe.VideoStream, at_s: float, number: int
) -> int:
    """Print what was compared; return 0 if all agrees, else 1."""
    mean = decoded(film, at_s, picture.upright_px)
    off = max(abs(a - b) for a, b in zip(answer["mean"], mean, strict=True))
    step_s = float(1 / picture.rate)
    sound = probe.inspect(film).sound
    length_s = max(picture.end_s, sound.end_s if sound else 0.0)
    height, width = picture.upright_px
    checks = [
        ("duration", f"{answer['duration_s']:.3f} s", f"{length_s:.3f} s",
         abs(answer["duration_s"] - length_s) <= step_s),
        ("size", f"{answer['width']}x{answer['height']}", f"{width}x{height}",
         (answer["height"], answer["width"]) == (height, width)),
        (f"mean colour of frame {number}", _levels(answer["mean"]), _levels(mean),
         off <= COLOUR_LEVELS),
        ("plays", f"{answer['played_s']:.2f} s in 0.5 s", "more than 0", answer["played_s"] > 0),
    ]  # fmt: skip
    for what, seen, meant, is_right in checks:
        print(f"{'ok   ' if is_right else 'WRONG'} {what}: Chromium {seen}, the file {meant}")
    return 0 if all(one[-1] for one in checks) else 1


def _levels(colour: list[float]) -> str:
    return ", ".join(f"{one:.1f}" for one in colour)


if __name__ == "__main__":
    sys.exit(main())
