"""The image file of a photo."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sink_help import make_picture, names_in

from vidsal.sinks.image import image_sink

pytestmark = pytest.mark.usefixtures("own_folder")


def test_photo_png_is_exact_and_jpeg_is_close(tmp_path: Path) -> None:
    picture = make_picture(4)
    # JPEG blurs colour across the edges of the blocks, and only there.
    for name, far in (("a.png", 0), ("a.jpg", 4), ("a.JPEG", 4)):
        with image_sink(tmp_path / name) as sink:
            sink.write(picture, 0.0)
        seen = np.asarray(Image.open(tmp_path / name)).astype(int)
        assert np.abs(seen - picture).mean() <= far
    assert names_in(tmp_path) == ["a.JPEG", "a.jpg", "a.png"]
    with pytest.raises(RuntimeError), image_sink(tmp_path / "b.png") as sink:
        sink.write(picture, 0.0)
        raise RuntimeError
    assert names_in(tmp_path) == ["a.JPEG", "a.jpg", "a.png"]
