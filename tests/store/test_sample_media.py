"""Pictures of a store are those of the run, on the sample clip."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import vidsal
from vidsal.render.overlay import colours
from vidsal.rendering import results_of
from vidsal.settings import Colormap, Layout, Settings
from vidsal.store.opening import open_store
from vidsal.stored.source import source_of
from vidsal.types import Saliency

CLIP = Path(__file__).parents[2] / "sample_media" / "chinchilla.mp4"
Pair = tuple[Saliency, Saliency]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    """Return some frames as the analysis gives them and as their store does."""
    folder = tmp_path_factory.mktemp("sample")
    settings = Settings(model="none", duration=1.2)
    kept = dataclasses.replace(settings, keep=folder / "s.vidsal", output=folder / "o.mp4")
    vidsal.run(CLIP, kept, progress=False)
    with vidsal.analyse(CLIP, settings) as direct:
        expected = list(direct)
    store = open_store(folder / "s.vidsal")
    with source_of(store, store.settings) as source:
        found = list(results_of(store, source.frames(), store.settings))
    assert len(expected) == len(found) >= 28
    return list(zip(expected, found, strict=True))


def test_the_values_are_those_of_the_run(pairs: list[Pair]) -> None:
    for one, two in pairs:
        assert one.marker == two.marker and one.peak == two.peak
        assert one.caption_corner == two.caption_corner
        # Half of one of the 256 levels that are drawn.
        assert np.abs(one.fused - two.fused).max() <= 0.5 / 255
        assert np.abs(one.motion - two.motion).max() <= 0.5 / 255


@pytest.mark.parametrize("colormap", ["inferno", "viridis", "grey"])
@pytest.mark.parametrize("layout", ["overlay", "side-by-side", "map", "triptych", "quad", "strip"])
def test_the_pictures_are_those_of_the_run(
    pairs: list[Pair], layout: Layout, colormap: Colormap
) -> None:
    settings = Settings(model="none", layout=layout, colormap=colormap, width=640)
    # A level of the map more or less is one step of the colours; enlarging may make it two.
    step = np.abs(np.diff(colours(colormap).astype(int), axis=0)).max()
    for one, two in pairs[::9]:
        first, second = (vidsal.draw(each, settings).astype(int) for each in (one, two))
        difference = np.abs(first - second)
        assert difference.max() <= 2 * step
        assert (difference > 0).mean() < 4e-3
