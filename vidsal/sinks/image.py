"""A picture file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imageio.v3 as iio

from vidsal.runtime.atomic_write import atomic_write, writing
from vidsal.types import Rgb

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


class ImageSink:
    """Writes the one picture of a one-frame source."""

    def __init__(self, path: Path, part: Path) -> None:
        self._path, self._part = path, part

    def write(self, picture: Rgb, time_s: float) -> None:
        """Write the picture; a photo has no time.

        Raises
        ------
        VidsalError
            If it cannot be written.
        """
        is_png = self._path.suffix.lower() == ".png"
        options: dict[str, Any] = {} if is_png else {"quality": 95}
        with writing(self._path):
            iio.imwrite(self._part, picture, plugin="pillow", **options)


@contextmanager
def image_sink(path: Path) -> Iterator[ImageSink]:
    """Lend a sink that writes the one picture of a one-frame source."""
    with atomic_write(path) as part:
        yield ImageSink(path, part)
