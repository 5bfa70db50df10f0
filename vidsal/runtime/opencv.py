"""The one door to OpenCV: its import fails on a server without X libraries, so say what to do."""

import os

from vidsal.errors import VidsalError

# A camera that hangs is given up after so many seconds, not ten; until then nothing can end.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "3")
# Packets of sound, or of nothing, that may come before the next picture: after 4096 of them, which
# a still screen has in a minute, OpenCV would take the file for over.
os.environ.setdefault("OPENCV_FFMPEG_READ_ATTEMPTS", "100000000")
try:
    import cv2 as cv2
except ImportError as error:
    raise VidsalError(
        f"OpenCV cannot be loaded ({error}). On a machine without a desktop use its headless "
        "build: pip uninstall -y opencv-python && pip install opencv-python-headless"
    ) from error
