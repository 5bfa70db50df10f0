"""A picture file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imageio.v3 as iio

from vidsal.runtime.atomic_write import atomic_write, writing
from vidsal.sinks.base import Write
from vidsal.types import Rgb, Saliency

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


@contextmanager
def image_sink(path: Path) -> Iterator[Write]:
    """Lend a function that writes the one picture of a one-frame source."""
    options: dict[str, Any] = {} if path.suffix.lower() == ".png" else {"quality": 95}
    with atomic_write(path) as part:

        def write(saliency: Saliency, picture: Rgb) -> None:
            with writing(path):
                iio.imwrite(part, picture, plugin="pillow", **options)

        yield write
