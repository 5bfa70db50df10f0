"""ResNet50 written down as it is run, its normalisations folded while the weights are read.

Keras' own ResNet50 takes two seconds to be built, loaded and folded; this is the same function of
the same weights, without Keras.

As published, a stage begins by leaving out every second row and column of what the stage before it
made. Here they are left out where nothing is lost by it but work: within the last block of that
stage before. The 3 x 3 convolution there is the last one to look beyond a single place, so all
behind it is made for a quarter of the places. That saves a tenth of the gradient's time.

K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016.
https://doi.org/10.1109/CVPR.2016.90
"""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vidsal.settings import Precision
from vidsal.static.batchnorm import scale_and_shift
from vidsal.static.stem import stacked_conv2d

log = logging.getLogger(__name__)

CLASSES = 1000
# Stages 2 to 5: channels within a block, and blocks. Each has half the rows and columns of the one
# before.
_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
# Red, green and blue of ImageNet's mean pixel: the preprocessing that the weights were made with.
_MEAN = (123.68, 116.779, 103.939)
# What these layers have as the network is published.
_EPSILON = 1.001e-5
# Channels of the last stage.
_FEATURES = 4 * _STAGES[-1][0]


class _Layer(NamedTuple):
    """A convolution, or the matrix at the end: kernel and bias."""

    kernel: Any
    bias: Any


def open_logits(path: Path, precision: Precision) -> Callable[[Any], Any] | None:
    """Return the network with the weights of a file, or None where these are not found by name.

    Then Keras has to look, and to say what is wrong.

    Parameters
    ----------
    path : Path
        ``.h5`` as Keras publishes it, or ``.weights.h5`` as Keras 3 writes it.
    precision : {"float32", "bfloat16"}
        Type of the arithmetic.

    Returns
    -------
    callable or None
        (N, h, w, 3) float32 tensor, RGB, 0..255, to (N, 1000) float32 logits.
    """
    try:
        with h5py.File(path) as file:
            layers = _folded(_arrays(file))
    # What a file that is made in another way raises depends on where that shows.
    except (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        log.debug("%s is left to Keras: %s", path, error)
        return None
    variables = {
        name: _Layer(*(tf.Variable(one, trainable=False, dtype=precision) for one in layer))
        for name, layer in layers.items()
    }
    return lambda rgb: _logits(rgb, variables, tf.as_dtype(precision))


def _logits(rgb: Any, layers: dict[str, _Layer], dtype: Any) -> Any:
    """Return the scores of pictures before softmax."""

    def convolved(x: Any, name: str, *, halving: bool = False) -> Any:
        kernel, bias = layers[name]
        # What "SAME" pads for a stride of 2 lies behind even rows only: it takes the odd ones.
        x = _bordered(x, 1) if halving else x
        stride, padding = (2, "VALID") if halving else (1, "SAME")
        return tf.nn.bias_add(tf.nn.conv2d(x, kernel, stride, padding), bias)

    x = tf.cast(rgb - tf.constant(_MEAN), dtype)
    stem = layers["conv1"]
    x = stacked_conv2d(_bordered(x, 3), stem.kernel, 2, "valid")
    x = tf.nn.relu(tf.nn.bias_add(x, stem.bias))
    # What relu gives is at least 0, so a border of zeros never wins.
    x = tf.nn.max_pool2d(_bordered(x, 1), 3, 2, "VALID")
    for block in _blocks():
        name = block.name
        beside = convolved(x, f"{name}_0") if block.is_first else x
        within = tf.nn.relu(convolved(x, f"{name}_1"))
        within = tf.nn.relu(convolved(within, f"{name}_2", halving=block.is_halving))
        beside = _halved(beside) if block.is_halving else beside
        x = tf.nn.relu(beside + convolved(within, f"{name}_3"))
    last = layers["predictions"]
    pooled = tf.reduce_mean(x, axis=[1, 2])
    return tf.cast(tf.matmul(pooled, last.kernel) + last.bias, tf.float32)


def _bordered(x: Any, pixels: int) -> Any:
    return tf.pad(x, [[0, 0], [pixels, pixels], [pixels, pixels], [0, 0]])


def _halved(x: Any) -> Any:
    """Return every second row and column; of all ways, the one whose derivative is quick."""
    return tf.nn.avg_pool2d(x, 1, 2, "VALID")


class _Block(NamedTuple):
    """A residual block; only the first of a stage changes what goes around it."""

    name: str
    channels: int
    is_first: bool
    is_halving: bool


def _blocks() -> Iterator[_Block]:
    for stage, (channels, blocks) in enumerate(_STAGES, start=2):
        for n in range(1, blocks + 1):
            is_halving = n == blocks and (channels, blocks) != _STAGES[-1]
            yield _Block(f"conv{stage}_block{n}", channels, n == 1, is_halving)


def _shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and kernel shape of each convolution."""
    yield "conv1", (7, 7, 3, 64)
    given = 64
    for name, channels, is_first, _ in _blocks():
        made = 4 * channels
        if is_first:
            yield f"{name}_0", (1, 1, given, made)
        yield f"{name}_1", (1, 1, given, channels)
        yield f"{name}_2", (3, 3, channels, channels)
        yield f"{name}_3", (1, 1, channels, made)
        given = made


def _folded(arrays: dict[str, list[Any]]) -> dict[str, _Layer]:
    """Return all layers of the network, each normalisation folded into its convolution.

    Raises
    ------
    KeyError, ValueError
        If one is missing or of another shape, or if there are more: a deeper network has layers
        of all these names as well.
    """
    rest = dict(arrays)
    layers: dict[str, _Layer] = {}
    for name, shape in _shapes():
        channels = shape[-1:]
        kernel, bias = _read(rest.pop(f"{name}_conv"), shape, channels)
        gamma, beta, mean, variance = _read(rest.pop(f"{name}_bn"), *[channels] * 4)
        scale, shift = scale_and_shift(mean, variance, gamma, beta, _EPSILON)
        layers[name] = _Layer(kernel * scale.astype(np.float32), bias * scale + shift)
    # The matrix at the end has been called probs, and predictions.
    (last,) = rest.values()
    layers["predictions"] = _Layer(*_read(last, (_FEATURES, CLASSES), (CLASSES,)))
    # The weights are for blue, green and red. The kernel is turned round once; every picture, and
    # every derivative, would have to be turned at every call.
    first = layers["conv1"]
    layers["conv1"] = _Layer(first.kernel[:, :, ::-1], first.bias)
    return layers


def _read(datasets: list[Any], *shapes: tuple[int, ...]) -> list[NDArray[Any]]:
    """Return a layer's arrays.

    Raises
    ------
    ValueError
        If they are not floating-point numbers of these shapes.
    """
    found = [(one.shape, one.dtype.kind) for one in datasets]
    if found != [(shape, "f") for shape in shapes]:
        raise ValueError(f"there are arrays of {found}, and not of {shapes}")
    return [one[()] for one in datasets]


def _arrays(file: Any) -> dict[str, list[Any]]:
    """Return the arrays of each layer that has any, not read yet, in the order Keras keeps.

    That is kernel, bias; gamma, beta, mean, variance.
    """
    if "layer_names" in file.attrs:
        groups = {_text(name): file[name] for name in file.attrs["layer_names"]}
        found = {
            name: [group[one] for one in group.attrs["weight_names"]]
            for name, group in groups.items()
        }
    else:
        # Keras 3 numbers its groups, and notes the layer's name beside the arrays.
        groups = {one["vars"].attrs["name"]: one["vars"] for one in file["layers"].values()}
        found = {name: [one[str(n)] for n in range(len(one))] for name, one in groups.items()}
    return {name: arrays for name, arrays in found.items() if arrays}


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name
