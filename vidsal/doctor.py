"""What vidsal finds on a machine, as lines of text: for people, and for bug reports."""

import importlib.resources
import platform
import re
import subprocess
from collections.abc import Callable, Iterator

from vidsal._version import __version__
from vidsal.errors import VidsalError, flat
from vidsal.media import banner, ffmpeg
from vidsal.media.codecs import software_encoders
from vidsal.static import weights
from vidsal.static.models import load_tensorflow

# More numbers than this are seldom cameras, and asking costs time each.
_CAMERAS = 4


def model_lines() -> list[str]:
    """Return one line for each network: its name, what it is, and whether it can be used."""
    published = weights.RESNET50
    if published.is_cached():
        state = f"weights in {published.path}"
    else:
        state = f"weights not here yet: downloaded at first use to {published.path}"
    return [
        f"resnet50  ResNet50, ImageNet, 25.6 M parameters: {state}",
        "lite0     EfficientNet-Lite0, ImageNet, 4.7 M parameters: bundled, always usable",
        "a name    any classifier in keras.applications, weights as for resnet50",
        "a file    your own classifier, saved as .keras or .h5; see --preprocess and --labels",
        "none      no network, motion only; TensorFlow is not loaded",
        "auto      resnet50 if its weights are here or can be downloaded, else lite0 (default)",
    ]


def report() -> Iterator[str]:
    """Yield what is found, a line each; what cannot be asked says why instead."""
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
    for name, ask in parts:
        try:
            answer = ask()
        # A diagnosis that ends at the first broken part would be no diagnosis.
        except Exception as error:
            answer = f"PROBLEM: {flat(error) or type(error).__name__}"
        yield f"{name:<11} {answer}"


def _opencv() -> str:
    from vidsal.runtime.opencv import cv2

    build = cv2.getBuildInformation()
    gui = re.search(r"GUI:\s*(\S+)", build)
    return f"{cv2.__version__}, windows: {gui.group(1) if gui else 'unknown'}"


def _ffmpeg() -> str:
    path = ffmpeg.executable()
    return f"{banner.version(_output([path, '-version']))} at {path}"


def _encoders() -> str:
    there = ffmpeg.encoders(ffmpeg.executable())
    if "libx264" not in there:
        raise VidsalError("this ffmpeg lacks libx264, which vidsal writes with")
    return ", ".join(name for name in software_encoders() if name in there)


def _tensorflow() -> str:
    tf = load_tensorflow()

    devices = [device.name.split(":", 1)[1] for device in tf.config.list_physical_devices()]
    return f"{tf.__version__}, Keras {tf.keras.__version__}, devices: {', '.join(devices)}"


def _weights() -> str:
    where = weights.RESNET50.path
    here = "in the cache" if weights.RESNET50.is_cached() else "not in the cache"
    bundled = importlib.resources.files("vidsal") / "data" / weights.LITE0_FILE
    if not bundled.is_file():
        raise VidsalError("EfficientNet-Lite0's weights are missing: reinstall vidsal")
    return f"resnet50 {here} ({where}), lite0 bundled"


def _cameras() -> str:
    from vidsal.runtime.opencv import cv2

    found = []
    for number in range(_CAMERAS):
        capture = cv2.VideoCapture(number)
        if capture.isOpened():
            sides = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
            width, height = (capture.get(side) for side in sides)
            found.append(f"{number} ({width:.0f}x{height:.0f})")
        capture.release()
    return ", ".join(found) or "none answers"


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
