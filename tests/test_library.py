"""The library as its users see it: only ``import vidsal`` and arrays."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import vidsal

MOTION_ONLY = vidsal.Settings(model="none", working_width=160)
LITE0 = vidsal.Settings(model="lite0", short_side=64, samples=2, working_width=160)
SIZE = (90, 160)
GREY = np.full((3, 4), 0.5, np.float32)


def texture(seed: int = 0, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """Smooth noise, which optical flow can follow."""
    coarse = np.random.default_rng(seed).integers(0, 256, (size[0] // 5, size[1] // 5, 3), np.uint8)
    image = Image.fromarray(coarse).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.asarray(image)


def moving_patch(frames: int = 8, step_px: int = 3) -> list[NDArray[np.uint8]]:
    """A textured patch that moves to the right over a still texture."""
    background, patch = texture(0) // 2, texture(1, (30, 30))
    pictures = []
    for n in range(frames):
        picture = background.copy()
        left = 20 + step_px * n
        picture[30:60, left : left + 30] = patch // 2 + 128
        pictures.append(picture)
    return pictures


def test_a_list_of_arrays_gives_one_saliency_a_frame() -> None:
    pictures = moving_patch()
    results = list(vidsal.analyse(pictures, MOTION_ONLY, fps=25))
    assert [one.frame.index for one in results] == list(range(8))
    assert [one.frame.time_s for one in results] == pytest.approx(np.arange(8) / 25)
    last = results[-1]
    assert last.fused.shape == SIZE and last.fused.dtype == np.float32
    inside = last.fused[35:55, 45:70].mean()
    outside = last.fused[65:, :].mean()
    assert inside > 0.5 > 10 * outside


def test_a_generator_can_be_left_at_any_time() -> None:
    closed = []

    def camera() -> Iterator[NDArray[np.uint8]]:
        try:
            while True:
                yield from moving_patch()
        finally:
            closed.append(True)

    with vidsal.analyse(camera(), MOTION_ONLY, fps=30) as analysis:
        assert analysis.info.width_px == 160 and analysis.info.fps == 30
        assert next(analysis).frame.index == 0
        assert next(analysis).frame.index == 1
    assert closed == [True]
    assert list(analysis) == []


def test_times_decide_the_speed() -> None:
    pictures = moving_patch(4)
    slow, fast = (
        list(vidsal.analyse(pictures, MOTION_ONLY, times=[n * step for n in range(4)]))[-1]
        for step in (0.1, 0.05)
    )
    assert fast.speed.max() == pytest.approx(2 * slow.speed.max(), rel=0.05)


def test_arrays_are_analysed_as_a_file_with_the_same_pixels(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    pictures = moving_patch(6)
    vidsal.run(pictures, vidsal.Settings(
        model="none", fps=Fraction(25), codec="ffv1", alpha=0.0, annotate=False, output=path,
    ))  # fmt: skip
    with vidsal.open_video(path) as video:
        assert video.fps == 25 and (video.info.height_px, video.info.width_px) == (90, 160)
        frames = list(video)
    for frame, picture in zip(frames, pictures, strict=True):
        assert np.array_equal(frame.rgb, picture)
    from_file = list(vidsal.analyse(path, MOTION_ONLY))
    from_arrays = list(vidsal.analyse(pictures, MOTION_ONLY, fps=25))
    for one, other in zip(from_file, from_arrays, strict=True):
        assert np.array_equal(one.fused, other.fused)


def test_a_photo_is_one_frame_for_every_kind_of_picture(tmp_path: Path) -> None:
    rgb = texture()
    Image.fromarray(rgb).save(tmp_path / "photo.png")
    analyser = vidsal.Analyser(LITE0)
    first = analyser.photo(rgb)
    assert first.static is not None and first.static.max() == 1
    assert first.prediction is not None and len(first.prediction.names) == 5
    assert not first.frame.has_time and not first.motion.any()
    for picture in (Image.fromarray(rgb), tmp_path / "photo.png"):
        with analyser.analyse(picture) as analysis:
            (again,) = analysis
        assert np.array_equal(again.fused, first.fused)
    assert np.array_equal(vidsal.static_saliency(rgb, analyser=analyser), first.static)


def test_the_network_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from vidsal.static import models

    opened = []
    real = models.open_static

    def opening(*args: Any) -> Any:
        opened.append(args)
        return real(*args)

    monkeypatch.setattr(models, "open_static", opening)
    analyser = vidsal.Analyser(LITE0)
    first, second = (analyser.photo(texture(n)).static for n in range(2))
    assert len(opened) == 1
    assert first is not None and second is not None and not np.array_equal(first, second)


def test_optical_flow_finds_a_known_shift() -> None:
    picture = texture(3)
    shifted = np.roll(picture, (2, -3), axis=(0, 1))
    flow = vidsal.optical_flow(picture, shifted)
    assert flow.shape == (*SIZE, 2)
    inner = flow[20:-20, 20:-20]
    assert np.median(inner, axis=(0, 1)) == pytest.approx([-3, 2], abs=0.1)


def test_motion_saliency_marks_what_moves_and_is_zero_for_a_still() -> None:
    before, after = moving_patch(2)
    values = vidsal.motion_saliency(before, after, fps=25)
    assert values.shape == SIZE and 0 <= values.min() < 0.01 and values.max() == 1
    row, column = np.unravel_index(values.argmax(), SIZE)
    assert 25 <= row < 65 and 15 <= column < 60
    assert not vidsal.motion_saliency(before, before.copy()).any()
    small = vidsal.motion_saliency(before, after, working_width=80)
    assert small.shape == (45, 80)


def test_fuse_multiplies_by_motion_and_leaves_a_still_map() -> None:
    static = np.linspace(0, 1, 100, dtype=np.float32).reshape(10, 10)
    motion = np.zeros((10, 10), np.float32)
    still = vidsal.fuse(static, motion)
    assert np.corrcoef(still.ravel(), static.ravel())[0, 1] > 0.999
    motion[0] = 1
    fused = vidsal.fuse(static, motion, gain=4.0)
    # S + 4 S D, on one scale: the first row counts five times.
    assert fused[0, 5] / fused[1, 0] == pytest.approx(5 * static[0, 5] / static[1, 0], rel=1e-4)


def test_overlay_keeps_the_size_and_cold_pixels() -> None:
    rgb = texture(4, (91, 161))
    values = np.zeros((9, 16), np.float32)
    assert np.array_equal(vidsal.overlay(rgb, values), rgb)
    values[4, 8] = 1
    drawn = vidsal.overlay(rgb, values, colormap="viridis", alpha=1.0)
    assert drawn.shape == rgb.shape and drawn.dtype == np.uint8
    changed = (drawn != rgb).any(axis=2)
    assert changed[45, 85] and not changed[:20].any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: vidsal.overlay(texture(), np.full((3, 4), 7, np.float32)),
            r"saliency_map must be in \[0, 1\]",
        ),
        (
            lambda: vidsal.overlay(texture(), np.zeros((3, 4, 3), np.float32)),
            r"saliency_map must be a \(h, w\) float array",
        ),
        (
            lambda: vidsal.overlay(texture() / 255, np.zeros((3, 4), np.float32)),
            "scale it to 0..255",
        ),
        (
            lambda: vidsal.fuse(np.zeros((3, 4), np.float32), np.zeros((4, 3), np.float32)),
            "static is .* but motion is",
        ),
        (lambda: vidsal.optical_flow(texture(), texture(0, (10, 10))), "previous is"),
        (
            lambda: vidsal.optical_flow(*np.zeros((2, 32767, 1), np.uint8)),
            "optical flow takes pictures with sides up to 32766 pixels, got 1x32767",
        ),
        (
            lambda: vidsal.motion_saliency(texture(), texture(), fps=0),
            "fps must be a number above 0",
        ),
        (
            lambda: vidsal.motion_saliency(texture(), texture(), working_width=3),
            "working_width= must",
        ),
        (lambda: vidsal.optical_flow(texture(), texture(), method="x"), "flow= must be one of"),  # type: ignore[arg-type]
        (lambda: vidsal.fuse(GREY, GREY, method="x"), "fusion= must be one of"),  # type: ignore[arg-type]
        (lambda: vidsal.Analyser(model=5), "got int; a model without an input shape"),
        (lambda: vidsal.fuse(GREY, GREY, gain=-1), "gain= must be 0 to 100"),
        (lambda: vidsal.Analyser(MOTION_ONLY).photo("cat.jpg"), r"use analyse\(\)"),
        (lambda: vidsal.draw(texture()), "vidsal.overlay draws arrays"),  # type: ignore[arg-type]
        (
            lambda: vidsal.analyse([texture()], vidsal.Settings(model="none", every=2)),
            "every= cannot be used for arrays",
        ),
        (
            lambda: vidsal.run([texture()], vidsal.Settings(model="none", resume=True)),
            "resume=True is for files",
        ),
        (lambda: vidsal.static_saliency(texture(), MOTION_ONLY), "needs a network"),
        (lambda: vidsal.analyse("clip.mp4", fps=25), "are for arrays"),
        (
            lambda: vidsal.Settings(layout="quadd"),  # type: ignore[arg-type]
            "layout= must be one of",
        ),
        (lambda: vidsal.Settings(fresh=3, samples=2), "fresh= must be at most samples="),
    ],
)
def test_wrong_arguments_are_named_in_python(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(vidsal.UsageError, match=message) as caught:
        call()
    assert "--" not in str(caught.value)


def test_saliency_says_what_it_is() -> None:
    results = list(vidsal.analyse(moving_patch(3), MOTION_ONLY, fps=25))
    assert repr(results[1]) == "Saliency(frame 1, 0.04 s, 160x90, 100% by motion, maps 160x90)"
    values = results[1].to_dict()
    assert (values["frame"], values["time_s"], values["is_cut"]) == (1, 0.04, False)
    assert values["speed_p95"] == pytest.approx(np.percentile(results[1].speed, 95))
    assert "model" not in values
    photo = vidsal.Analyser(LITE0).photo(texture())
    assert photo.to_dict()["time_s"] is None
    assert photo.to_dict()["model"] == "EfficientNet-Lite0"
    assert photo.prediction is not None and photo.prediction.names[0] in repr(photo)


def test_a_notebook_shows_the_drawn_picture() -> None:
    import io

    *_, last = vidsal.analyse(moving_patch(3), MOTION_ONLY, fps=25)
    data = last._repr_png_()
    assert data is not None
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image), vidsal.draw(last))


def test_the_loop_of_the_slide(tmp_path: Path) -> None:
    source = tmp_path / "clip.mp4"
    vidsal.run(moving_patch(9), vidsal.Settings(model="none", fps=Fraction(25), output=source))
    analyser = vidsal.Analyser(MOTION_ONLY)
    out = tmp_path / "out.mp4"
    with vidsal.open_video(source) as video, vidsal.VideoWriter(out, video.fps) as writer:
        for saliency in analyser.analyse(video):
            writer.write(vidsal.overlay(saliency.frame.rgb, saliency.fused))
    with vidsal.open_video(out) as written:
        frames = list(written)
        assert len(frames) == 9 and written.fps == 25
        assert frames[0].rgb.shape == (90, 160, 3)


def test_a_model_object_cannot_be_resumed(tmp_path: Path) -> None:
    class Model:
        """Looks like a Keras model."""

        layers: tuple[object, ...] = ()
        inputs: tuple[object, ...] = ()
        name = "mine"

    settings = vidsal.Settings(model=Model(), resume=True, output=tmp_path / "o.mp4")
    with pytest.raises(vidsal.UsageError, match="resume=True needs a model"):
        vidsal.run(moving_patch(2), settings)


def test_the_rate_of_the_settings_is_that_of_arrays() -> None:
    settings = vidsal.Settings(model="none", fps=Fraction(5))
    results = list(vidsal.analyse(moving_patch(3), settings))
    assert [one.frame.time_s for one in results] == pytest.approx([0, 0.2, 0.4])
