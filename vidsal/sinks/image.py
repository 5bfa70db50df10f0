"""A picture file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imageio.v3 as iio

from vidsal.frames import Rgb, Saliency
from vidsal.sink import Write, staged, writing

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


@contextmanager
def image_sink(path: Path) -> Iterator[Write]:
    """Lend a function that writes the one picture of a one-frame source."""
    options: dict[str, Any] = {} if path.suffix.lower() == ".png" else {"quality": 95}
    with staged(path) as part:

        def write(saliency: Saliency, picture: Rgb) -> None:
            with writing(path):
                iio.imwrite(part, picture, plugin="pillow", **options)

        yield write
