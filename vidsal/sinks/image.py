"""An image file with one picture."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vidsal.runtime.atomic_write import atomic_write, writing
from vidsal.yuv import Picture, as_rgb

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
_JPEG_QUALITY = 95


class ImageSink:
    """Writes the only picture of a photo.

    Parameters
    ----------
    path : Path
        Final path, for the format and for messages.
    part : Path
        The file that is written.
    """

    def __init__(self, path: Path, part: Path) -> None:
        self._path, self._part = path, part

    def write(self, picture: Picture, time_s: float) -> None:
        """Write the picture.

        Parameters
        ----------
        picture : (H, W, 3) uint8 array, or Yuv420
        time_s : float
            Ignored: a photo has no time.

        Raises
        ------
        VidsalError
            If it cannot be written.
        """
        import imageio.v3 as iio

        is_png = self._path.suffix.lower() == ".png"
        options: dict[str, Any] = {} if is_png else {"quality": _JPEG_QUALITY}
        with writing(self._path):
            iio.imwrite(self._part, as_rgb(picture), plugin="pillow", **options)


@contextmanager
def image_sink(path: Path) -> Iterator[ImageSink]:
    """Lend a sink that writes an image file.

    Parameters
    ----------
    path : Path
        Its suffix is one of `IMAGE_SUFFIXES`.

    Yields
    ------
    ImageSink

    Raises
    ------
    VidsalError
        If the file cannot be written.
    """
    with atomic_write(path) as part:
        yield ImageSink(path, part)
