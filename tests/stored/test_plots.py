"""Plots of stored analyses, and frames that show themselves."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import BrightnessStage, MakeClip
from store_help import kept_run, store_of

import vidsal
from vidsal.errors import UsageError, VidsalError

pytest.importorskip("zarr")
pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.fixture
def pyplot() -> Any:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def test_the_curves_are_the_numbers_of_the_store(
    make_clip: MakeClip, brightness: BrightnessStage, pyplot: Any
) -> None:
    kept_run(make_clip(frames=12))
    store = vidsal.open_store("s.vidsal")
    figure = store.plot()
    classes, motion, concentration = figure.axes
    assert [line.get_label() for line in classes.lines] == ["bright", "dark"]
    for n, line in enumerate(classes.lines):
        assert np.array_equal(line.get_ydata(), store.probabilities()[:, n])
        assert np.array_equal(line.get_xdata(), store.array("time_s"))
    assert np.array_equal(motion.lines[0].get_ydata(), store.array("motion_share"))
    assert np.array_equal(concentration.lines[0].get_ydata(), store.concentration())
    assert [one.get_ylabel().split()[0] for one in figure.axes] == [
        "probability", "share", "concentration",
    ]  # fmt: skip
    assert concentration.get_xlabel() == "time (s)"
    assert classes.get_title(loc="left").startswith("clip.mp4")


def test_cuts_are_marked(brightness: BrightnessStage, pyplot: Any) -> None:
    rng = np.random.default_rng(0)
    scenes = [rng.integers(low, low + 90, (48, 64, 3), np.uint8) for low in (0, 160)]
    with vidsal.VideoWriter("cut.mkv", 25, vidsal.Settings(codec="ffv1")) as video:
        for n in range(24):
            video.write(scenes[n >= 14])
    kept_run("cut.mkv")
    for panel in vidsal.open_store("s.vidsal").plot().axes:
        times = [np.asarray(line.get_xdata(), float) for line in panel.lines]
        # A mark has two ends, a curve 24 points.
        marks = [one for one in times if len(one) == 2]
        assert len(marks) == 1 and marks[0] == pytest.approx(14 / 25)


@pytest.mark.filterwarnings("error")
def test_no_classes_have_no_legend(
    make_clip: MakeClip, brightness: BrightnessStage, pyplot: Any
) -> None:
    kept_run(make_clip(frames=3))
    (ax,) = vidsal.open_store("s.vidsal").plot("classes", classes=[]).axes
    assert not ax.lines and ax.get_legend() is None


def test_curves_go_into_given_axes(pyplot: Any) -> None:
    store = store_of([np.eye(12, 16, dtype=np.float32)] * 4)
    figure, (left, right) = pyplot.subplots(1, 2)
    assert store.plot("motion", ax=left) is figure
    assert len(left.lines) == 1 and not right.lines
    assert store.plot(["concentration", "motion"], ax=[right, left]) is figure
    assert right.lines[0].get_ydata() == pytest.approx([1 - 12 / 192] * 4)
    # Without a network there are no classes.
    assert len(store.plot().axes) == 2
    with pytest.raises(UsageError, match="there are 2 curves, but 1 axes"):
        store.plot(ax=left)
    with pytest.raises(
        UsageError, match="curves= must be of classes, motion, concentration, got 'speed'"
    ):
        store.plot("speed")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="has no classes: it was made without a network"):
        store.plot("classes")


def test_a_frame_shows_its_picture(make_clip: MakeClip, pyplot: Any) -> None:
    clip = kept_run(make_clip(frames=12), model="none", start=0.2, every=2)
    store = vidsal.open_store("s.vidsal")
    frames = {one.index: one.rgb for one in vidsal.open_video(clip)}
    for n in (0, 2):
        frame = store[n]
        assert np.array_equal(frame.picture(), frames[frame.frame])
    figure = store[2].plot()
    (image,) = figure.axes[0].images
    shown = np.asarray(image.get_array())
    assert np.array_equal(shown, vidsal.overlay(frames[9], store[2].fused))
    assert figure.axes[0].get_title(loc="left") == "clip.mp4, frame 9, 0.36 s"
    assert repr(store[2]) == "AnalysedFrame(clip.mp4, frame 9, 0.36 s)"
    assert [one.frame for one in store] == [5, 7, 9, 11]
    _, ax = pyplot.subplots()
    assert store[1].plot(ax=ax) is ax.figure and len(ax.images) == 1


def test_a_frame_without_its_source_shows_its_map(make_clip: MakeClip, pyplot: Any) -> None:
    clip = kept_run(make_clip(frames=5), model="none")
    moved = clip.rename(clip.with_name("moved.mp4"))
    frame = vidsal.open_store("s.vidsal")[3]
    with pytest.raises(
        VidsalError, match="is missing: give the new place of the source with source="
    ):
        frame.picture()
    ax = frame.plot().axes[0]
    assert np.asarray(ax.images[0].get_array()).shape == (*frame.fused.shape, 3)
    assert "the map alone" in ax.get_title(loc="left")
    found = vidsal.open_store("s.vidsal", source=moved)[3]
    assert found.picture().shape == (48, 64, 3)
    other = make_clip("other.mp4", frames=4)
    with pytest.raises(VidsalError, match="is not the source"):
        vidsal.open_store("s.vidsal", source=other)[3].picture()


def test_a_photo_is_a_point(brightness: BrightnessStage, pyplot: Any) -> None:
    pyplot.imsave("p.png", np.random.default_rng(0).random((48, 64, 3)))
    kept_run("p.png", output=Path("o.png"), codec=None)
    store = vidsal.open_store("s.vidsal")
    assert all(panel.lines[0].get_marker() == "o" for panel in store.plot().axes)
    assert store[0].picture().shape == (48, 64, 3) and store[0].plot().axes


def test_a_missing_matplotlib_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of([np.eye(12, 16, dtype=np.float32)])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for call in (store.plot, store[0].plot):
        with pytest.raises(VidsalError, match=r"needs matplotlib .*: pip install 'vidsal\[plot\]'"):
            call()
