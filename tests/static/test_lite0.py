"""The ImageNet network: its data files, its arithmetic and its classes for a photo."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from vidsal.errors import VidsalError
from vidsal.static import lite0
from vidsal.static.weights import LITE0_FILE

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "vidsal" / "data"
PHOTOS = ROOT / "sample_media"
NPZ = DATA / LITE0_FILE
EGYPTIAN_CAT = 285


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    """Every array of the shipped weights file."""
    with np.load(NPZ) as archive:
        return {name: archive[name] for name in archive.files}


@pytest.fixture(scope="module")
def small() -> keras.Model:
    """The network for an input of even height and odd width."""
    return lite0.build()


@pytest.mark.parametrize("name", [LITE0_FILE, "imagenet_classes.tsv"])
def test_data_file_is_the_documented_one(name: str) -> None:
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    section = next(part for part in readme.split("\n## ") if part.startswith(f"`{name}`"))
    suffix = Path(name).suffix
    recorded = re.search(rf"sha256 of the `{re.escape(suffix)}` \| `([0-9a-f]{{64}})`", section)
    assert recorded is not None
    assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == recorded[1]


def test_class_table_is_in_the_order_of_the_task() -> None:
    lines = (DATA / "imagenet_classes.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines]
    assert [row[0] for row in rows] == [str(index) for index in range(lite0.CLASSES)]
    assert all(re.fullmatch(r"n\d{8}", row[1]) and row[2] and len(row) == 3 for row in rows)
    assert rows[0] == ["0", "n01440764", "tench, Tinca tinca"]
    assert rows[EGYPTIAN_CAT] == ["285", "n02124075", "Egyptian cat"]
    assert rows[999] == ["999", "n15075141", "toilet tissue, toilet paper, bathroom tissue"]


def test_weights_are_finite_and_kept_in_the_documented_precision(
    arrays: dict[str, np.ndarray],
) -> None:
    assert len(arrays) == 247
    for name, array in arrays.items():
        assert np.isfinite(array).all(), name
        assert array.dtype == (np.float16 if name.endswith(".kernel") else np.float32), name
        if name.endswith(".moving_variance"):
            assert array.min() >= 0.0, name


def test_model_has_the_published_size_and_layers(small: keras.Model) -> None:
    assert small.count_params() == 4_694_024
    kinds = [type(layer).__name__ for layer in small.layers]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "InputLayer": 1,
        "Conv2D": 33,  # stem, 15 expansions, 16 projections, head
        "DepthwiseConv2D": 16,
        "BatchNormalization": 49,
        "ReLU": 33,
        "Add": 9,
        "GlobalAveragePooling2D": 1,
        "Dense": 1,
    }
    assert small.trainable_variables == []


def test_every_variable_holds_the_array_of_its_name(
    small: keras.Model, arrays: dict[str, np.ndarray]
) -> None:
    loaded = {
        f"{layer.name}.{v.name}": v.numpy() for layer in small.layers for v in layer.variables
    }
    assert loaded.keys() == arrays.keys()
    for name, value in loaded.items():
        np.testing.assert_array_equal(value, arrays[name].astype(np.float32), err_msg=name)


def test_preprocess_scales_bytes_and_floats_alike() -> None:
    expected = np.array([[-127 / 128, 0.0, 1.0]], np.float32)
    for dtype in (np.uint8, np.float32):
        scaled = lite0.preprocess(np.array([[0, 127, 255]], dtype))
        assert scaled.dtype == "float32"
        np.testing.assert_array_equal(scaled.numpy(), expected)


# An even side is padded at its end more than at its start, an odd one alike on both.
@pytest.mark.parametrize(
    ("before", "layer", "rows", "columns"),
    [
        ("image", "stem_conv", (0, 1), (1, 1)),  # 3 x 3, from 32 x 33 px
        ("block03_expand_relu", "block03_depthwise_conv", (1, 2), (2, 2)),  # 5 x 5, 8 x 9 px
    ],
)
def test_stride_two_pads_as_tensorflow_does(
    small: keras.Model,
    arrays: dict[str, np.ndarray],
    before: str,
    layer: str,
    rows: tuple[int, int],
    columns: tuple[int, int],
) -> None:
    taps = keras.Model(small.input, [small.get_layer(before).output, small.get_layer(layer).output])
    image = np.random.default_rng(0).uniform(-1, 1, (1, 32, 33, 3)).astype(np.float32)
    source, result = (np.asarray(maps)[0] for maps in taps(image))
    kernel = arrays[f"{layer}.kernel"].astype(np.float32)
    padded = np.pad(source, (rows, columns, (0, 0)))
    sums = "hwi,hwio->o" if "depthwise" not in layer else "hwi,hwio->i"
    side = kernel.shape[0]
    expected = [
        [
            np.einsum(sums, padded[y : y + side, x : x + side], kernel)
            for x in range(0, padded.shape[1] - side + 1, 2)
        ]
        for y in range(0, padded.shape[0] - side + 1, 2)
    ]
    np.testing.assert_allclose(result, expected, atol=1e-4)


def test_logits_equal_those_of_an_independent_implementation() -> None:
    y, x = np.mgrid[:97, :160]
    rgb = np.stack([(3 * x + y) % 256, (x * y // 16) % 256, (5 * y) % 256], axis=-1)
    logits = lite0.build()(lite0.preprocess(rgb[None])).numpy()
    assert logits.shape == (1, 1000)
    # Computed by PyTorch from the original float32 weights; float16 kernels move them by 0.02.
    expected = {0: 1.1165, 285: -0.8326, 644: 5.0070, 782: 5.3626, 885: 6.1679, 999: -1.5157}
    np.testing.assert_allclose(logits[0, list(expected)], list(expected.values()), atol=0.03)
    assert logits.mean() == pytest.approx(-0.0846, abs=1e-3)
    assert logits.std() == pytest.approx(1.3829, abs=1e-3)


@pytest.mark.parametrize(
    ("photo", "index", "least", "kin"),
    [
        ("cat.jpg", EGYPTIAN_CAT, 0.75, [281, 282, 287]),  # tabby, tiger cat, lynx
        ("coffee.jpg", 967, 0.85, [504, 925, 968]),  # espresso; mug, consomme, cup
    ],
)
def test_photo_is_named(photo: str, index: int, least: float, kin: list[int]) -> None:
    bgr = cv2.imread(str(PHOTOS / photo))
    assert bgr is not None
    square = cv2.resize(bgr, (224, 224), interpolation=cv2.INTER_AREA)
    rgb = cv2.cvtColor(square, cv2.COLOR_BGR2RGB)
    logits = lite0.build()(lite0.preprocess(rgb[None])).numpy()[0]
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()
    assert int(probabilities.argmax()) == index
    assert probabilities[index] > least
    assert sorted(probabilities.argsort()[-4:]) == sorted([index, *kin])


def _flip_a_weight(npz: Path) -> None:
    content = bytearray(npz.read_bytes())
    content[len(content) // 2] ^= 1
    npz.write_bytes(content)


def _drop_an_array(npz: Path) -> None:
    with np.load(npz) as archive:
        kept = {name: archive[name] for name in archive.files if name != "logits.bias"}
    np.savez(npz, **kept)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (Path.unlink, "is missing; reinstall"),
        (lambda npz: npz.write_bytes(npz.read_bytes()[:5000]), "is corrupt"),
        (lambda npz: npz.write_bytes(b""), "is corrupt"),
        (lambda npz: npz.write_text("not weights at all"), "is corrupt"),
        (_flip_a_weight, "is corrupt"),
        (_drop_an_array, r"does not fit the network \(first difference at logits.bias\)"),
    ],
    ids=["missing", "cut", "empty", "text", "flipped", "incomplete"],
)
def test_spoilt_weights_file_is_reported(
    spoil: Callable[[Path], object],
    message: str,
    small: keras.Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "data").mkdir()
    npz = tmp_path / "data" / LITE0_FILE
    shutil.copy(NPZ, npz)
    spoil(npz)
    monkeypatch.setattr("importlib.resources.files", lambda package: tmp_path)
    with pytest.raises(VidsalError, match=message):
        lite0._assign_weights(small, lite0._read_weights())
