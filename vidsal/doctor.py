"""The programs, libraries and devices of this machine, as lines of text for bug reports."""

import importlib.resources
import platform
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence

from vidsal._version import __version__
from vidsal.errors import VidsalError, flat, option
from vidsal.media import banner, ffmpeg
from vidsal.media.codecs import software_encoders
from vidsal.static import weights
from vidsal.static.layers import Layer
from vidsal.static.models import load_tensorflow

# Camera numbers that are tried. Higher numbers are seldom cameras, and each try costs time.
_CAMERAS = 4


def model_lines() -> list[str]:
    """Return one line for each network: its name, description and state."""
    published = weights.RESNET50
    if published.is_cached():
        state = f"weights in {published.path}"
    else:
        state = f"weights missing: downloaded at first use to {published.path}"
    return [
        f"resnet50  ResNet50, ImageNet, 25.6 M parameters: {state}",
        "lite0     EfficientNet-Lite0, ImageNet, 4.7 M parameters: bundled, always usable",
        "a name    any classifier in keras.applications, weights as for resnet50",
        f"a file    your own classifier, saved as .keras or .h5; see {option('preprocess')} and "
        f"{option('labels')}",
        "none      no network, motion only; TensorFlow is not loaded",
        "auto      resnet50 if its weights are here or can be downloaded, else lite0 (default)",
    ]


def layer_lines(
    layers: Sequence[Layer], marks: Mapping[str, Sequence[str]], *, shows_all: bool
) -> list[str]:
    """Return a table of a network's layers.

    Parameters
    ----------
    layers : sequence of Layer
    marks : mapping of str to sequence of str
        See `vidsal.static.models.network_layers`.
    shows_all : bool
        Whether layers without a mark are listed, too.
    """
    if not layers:
        return [f"no layer has more than one place: use {option('layer', 'input')}"]
    rows = [
        (f"/{one.stride}", str(one.channels), one.name, ", ".join(marks.get(one.name, ())))
        for one in layers
        if shows_all or one.name in marks
    ]
    rows.insert(0, ("stride", "channels", "layer", "also called"))
    width = max(len(row[2]) for row in rows)
    return [f"{row[0]:>6}  {row[1]:>8}  {row[2]:<{width}}  {row[3]}".rstrip() for row in rows]


def report() -> Iterator[str]:
    """Yield one line for each part of the machine; a part that fails has its cause instead."""
    parts: list[tuple[str, Callable[[], str]]] = [
        ("vidsal", lambda: __version__),
        ("Python", lambda: f"{platform.python_version()} on {platform.platform()}"),
        ("OpenCV", _opencv),
        ("ffmpeg", _ffmpeg),
        ("encoders", _encoders),
        ("TensorFlow", _tensorflow),
        ("weights", _weights),
        ("cameras", _cameras),
    ]
    for name, describe in parts:
        try:
            description = describe()
        # A broken part must not hide the parts after it.
        except Exception as error:
            description = f"PROBLEM: {flat(error) or type(error).__name__}"
        yield f"{name:<11} {description}"


def _opencv() -> str:
    from vidsal.runtime.opencv import cv2

    build = cv2.getBuildInformation()
    gui = re.search(r"GUI:\s*(\S+)", build)
    return f"{cv2.__version__}, windows: {gui.group(1) if gui else 'unknown'}"


def _ffmpeg() -> str:
    path = ffmpeg.executable()
    return f"{banner.version(_output([path, '-version']))} at {path}"


def _encoders() -> str:
    available = ffmpeg.encoders(ffmpeg.executable())
    if "libx264" not in available:
        raise VidsalError(
            "this ffmpeg lacks libx264, vidsal's default encoder: install another ffmpeg build"
        )
    return ", ".join(name for name in software_encoders() if name in available)


def _tensorflow() -> str:
    tf = load_tensorflow()

    devices = [device.name.split(":", 1)[1] for device in tf.config.list_physical_devices()]
    return f"{tf.__version__}, Keras {tf.keras.__version__}, devices: {', '.join(devices)}"


def _weights() -> str:
    path = weights.RESNET50.path
    state = "in the cache" if weights.RESNET50.is_cached() else "not in the cache"
    bundled = importlib.resources.files("vidsal") / "data" / weights.LITE0_FILE
    if not bundled.is_file():
        raise VidsalError("EfficientNet-Lite0's weights are missing: reinstall vidsal")
    return f"resnet50 {state} ({path}), lite0 bundled"


def _cameras() -> str:
    from vidsal.runtime.opencv import cv2

    cameras = []
    for number in range(_CAMERAS):
        capture = cv2.VideoCapture(number)
        if capture.isOpened():
            sides = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
            width, height = (capture.get(side) for side in sides)
            cameras.append(f"{number} ({width:.0f}x{height:.0f})")
        capture.release()
    return ", ".join(cameras) or "none answers"


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
