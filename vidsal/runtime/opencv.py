"""The only import of OpenCV; it fails on servers without X libraries, with a line on what to do."""

import os

from vidsal.errors import VidsalError

# Time limit in seconds for a camera that hangs; OpenCV's default is 10. Nothing can interrupt it.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "3")
# Packets of sound, or empty ones, that may come before the next picture. By default OpenCV takes a
# file for ended after 4096 of them, which a recording of a still screen has in a minute.
os.environ.setdefault("OPENCV_FFMPEG_READ_ATTEMPTS", "100000000")
try:
    import cv2 as cv2
except ImportError as error:
    raise VidsalError(
        f"OpenCV cannot be loaded ({error}). On a machine without a desktop use its headless "
        "build: pip uninstall -y opencv-python && pip install opencv-python-headless"
    ) from error
