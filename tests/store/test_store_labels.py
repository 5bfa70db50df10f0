"""Names of stored analyses: what they differ in."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from vidsal.settings import Settings
from vidsal.store.labels import MOTION_GROUPS, labels_of
from vidsal.store.reader import Store

NETWORKS = {"lite0": "EfficientNet-Lite0", "auto": "EfficientNet-Lite0", "none": None}


def store(path: str = "a.vidsal", **options: Any) -> Store:
    settings = Settings(**{"model": "lite0", **options})
    about = {"model_name": NETWORKS.get(settings.model_name, settings.model_name)}
    return cast(Store, SimpleNamespace(path=Path(path), settings=settings, about=about))


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        ([{}, {"method": "gradcam"}], ["smoothgrad", "gradcam"]),
        ([{}, {"target": "tabby"}], ["target auto", "target tabby"]),
        ([{}, {"contrast": 1.5}], ["contrast 3.5", "contrast 1.5"]),
        ([{}, {"model": "resnet50"}], ["EfficientNet-Lite0", "resnet50"]),
        ([{"samples": 3}, {"samples": 6, "flow": "dis"}],
         ["samples 3, flow farneback", "samples 6, flow dis"]),
        # Options of the network do not describe an analysis without one.
        ([{"target": "tabby", "fusion": "sum"}, {"model": "none", "flow": "dis"}],
         ["EfficientNet-Lite0, target tabby, flow farneback, fusion sum", "no network, flow dis"]),
        ([{}, {"model": "none"}], ["EfficientNet-Lite0", "no network"]),
        # A saved model is known by its file, without its folder.
        ([{}, {"model": "/models/mine.keras"}], ["EfficientNet-Lite0", "mine.keras"]),
        ([{"labels": Path("x/a.txt")}, {"labels": Path("y/b.txt")}],
         ["labels a.txt", "labels b.txt"]),
    ],
)  # fmt: skip
def test_labels_are_what_differs(options: list[dict[str, Any]], labels: list[str]) -> None:
    assert labels_of([store(**one) for one in options]) == labels


def test_pictures_and_outputs_are_no_difference_of_maps() -> None:
    # Two names of one network are one network.
    stores = [
        store("a.vidsal", model="auto", colormap="turbo", audio=False),
        store("x/b.vidsal", batch=2, layout="quad"),
    ]
    assert labels_of(stores) == ["a", "b"]


def test_only_some_groups_may_matter() -> None:
    stores = [store("a.vidsal", method="gradcam"), store("b.vidsal", flow="dis")]
    assert labels_of(stores, MOTION_GROUPS) == ["flow farneback", "flow dis"]
    assert labels_of([store("a.vidsal", method="gradcam"), store("b.vidsal")], MOTION_GROUPS) == [
        "a", "b",
    ]  # fmt: skip


def test_no_two_labels_are_equal() -> None:
    stores = [store("a.vidsal"), store("b.vidsal"), store("c.vidsal", method="gradcam")]
    assert labels_of(stores) == ["smoothgrad (a)", "smoothgrad (b)", "gradcam"]
    assert labels_of([store("a.vidsal"), store("x/a.vidsal")]) == ["a 1", "a 2"]
