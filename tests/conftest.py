"""Shared by many tests: generated media, scripts as modules, a check for leaks."""

import functools
import importlib.util
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import cv2
import hypothesis
import imageio_ffmpeg
import numpy as np
import psutil
import pytest

from vidsal import errors
from vidsal.render import draw, text
from vidsal.static import models
from vidsal.static.models import ModelChoice
from vidsal.types import Map, Request, Rgb, Target

# A loaded machine is slow now and then: that is not a failure of an example.
hypothesis.settings.register_profile("vidsal", deadline=None)
hypothesis.settings.load_profile("vidsal")

ROOT = Path(__file__).resolve().parents[1]

# A shell without job control starts background jobs with SIGINT ignored, and child processes
# inherit this. Tests of Ctrl-C need the default handler, here and in child processes.
signal.signal(signal.SIGINT, signal.default_int_handler)


class MakeClip(Protocol):
    """Encode a moving, coloured test picture as a video file and return its path.

    `size` is (height, width), `sound` the name of an encoder such as ``aac``, `options` are further
    arguments for the output, and `picture` is a lavfi source with optional arguments.
    """

    def __call__(
        self,
        name: str = "clip.mp4",
        *,
        size: tuple[int, int] = (48, 64),
        rate: str = "25",
        frames: int = 20,
        codec: str = "libx264",
        sound: str | None = None,
        options: Sequence[str] = (),
        picture: str = "testsrc2",
    ) -> Path: ...


class LoadScript(Protocol):
    """Import a file of ``scripts/`` as a module, by its name without suffix."""

    def __call__(self, name: str) -> ModuleType: ...


class BrightnessStage:
    """A static stage without a network: its map is the brightness of the picture.

    It records the pictures and requests of each call of `maps`, and the pictures of `predict`.
    """

    precision: str | None = None
    is_decided = True

    def __init__(
        self,
        names: tuple[str, ...] = ("dark", "bright"),
        *,
        target: Target = Target(top=1),  # noqa: B008 -- frozen
        input_size: tuple[int, int] | None = None,
    ) -> None:
        self.names = names
        self.target = target
        self.input_size = input_size
        self.pictures: list[Rgb] = []
        self.requests: list[list[Request]] = []
        self.looked_at: list[Rgb] = []

    @property
    def asked(self) -> list[Request]:
        """All requests, in order."""
        return [one for call in self.requests for one in call]

    def predict(self, rgb: Rgb) -> Map:
        """Return 60 % for the last class, and equal shares for the others."""
        self.looked_at.extend(rgb)
        rest = 0.4 / max(1, len(self.names) - 1)
        one = np.full(len(self.names), rest, np.float32)
        one[-1] = 0.6
        return np.tile(one, (len(rgb), 1))

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        """Return the brightness of each picture."""
        self.pictures.append(rgb)
        self.requests.append(list(requests))
        return np.asarray(rgb.mean(axis=-1), np.float32)


def run_ffmpeg(*arguments: str) -> None:
    """Run the ffmpeg that vidsal uses."""
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-hide_banner",
        "-loglevel",
        "error",
        "-y",
        *arguments,
    ]
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr


def load_script(name: str) -> ModuleType:
    """Import a file of ``scripts/`` as a module; a second call gives the same module."""
    module_name = f"scripts_{name}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look up their module while they are created.
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session", name="load_script")
def _load_script() -> LoadScript:
    return load_script


@pytest.fixture(scope="session")
def sample_media() -> Path:
    """The folder of the clips and photos that ship with vidsal."""
    return ROOT / "sample_media"


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """Encode small video files in the temporary folder of the test."""

    def make(
        name: str = "clip.mp4",
        *,
        size: tuple[int, int] = (48, 64),
        rate: str = "25",
        frames: int = 20,
        codec: str = "libx264",
        sound: str | None = None,
        options: Sequence[str] = (),
        picture: str = "testsrc2",
    ) -> Path:
        path = tmp_path / name
        separator = ":" if "=" in picture else "="
        arguments = [
            "-f",
            "lavfi",
            "-i",
            f"{picture}{separator}size={size[1]}x{size[0]}:rate={rate}",
        ]
        if sound:
            length_s = float(frames / Fraction(rate))
            arguments += ["-f", "lavfi", "-i", f"sine=440:sample_rate=44100:duration={length_s}"]
        arguments += ["-frames:v", str(frames), "-c:v", codec]
        if codec == "libx264":
            arguments += ["-preset", "veryfast", "-crf", "12", "-pix_fmt", "yuv420p"]
        if sound:
            arguments += ["-c:a", sound]
        run_ffmpeg(*arguments, *options, str(path))
        return path

    return make


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An empty folder for a dataset."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """An empty folder for the maps of another program."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    return folder


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Record each text that is drawn into a picture, and its height."""
    texts: list[tuple[str, int]] = []
    real = text.write

    def write(picture: Rgb, text: str, size_px: int, **options: Any) -> int:
        texts.append((text, size_px))
        return real(picture, text, size_px, **options)

    monkeypatch.setattr(draw, "write", write)
    return texts


@pytest.fixture
def interrupted_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise KeyboardInterrupt as soon as a thread runs, before its `start` returns."""
    real_start = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        real_start(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start)


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to the temporary folder of the test."""
    monkeypatch.chdir(tmp_path)


# Has a module note, whenever it draws a frame, how many threads OpenCV has.
ThreadsSeen = Callable[[ModuleType, str], set[int]]


@pytest.fixture
def four_opencv_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadsSeen]:
    """Give OpenCV four threads; the test must leave them."""

    def watch(module: ModuleType, name: str) -> set[int]:
        seen, real = set(), getattr(module, name)

        def noting(*args: Any) -> Any:
            seen.add(cv2.getNumThreads())
            return real(*args)

        monkeypatch.setattr(module, name, noting)
        return seen

    before = cv2.getNumThreads()
    cv2.setNumThreads(4)
    try:
        yield watch
        assert cv2.getNumThreads() == 4
    finally:
        cv2.setNumThreads(before)


@pytest.fixture(autouse=True)
def _python_names_of_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo the flag wording that a test of the command line in this process switches on."""
    monkeypatch.setattr(errors, "_names_flags", False)


@pytest.fixture(autouse=True)
def threads_and_children() -> Iterator[None]:
    """Check after each test that no thread of vidsal and no ffmpeg process is left."""
    here = psutil.Process()
    before = {child.pid for child in here.children(recursive=True)}
    yield
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("vidsal")]
    assert not left, f"threads left: {left}"
    for child in here.children(recursive=True):
        if child.pid not in before:
            try:
                name = child.name()
            except psutil.NoSuchProcess:
                continue
            assert "ffmpeg" not in name, f"process left: {name} {child.pid} ({child.status()})"


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """Restore vidsal's logger after a test that ran the command line in the process."""
    logger = logging.getLogger("vidsal")
    before = logger.level, list(logger.handlers)
    yield
    logger.setLevel(before[0])
    logger.handlers = before[1]


def scene_of(load_script: LoadScript, **options: Any) -> tuple[Any, list[Rgb]]:
    """Return the square's box as a function of the frame, and the frames of a synthetic scene."""
    script = load_script("make_synthetic_clip")
    defaults = {
        "width": 160, "height": 90, "frame_count": 10, "square_size": 32, "square_start": (100, 20)
    }  # fmt: skip
    scene = script.Scene(**defaults | options)
    return functools.partial(script.square_box, scene=scene), list(script.frames(scene))


@pytest.fixture(scope="module")
def clip(load_script: LoadScript) -> list[Rgb]:
    """Ten frames of a square that moves evenly over an even pan."""
    return scene_of(load_script)[1]


@pytest.fixture(scope="module")
def other_clip(clip: list[Rgb]) -> list[Rgb]:
    """Ten frames of another scene: the same motion in other colours."""
    return [np.ascontiguousarray(255 - rgb[..., ::-1]) for rgb in clip]


def until(holds: Callable[[], bool], limit_s: float = 5.0) -> None:
    """Wait until a condition holds; fail after `limit_s` seconds."""
    end_s = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end_s, "the condition did not hold in time"
        time.sleep(0.002)


def even_flow(rows: int, columns: int, size: tuple[int, int] = (20, 30)) -> Map:
    """Return a flow that is the same everywhere, in pixels."""
    flow = np.zeros((*size, 2), np.float32)
    flow[..., 0], flow[..., 1] = columns, rows
    return flow


@pytest.fixture
def brightness(monkeypatch: pytest.MonkeyPatch) -> BrightnessStage:
    """Put a stage whose map is the picture's own brightness where the network would be."""
    stage = BrightnessStage()
    monkeypatch.setattr(models, "choose", lambda *_, **__: ModelChoice("lite0"))
    monkeypatch.setattr(models, "open_static", lambda *_: stage)
    return stage


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder beside the clips."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def kept(make_clip: MakeClip, brightness: BrightnessStage) -> Path:
    """A clip of 40 frames whose analysis is kept; it is large enough for captions."""
    from store_help import settings_of

    from vidsal import run

    clip = make_clip(frames=40, size=(108, 192))
    run(clip, settings_of())
    assert len(brightness.pictures) > 0
    return clip
