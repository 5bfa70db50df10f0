"""Derivatives by a layer: which layers there are, and maps in closed form."""

from __future__ import annotations

import logging
import re
from typing import Any

import numpy as np
import pytest
from keras_help import L, keras, layers_of, open_object, pictures_of, tf

from vidsal.errors import UsageError
from vidsal.settings import Settings
from vidsal.static.layers import Layer, LayerList, automatic, chosen, last_at
from vidsal.static.models import choose, network_layers
from vidsal.types import Map, Request, Rgb

rng = np.random.default_rng(3)
# A network without bias or rectifier: 4 channels at half the size, 5 at a quarter, 6 classes.
NEAR, FAR, HEAD = rng.normal(size=(3, 4)), rng.normal(size=(4, 5)), rng.normal(size=(5, 6))
CLASS = 2


def _linear() -> Any:
    picture = keras.Input((None, None, 3))
    near = L.Conv2D(4, 1, use_bias=False, name="near")(L.AveragePooling2D(2)(picture))
    far = L.Conv2D(5, 1, use_bias=False, name="far")(L.AveragePooling2D(2, name="pool")(near))
    scores = L.Dense(6, use_bias=False)(L.GlobalAveragePooling2D()(far))
    model = keras.Model(picture, scores)
    model.get_layer("near").set_weights([NEAR[None, None]])
    model.get_layer("far").set_weights([FAR[None, None]])
    model.layers[-1].set_weights([HEAD])
    return model


def _maps(model: Any, rgb: Rgb, **options: Any) -> Map:
    options = {"method": "gradient", "target": str(CLASS)} | options
    return open_object(model, **options).maps(rgb, [Request(n, 1) for n in range(len(rgb))])


def _halved(maps: Any) -> Any:
    return (maps[:, ::2, ::2] + maps[:, 1::2, ::2] + maps[:, ::2, 1::2] + maps[:, 1::2, 1::2]) / 4


def _expected(rgb: Rgb) -> dict[str, tuple[Any, Any]]:
    """The derivatives of the class by each layer, which are equal at all places; and the layers."""
    near = _halved(rgb.astype(float)) @ NEAR
    far = _halved(near) @ FAR
    places = far.shape[1] * far.shape[2]
    by_far = HEAD[:, CLASS] / places
    return {"near": (FAR @ by_far / 4, near), "far": (by_far, far)}


def test_the_option_mirrors_every_second_copy() -> None:
    # Constant weights of the pixels, so a mirrored copy gives the mirror image of the map.
    picture = keras.Input((4, 6, 3))
    model = keras.Model(picture, L.Dense(6, use_bias=False)(L.Flatten()(picture)))
    weights = rng.normal(size=(4, 6, 3, 6))
    model.layers[-1].set_weights([weights.reshape(-1, 6)])
    plain = np.abs(weights[..., CLASS]).max(axis=-1)
    rgb, options = pictures_of((4, 6), 1), {"method": "smoothgrad", "target": str(CLASS)}
    for mirror, expected in ((True, (plain + plain[:, ::-1]) / 2), (False, plain)):
        (found,) = open_object(model, mirror=mirror, **options).maps(rgb, [Request(0, 2)])
        assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("layer", ["near", "far"])
def test_each_reduction_of_a_linear_network_in_closed_form(layer: str) -> None:
    rgb = pictures_of((16, 24), 2)
    derivative, activation = _expected(rgb)[layer]
    flat = np.ones(activation.shape[:3])
    expected = {
        "norm": flat * np.sqrt((derivative**2).sum()),
        "max": flat * np.abs(derivative).max(),
        "sum": flat * derivative.sum(),
        "grad-x-act": np.abs(derivative * activation).sum(axis=-1),
    }
    for reduce, map_ in expected.items():
        result = _maps(_linear(), rgb, layer=layer, reduce=reduce)
        assert result == pytest.approx(map_, rel=1e-4)


@pytest.mark.parametrize("layer", ["near", "far"])
def test_each_class_activation_map_of_a_linear_network_in_closed_form(layer: str) -> None:
    rgb = pictures_of((16, 24), 2)
    derivative, activation = _expected(rgb)[layer]
    positive = np.maximum(derivative, 0)
    expected = {
        "gradcam": activation @ derivative,
        # The derivative is the same at all places, so that each has the same share.
        "gradcam++": activation @ positive,
        "layercam": activation @ positive,
    }
    for method, map_ in expected.items():
        result = _maps(_linear(), rgb, layer=layer, method=method)
        assert result == pytest.approx(np.maximum(map_, 0), rel=1e-3, abs=1e-4)


def test_several_layers_give_their_geometric_mean_at_the_larger_size() -> None:
    rgb = pictures_of((16, 24), 2)
    near, far = (
        _maps(_linear(), rgb, layer=layer, reduce="grad-x-act") for layer in ("near", "far")
    )
    assert near.shape == (2, 8, 12) and far.shape == (2, 4, 6)
    grown = tf.image.resize(far[..., None], (8, 12)).numpy()[..., 0]
    for layer in ("near,far", "far, near", "/2,/4,near"):
        result = _maps(_linear(), rgb, layer=layer, reduce="grad-x-act")
        assert result == pytest.approx(np.sqrt(near * grown), rel=1e-4)


def test_a_layer_that_returns_its_input_has_the_derivative_by_the_picture() -> None:
    picture = keras.Input((None, None, 3))
    x = L.Activation("linear", name="same")(picture)
    model = keras.Model(picture, L.Dense(6)(L.GlobalAveragePooling2D()(L.Conv2D(4, 3)(x))))
    rgb = pictures_of((16, 24), 2)
    for reduce in ("norm", "max", "sum", "grad-x-act"):
        by_layer = _maps(model, rgb, layer="same", reduce=reduce)
        assert by_layer == pytest.approx(_maps(model, rgb, layer="input", reduce=reduce))


def test_the_derivative_by_a_layer_within_a_block_leaves_out_the_shortcut() -> None:
    picture = keras.Input((None, None, 3))
    within = L.Conv2D(3, 1, name="within", kernel_initializer="ones")(picture)
    doubled = L.Rescaling(2.0)(within)
    total = L.Add(name="total")([picture, doubled])
    model = keras.Model(picture, L.Dense(6, kernel_initializer="ones")(
        L.GlobalAveragePooling2D()(total)
    ))  # fmt: skip
    rgb = pictures_of((8, 8), 1)
    assert _maps(model, rgb, layer="within", reduce="max") == pytest.approx(2 / 64)
    assert _maps(model, rgb, layer="total", reduce="max") == pytest.approx(1 / 64)
    assert _maps(model, rgb, layer="input", reduce="max") == pytest.approx(7 / 64)


@pytest.mark.parametrize("method", ["smoothgrad", "gradient", "gradcam", "layercam"])
def test_batches_do_not_matter_at_a_layer(method: str) -> None:
    model = keras.Sequential([keras.Input((None, None, 3)), *layers_of()])
    rgb = pictures_of((32, 40), 3)
    whole = _maps(model, rgb, layer="/2", method=method)
    one = np.concatenate([
        open_object(model, method=method, target=str(CLASS), layer="/2", batch=1).maps(
            rgb[n : n + 1], [Request(n, 1)]
        )
        for n in range(3)
    ])  # fmt: skip
    assert whole == pytest.approx(one, rel=1e-4, abs=1e-9)


def test_a_picture_of_one_colour_has_an_empty_map_at_a_layer() -> None:
    model = keras.Sequential([keras.Input((None, None, 3)), *layers_of()])
    grey = np.full((1, 32, 40, 3), 128, np.uint8)
    assert not _maps(model, grey, layer="/2").any()


# Which layers there are.


def _observed(*operations: tuple[str, tuple[int, ...], list[str]]) -> list[Layer]:
    """The layers of operations that are given by name, shape and inputs."""
    tensors = {"picture": np.zeros((1, 64, 96, 3))}
    found = LayerList(tensors["picture"])
    for name, shape, inputs in operations:
        tensors[name] = np.zeros((1, *shape))
        found.observe(name, tensors[name], [None, *(tensors[one] for one in inputs), 0.5])
    return found.layers()


RESIDUAL = [
    ("stem", (32, 48, 8), ["picture"]),
    ("padded", (34, 50, 8), ["stem"]),
    ("down", (16, 24, 8), ["padded"]),
    ("inside", (16, 24, 32), ["down"]),
    ("squeezed", (1, 1, 32), ["inside"]),
    ("scaled", (16, 24, 32), ["inside", "squeezed"]),
    ("narrow", (16, 24, 8), ["scaled"]),
    ("sum", (16, 24, 8), ["down", "narrow"]),
    ("rectified", (16, 24, 8), ["sum"]),
    ("wide", (16, 24, 32), ["rectified"]),
    ("last", (8, 12, 16), ["wide"]),
    ("head", (8, 12, 64), ["last"]),
]


def test_layers_have_strides_cuts_and_merges() -> None:
    layers = {layer.name: layer for layer in _observed(*RESIDUAL)}
    assert "squeezed" not in layers
    assert {one.name: one.stride for one in layers.values() if one.is_cut} == {
        "stem": 2, "down": 4, "sum": 4, "rectified": 4, "wide": 4, "last": 8, "head": 8,
    }  # fmt: skip
    assert [one.name for one in layers.values() if one.is_merge] == ["scaled", "sum"]
    assert layers["wide"].channels == 32


def test_auto_is_the_last_whole_block_before_each_of_the_last_two_reductions() -> None:
    layers = _observed(*RESIDUAL)
    assert [one.name for one in automatic(layers)] == ["stem", "rectified"]
    assert chosen("auto", layers) == chosen("/2,/4", layers) == ("stem", "rectified")
    assert chosen("auto", layers, is_last=True) == ("head",)
    assert chosen("input,/2, inside,/2", layers) == ("input", "stem", "inside")
    # Without a sum, the last layer of the stride.
    assert [one.name for one in last_at(2, layers)] == ["stem"]
    plain = _observed(
        ("a", (32, 48, 8), ["picture"]), ("b", (32, 48, 9), ["a"]), ("c", (16, 24, 9), ["b"])
    )
    assert chosen("auto", plain) == ("b",)


@pytest.mark.parametrize(
    "operations",
    [
        [],
        [("same", (64, 96, 8), ["picture"])],
        # No reduction follows.
        [("only", (32, 48, 8), ["picture"])],
        # Patches that become a sequence, as in a vision transformer.
        [("scaled", (64, 96, 3), ["picture"]), ("patches", (4, 6, 8), ["scaled"])],
    ],
)
def test_without_an_inner_layer_auto_is_the_picture(operations: Any) -> None:
    assert chosen("auto", _observed(*operations)) == ("input",)


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        ("/3", "layer='/3': no layer of this network has this stride; it has /2, /4, /8"),
        ("rectify", "layer='rectify' is not a layer of this network; did you mean 'rectified'?"),
        ("/4,nothing", "layer='nothing' is not a layer of this network"),
    ],
)
def test_an_unknown_layer_is_one_line(wanted: str, line: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(line)}$"):
        chosen(wanted, _observed(*RESIDUAL))


def test_a_network_without_layers_falls_back_to_its_input_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = keras.Sequential([keras.Input((16, 24, 3)), L.Flatten(), L.Dense(6)])
    rgb = pictures_of((16, 24), 1)
    with caplog.at_level(logging.WARNING):
        by_auto = _maps(model, rgb, layer="auto", reduce="max")
    assert by_auto == pytest.approx(_maps(model, rgb, layer="input", reduce="max"))
    assert "has no layer between its input and its last size" in caplog.text


def test_unsuitable_methods_are_refused() -> None:
    with pytest.raises(UsageError, match="'integrated' follows a line of pictures"):
        Settings(method="integrated", layer="/16")
    with pytest.raises(UsageError, match="'gradcam' needs a layer"):
        Settings(method="gradcam", layer="input")
    assert Settings(method="integrated").differentiated_by == "input"


# "auto" by networks of Keras, and the last layer.
AUTOMATIC = {
    "lite0": (["block04_add", "block10_add"], "head_relu"),
    "resnet50": (["conv3_block3_out", "conv4_block5_out"], "conv5_block3_out"),
    "MobileNetV2": (["block_5_add", "block_12_add"], "out_relu"),
    "EfficientNetB0": (["block3b_add", "block5c_add"], "top_activation"),
    "DenseNet121": (["pool3_relu", "pool4_relu"], "relu"),
    "VGG16": (["block4_conv3", "block5_conv3"], "block5_pool"),
    "ConvNeXtTiny": (
        [f"convnext_tiny_downsampling_layernorm_{n}" for n in (1, 2)],
        "add_17",
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        "lite0",
        *(pytest.param(one, marks=pytest.mark.slow) for one in AUTOMATIC if one != "lite0"),
    ],
)
def test_auto_in_well_known_networks(name: str) -> None:
    keras.backend.clear_session()
    layers, marks = network_layers(Settings(model=name))
    auto = [layer.name for layer in layers if "auto" in marks.get(layer.name, [])]
    (last,) = [one for one, words in marks.items() if "gradcam" in words]
    assert [marks[one] for one in auto] == [["auto", "/8"], ["auto", "/16"]]
    # Keras numbers the sums of ConvNeXt in the order in which a process builds them.
    assert (auto, last.rstrip("0123456789")) == (
        AUTOMATIC[name][0], AUTOMATIC[name][1].rstrip("0123456789"),
    )  # fmt: skip
    assert {layer.stride for layer in layers if layer.is_cut} >= {4, 8, 16, 32}


def test_only_what_follows_the_layer_is_differentiated() -> None:
    settings = Settings(model="lite0")
    from vidsal.static.models import open_static

    counts = {}
    for layer in ("input", "/16"):
        stage: Any = open_static(choose(settings), Settings(model="lite0", layer=layer))
        stage.maps(pictures_of((64, 96), 1), [Request(0, 1)])
        graph = next(graph for key, graph in stage._graphs.items() if key[0] == "maps")
        kinds = [operation.type for operation in graph.graph.get_operations()]
        counts[layer] = sum("BackpropInput" in kind for kind in kinds)
    # Five of the sixteen blocks follow, each with three convolutions; the head, too.
    assert counts["/16"] <= 17 < 40 < counts["input"]


def test_strides_of_networks_without_padding_are_powers_of_two() -> None:
    # Rows of InceptionV3 for pictures of 256.
    layers = _observed_of(
        256, [("a", 127), ("b", 125), ("c", 62), ("d", 60), ("e", 29), ("f", 14), ("g", 6)]
    )
    assert [layer.stride for layer in layers] == [2, 2, 4, 4, 8, 16, 32]
    assert chosen("auto", layers) == chosen("/8,/16", layers) == ("e", "f")


def _observed_of(rows: int, names: list[tuple[str, int]]) -> list[Layer]:
    """The layers of a chain, by their names and rows."""
    last = np.zeros((1, rows, rows, 3))
    found = LayerList(last)
    for name, count in names:
        output = np.zeros((1, count, count, 8))
        found.observe(name, output, [last])
        last = output
    return found.layers()


def test_a_layer_that_does_not_exist_is_one_line_before_any_map() -> None:
    with pytest.raises(UsageError, match=r"^layer='foo' is not a layer of this network$"):
        _maps(_linear(), pictures_of((16, 24), 1), layer="foo")


def test_a_class_activation_map_needs_a_layer_with_places() -> None:
    model = keras.Sequential([keras.Input((16, 24, 3)), L.Flatten(), L.Dense(6)])
    with pytest.raises(
        UsageError, match=r"needs a layer, and .* has none with more than one place"
    ):
        _maps(model, pictures_of((16, 24), 1), method="gradcam", layer="auto")


def test_a_dropout_that_was_built_active_is_not_active() -> None:
    picture = keras.Input((None, None, 3))
    x = L.Conv2D(16, 3, strides=2)(picture)
    x = L.Dropout(0.5)(x, training=True)
    x = L.Conv2D(16, 3, strides=2)(L.Conv2D(16, 3, strides=2)(x))
    model = keras.Model(picture, L.Dense(6)(L.GlobalAveragePooling2D()(x)))
    rgb = pictures_of((64, 64), 1)
    stage = open_object(model, method="gradient", target=str(CLASS), layer="/2")
    first, again = (stage.maps(rgb, [Request(0, 1)]) for _ in range(2))
    assert np.array_equal(first, again)
    assert np.array_equal(stage.predict(rgb), stage.predict(rgb))
