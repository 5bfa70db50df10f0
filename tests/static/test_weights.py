"""ResNet50's weights: from the cache, a server or a file; complete, or an error of one line."""

import hashlib
import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from web_help import Server, serving

from vidsal.errors import UsageError, VidsalError
from vidsal.runtime import download
from vidsal.settings import Settings
from vidsal.static import weights
from vidsal.static.models import ModelChoice, choose, open_classifier, open_static
from vidsal.static.weights import WeightsFile, fetch
from vidsal.types import Request, Target

CONTENT = bytes(range(256)) * 500
RIGHT = hashlib.md5(CONTENT).hexdigest()
TABBY = 281


Serve = Callable[[str], Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers that end with the test."""
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(
            serving(answer, CONTENT, "resnet/weights_for_tests.h5")
        )


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keras' cache for the test alone; loopback is reached without a proxy, and soon or never."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setattr(download, "TIMEOUT_S", (2.0, 0.5))
    return tmp_path / "keras"


def _files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def _closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


# The cache and the download.


def test_published_file_is_where_keras_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras.src.applications.resnet as published

    # Keras' own table is the oracle: (with top, without top).
    assert weights.RESNET50.md5 == published.WEIGHTS_HASHES["resnet50"][0]
    assert weights.RESNET50.url == (
        published.BASE_WEIGHTS_PATH + "resnet50_weights_tf_dim_ordering_tf_kernels.h5"
    )
    monkeypatch.setenv("KERAS_HOME", "/some/where")
    name = "resnet50_weights_tf_dim_ordering_tf_kernels.h5"
    assert weights.RESNET50.path == Path("/some/where/models") / name
    monkeypatch.delenv("KERAS_HOME")
    assert weights.RESNET50.path == Path.home() / ".keras" / "models" / name


@pytest.mark.parametrize("progress", [False, True])
def test_download_lands_whole_in_the_cache(
    progress: bool, serve: Serve, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve("whole")
    published = WeightsFile(server.url, RIGHT)
    assert not published.is_cached()
    path = fetch(published, progress=progress)
    assert path == home / "models" / "weights_for_tests.h5"
    assert path.read_bytes() == CONTENT
    assert _files(home) == ["models/weights_for_tests.h5"]
    assert published.is_cached()
    assert server.asked == ["/resnet/weights_for_tests.h5"]
    out, err = capfd.readouterr()
    assert out == ""
    assert ("100%" in err) == progress


def test_cached_file_is_used_without_a_request(serve: Serve, home: Path) -> None:
    server = serve("whole")
    published = WeightsFile(server.url, RIGHT)
    published.path.parent.mkdir(parents=True)
    published.path.write_bytes(CONTENT)
    assert fetch(published) == published.path
    choice = choose(Settings(model="auto"), published=published)
    assert choice == ModelChoice("resnet50", published.path)
    assert server.asked == []


def test_half_a_file_in_the_cache_is_fetched_anew(serve: Serve, home: Path) -> None:
    published = WeightsFile(serve("whole").url, RIGHT)
    published.path.parent.mkdir(parents=True)
    published.path.write_bytes(CONTENT[:1000])
    assert not published.is_cached()
    assert fetch(published).read_bytes() == CONTENT
    assert _files(home) == ["models/weights_for_tests.h5"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("other", "the downloaded file is not the published one: its checksum differs"),
        ("404", "404 Client Error: "),
        ("silence", "timed out"),
        ("stall", "timed out"),
        ("half", ""),
        ("nobody", "Connection refused"),
    ],
)
def test_failed_download_says_why_where_and_what_to_do(
    answer: str, why: str, serve: Serve, home: Path
) -> None:
    if answer == "nobody":
        url = f"http://127.0.0.1:{_closed_port()}/resnet/weights_for_tests.h5"
    else:
        url = serve(answer).url
    published = WeightsFile(url, RIGHT)
    begin_s = time.monotonic()
    with pytest.raises(VidsalError) as caught:
        fetch(published)
    assert time.monotonic() - begin_s < 5
    said = str(caught.value)
    assert "\n" not in said
    assert f"not at {published.path} and could not be downloaded from {url} ({why}" in said
    assert said.endswith(
        "Put the file there, give another one with weights='FILE', or use model='lite0'."
    )
    assert _files(home) == []


def test_a_cache_that_cannot_be_written_to_is_one_line(
    serve: Serve, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.write_text("a file where a folder should be")
    with pytest.raises(VidsalError, match=r"could not be downloaded .* or use model='lite0'"):
        fetch(WeightsFile(serve("whole").url, RIGHT))
    assert home.read_text() == "a file where a folder should be"


# Which network is meant.


def test_auto_takes_resnet50_where_its_weights_can_be_had(serve: Serve) -> None:
    published = WeightsFile(serve("whole").url, RIGHT)
    choice = choose(Settings(model="auto"), published=published)
    assert (choice.key, choice.weights, choice.name) == ("resnet50", published.path, "ResNet50")


def test_auto_falls_back_to_lite0_and_says_so_in_one_line(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    published = WeightsFile(serve("404").url, RIGHT)
    with caplog.at_level(logging.WARNING, "vidsal"):
        choice = choose(Settings(model="auto"), published=published)
    assert (choice.key, choice.weights, choice.name) == ("lite0", None, "EfficientNet-Lite0")
    assert caplog.messages == [
        "using the bundled EfficientNet-Lite0: ResNet50's weights are unavailable"
    ]


def test_resnet50_asked_for_by_name_does_not_fall_back(serve: Serve) -> None:
    published = WeightsFile(serve("404").url, RIGHT)
    with pytest.raises(VidsalError, match="ResNet50's ImageNet weights are not at"):
        choose(Settings(model="resnet50"), published=published)


def test_lite0_and_none_ask_nobody(serve: Serve) -> None:
    server = serve("whole")
    published = WeightsFile(server.url, RIGHT)
    assert choose(Settings(model="lite0"), published=published) == ModelChoice("lite0")
    none = choose(Settings(model="none"), published=published)
    assert none == ModelChoice("none")
    assert none.name is None
    assert open_static(none, Settings(model="none")) is None
    assert server.asked == []


def test_local_weights_ask_nobody(serve: Serve, tmp_path: Path) -> None:
    server = serve("whole")
    path = tmp_path / "mine.h5"
    path.write_bytes(b"anything")
    choice = choose(Settings(weights=path), published=WeightsFile(server.url, RIGHT))
    assert choice == ModelChoice("resnet50", path)
    assert server.asked == []


@pytest.mark.parametrize("name", ["missing.h5", "folder.h5"])
def test_local_weights_that_are_not_there(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder.h5").mkdir()
    with pytest.raises(VidsalError, match=rf"weights='.*{name}': there is no such file"):
        choose(Settings(weights=tmp_path / name))


@pytest.mark.parametrize("name", ["w.npz", "w.keras", "w"])
def test_local_weights_with_another_suffix(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(UsageError, match=rf"weights='.*{name}' must end in \.h5 or \.weights\.h5"):
        choose(Settings(weights=tmp_path / name))


# The files themselves.


@pytest.fixture(scope="module")
def resnet() -> Any:
    """Keras' own ResNet50 with random numbers in every weight, so that swapped ones show."""
    import keras

    model = keras.applications.ResNet50(weights=None, classifier_activation=None)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        for variable in layer.weights:
            shape = variable.shape
            if variable.name in ("gamma", "moving_variance"):
                values = rng.uniform(0.5, 1.5, shape)
            elif variable.name == "kernel":
                values = rng.normal(0, np.sqrt(1.5 / np.prod(shape[:-1])), shape)
            else:
                values = rng.normal(0, 0.2, shape)
            variable.assign(values.astype(np.float32))
    # Scores as a trained network's: far larger ones would leave one class all the probability.
    kernel, bias = model.layers[-1].get_weights()
    spread = float(np.std(_keras_logits(model, _photo_batch())))
    model.layers[-1].set_weights([kernel * (2 / spread), bias * (2 / spread)])
    return model


def _keras_logits(model: Any, rgb: np.ndarray) -> np.ndarray:
    """Return the output of Keras' own network for RGB pixels, with Keras' own preprocessing."""
    import keras

    pixels = keras.applications.resnet50.preprocess_input(rgb.astype(np.float32))
    return np.asarray(model(pixels, training=False))


def _save_as_published(
    model: Any, path: Path, *, prefix: str = "", last: str = "predictions"
) -> None:
    """Write weights in the layout of the files that Keras publishes: a group for each layer."""
    named = {
        prefix + (last if layer.name == "predictions" else layer.name): layer
        for layer in model.layers
    }
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in named]
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.0.1"
        for name, layer in named.items():
            group = file.create_group(name)
            weights_of = [f"{name}/{variable.name}:0" for variable in layer.weights]
            group.attrs["weight_names"] = [one.encode() for one in weights_of]
            for one, variable in zip(weights_of, layer.weights, strict=True):
                group.create_dataset(one, data=np.asarray(variable))


def _photo_batch() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (2, 224, 224, 3), np.uint8)


@pytest.mark.parametrize(
    "name",
    ["published.h5", "mine.weights.h5", pytest.param("other_names.h5", marks=pytest.mark.slow)],
)
def test_loaded_network_is_keras_own(name: str, resnet: Any, tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    from vidsal.static import resnet50

    path = tmp_path / name
    if name == "mine.weights.h5":
        resnet.save_weights(path)
    else:
        # Keras takes such files by the order of their layers, whatever these are called.
        _save_as_published(resnet, path, prefix="" if name == "published.h5" else "res_")
    needs_keras = resnet50.open_logits(path, "float32") is None
    assert needs_keras == (name == "other_names.h5")
    settings = Settings(target=str(TABBY), method="gradient", layer="input", reduce="max")
    choice = choose(Settings(weights=path))
    classifier, _ = open_classifier(choice, settings)
    rgb = _photo_batch()
    given = rgb.copy()
    expected = _keras_logits(resnet, rgb)
    assert expected.shape == (2, 1000)
    assert expected.std() == pytest.approx(2, rel=0.01)
    logits = np.asarray(classifier.logits(rgb.astype(np.float32)))
    assert np.abs(logits - expected).max() < 1e-3 * np.abs(expected).max()
    stage = open_static(choice, settings)
    assert stage is not None and stage.target == Target(class_id=TABBY)
    seen = stage.predict(rgb)
    maps = stage.maps(rgb, [Request(0, 1), Request(1, 1)])
    assert (rgb == given).all()
    shifted = np.exp(expected - expected.max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    assert seen == pytest.approx(probabilities, rel=1e-2, abs=1e-9)
    for n, one in enumerate(seen):
        assert list(np.argsort(-one)[:5]) == list(np.argsort(-expected[n])[:5])
    assert stage.names[TABBY] == "tabby" and stage.input_size is None
    assert maps.shape == (2, 224, 224)
    if name == "published.h5":
        # The map is the derivative of that class's score in Keras' own, unfolded network.
        pixels = tf.constant(rgb[:1].astype(np.float32))
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            bgr = keras.applications.resnet50.preprocess_input(pixels)
            score = resnet(bgr, training=False)[0, TABBY]
        wanted = np.abs(tape.gradient(score, pixels)[0].numpy()).max(axis=-1)
        # Rounding puts a unit here and there on the other side of its kink, and where pixels are
        # equal another one may be the largest of its pool.
        missed = np.abs(maps[0] - wanted)
        assert np.corrcoef(maps[0].ravel(), wanted.ravel())[0, 1] > 0.999
        assert missed.mean() < 0.01 * wanted.mean() and missed.max() < 0.1 * wanted.max()
        _assert_other_size(classifier, resnet, (96, 160))
        # Odd at one stage or another: 35 x 58, 18 x 29, 9 x 15, 5 x 8.
        _assert_other_size(classifier, resnet, (139, 231))


def _assert_other_size(classifier: Any, resnet: Any, size: tuple[int, int]) -> None:
    """Compare with Keras' network without its top at a size that is not square."""
    import keras

    rgb = np.random.default_rng(2).integers(0, 256, (1, *size, 3), np.uint8)
    bare = keras.applications.ResNet50(
        weights=None, include_top=False, pooling="avg", input_shape=(*size, 3)
    )
    kernel, bias = resnet.layers[-1].get_weights()
    bare.set_weights(resnet.get_weights()[:-2])
    wanted = _keras_logits(bare, rgb) @ kernel + bias
    got = np.asarray(classifier.logits(rgb.astype(np.float32)))
    assert np.abs(got - wanted).max() < 1e-3 * np.abs(wanted).max()


def test_the_network_in_bfloat16(resnet: Any, tmp_path: Path) -> None:
    import tensorflow as tf

    from vidsal.static import resnet50

    path = tmp_path / "published.h5"
    _save_as_published(resnet, path)
    network = resnet50.open_logits(path, "bfloat16")
    assert network is not None
    rgb = _photo_batch()
    wanted, found = _keras_logits(resnet, rgb), network(tf.constant(rgb, tf.float32))
    assert found.dtype == tf.float32
    # 8 bits a number, fifty layers deep; some difference shows that they are 8 bits.
    missed = np.abs(np.asarray(found) - wanted).max()
    assert 1e-3 * np.abs(wanted).max() < missed < 0.1 * np.abs(wanted).max()


def _damaged(group: h5py.Group, how: str) -> None:
    """Put other numbers in the place of a layer's last ones."""
    name = group.attrs["weight_names"][-1]
    values = group[name][()]
    del group[name]
    if how == "short":
        values = values[:-1]
    elif how == "one number":
        # numpy would take it for all channels.
        values = values[:1]
    else:
        values = np.array(["word"] * len(values), "S4")
    group[name] = values


@pytest.mark.parametrize("layer", ["conv3_block2_2_bn", "conv1_conv", "predictions"])
@pytest.mark.parametrize("how", ["gone", "short", "one number", "words"])
def test_weights_that_are_not_all_there_are_left_to_keras(
    layer: str, how: str, resnet: Any, tmp_path: Path
) -> None:
    from vidsal.static import resnet50

    path = tmp_path / "published.h5"
    _save_as_published(resnet, path)
    with h5py.File(path, "a") as file:
        if how == "gone":
            del file[layer]
        else:
            _damaged(file[layer], how)
    assert resnet50.open_logits(path, "float32") is None
    with pytest.raises(VidsalError, match=r"published\.h5 does not hold weights of ResNet50: "):
        open_static(choose(Settings(weights=path)), Settings())


def test_sums_of_blocks_can_be_fused() -> None:
    """No derivative asks for the shape of a convolution's output before its sum."""
    tf = pytest.importorskip("tensorflow")
    from vidsal.static import resnet50

    logits = resnet50.empty_logits()

    def derivative(rgb: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(rgb)
            total = tf.reduce_sum(logits(rgb))
        return tape.gradient(total, rgb)

    traced = tf.function(derivative, input_signature=[tf.TensorSpec((None, 64, 64, 3))])
    operations = traced.get_concrete_function().graph.get_operations()
    shapes = {one.inputs[0].op.type for one in operations if one.type == "Shape"}
    assert shapes and "BiasAdd" not in shapes


def test_weights_of_a_deeper_network_are_not_taken_for_these(resnet: Any, tmp_path: Path) -> None:
    from vidsal.static import resnet50

    path = tmp_path / "deeper.h5"
    _save_as_published(resnet, path)
    with h5py.File(path, "a") as file:
        # ResNet101 has all the layers of ResNet50, and more blocks after them.
        names = [
            name if isinstance(name, bytes) else name.encode() for name in file.attrs["layer_names"]
        ]
        for kind in ("conv", "bn"):
            file.copy(f"conv4_block6_3_{kind}", f"conv4_block7_3_{kind}")
            names.append(f"conv4_block7_3_{kind}".encode())
        file.attrs["layer_names"] = names
    assert resnet50.open_logits(path, "float32") is None
    with pytest.raises(VidsalError, match=r"deeper\.h5 does not hold weights of ResNet50: "):
        open_static(choose(Settings(weights=path)), Settings())


def test_the_last_layer_may_be_called_as_it_once_was(resnet: Any, tmp_path: Path) -> None:
    from vidsal.static import resnet50

    path = tmp_path / "published.h5"
    _save_as_published(resnet, path, last="probs")
    network = resnet50.open_logits(path, "float32")
    assert network is not None
    rgb = _photo_batch()
    expected = _keras_logits(resnet, rgb)
    found = np.asarray(network(rgb.astype(np.float32)))
    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [
        ("text", ".h5"),
        ("text", ".weights.h5"),
        ("half", ".weights.h5"),
        ("other network", ".h5"),
        ("other network", ".weights.h5"),
    ],
)
def test_a_file_without_these_weights_is_one_line(
    kind: str, suffix: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    import keras

    path = tmp_path / f"wrong{suffix}"
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    if kind == "text":
        path.write_text("not weights at all\n" * 100)
    elif suffix == ".h5":
        _save_as_published(other, path)
    else:
        other.save_weights(path)
    if kind == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    # Keras' messages about writing the file are not vidsal's.
    recwarn.clear()
    with pytest.raises(VidsalError) as caught:
        open_static(choose(Settings(weights=path)), Settings())
    assert str(caught.value).startswith(f"{path} does not hold weights of ResNet50: ")
    assert "\n" not in str(caught.value)
    # A warning would be a second line on the user's terminal.
    assert not [str(one.message) for one in recwarn]
