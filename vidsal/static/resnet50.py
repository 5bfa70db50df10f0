"""ResNet50 as plain TensorFlow; each normalisation is folded while the weights are read.

Keras takes two seconds to build, load and fold its ResNet50. This module computes the same function
of the same weights without Keras.

In the published network a stage begins by skipping every second row and column of its input. Here
they are skipped earlier, within the last block of the stage before. The 3 x 3 convolution there is
the last layer that looks beyond a single pixel, so the layers behind it run on a quarter of the
pixels. That saves a tenth of the gradient's time.

K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016.
https://doi.org/10.1109/CVPR.2016.90
"""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vidsal.settings import Arithmetic
from vidsal.static.batchnorm import scale_and_shift
from vidsal.static.layers import Observer
from vidsal.static.stem import stacked_conv2d

log = logging.getLogger(__name__)

CLASSES = 1000
# Stages 2 to 5: channels within a block, and number of blocks. Each stage has half the rows and
# columns of the one before.
_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
# Red, green and blue of ImageNet's mean pixel: the preprocessing that the weights expect.
_MEAN = (123.68, 116.779, 103.939)
# Epsilon of the published network's normalisations.
_EPSILON = 1.001e-5
# Output channels of the last stage.
_FEATURES = 4 * _STAGES[-1][0]


class _Layer(NamedTuple):
    """Kernel and bias of a convolution, or of the dense layer at the end."""

    kernel: Any
    bias: Any


def open_logits(path: Path, precision: Arithmetic) -> Callable[..., Any] | None:
    """Return the network with the weights of a file, or None where the file has other names.

    With None the caller lets Keras load the file, or report what is wrong with it.

    Parameters
    ----------
    path : Path
        ``.h5`` as Keras publishes it, or ``.weights.h5`` as Keras 3 writes it.
    precision : {"float32", "bfloat16"}
        Type of the arithmetic.

    Returns
    -------
    callable or None
        (N, h, w, 3) float32 tensor, RGB, 0..255, and an `Observer` or None, to (N, 1000) float32
        logits. The observer is shown the outputs of ReLU and of the pooling, by their names in
        Keras.
    """
    try:
        with h5py.File(path) as file:
            layers = _folded(_arrays(file))
    # A file of another layout raises any of these.
    except (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        log.debug("Keras loads %s: %s", path, error)
        return None
    variables = {
        name: _Layer(*(tf.Variable(one, trainable=False, dtype=precision) for one in layer))
        for name, layer in layers.items()
    }
    return partial(_logits, layers=variables, dtype=tf.as_dtype(precision))


def empty_logits() -> Callable[..., Any]:
    """Return the network with weights of zero, to list its layers; see `open_logits`.

    Returns
    -------
    callable
    """
    shapes = [*_shapes(), ("predictions", (_FEATURES, CLASSES))]
    layers = {name: _Layer(tf.zeros(shape), tf.zeros(shape[-1:])) for name, shape in shapes}
    return partial(_logits, layers=layers, dtype=tf.float32)


def _logits(
    rgb: Any, observer: Observer | None = None, *, layers: dict[str, _Layer], dtype: Any
) -> Any:
    """Return the scores before softmax, (N, 1000) float32."""

    def convolved(x: Any, name: str, *, halving: bool = False) -> Any:
        kernel, bias = layers[name]
        # For a stride of 2, "SAME" pads even sizes at the end only and so takes the odd rows.
        x = _bordered(x, 1) if halving else x
        stride, padding = (2, "VALID") if halving else (1, "SAME")
        return tf.nn.bias_add(tf.nn.conv2d(x, kernel, stride, padding), bias)

    observe = observer or (lambda _name, output, _inputs: output)

    x = tf.cast(rgb - tf.constant(_MEAN), dtype)
    stem = layers["conv1"]
    x = stacked_conv2d(_bordered(x, 3), stem.kernel, 2, "valid")
    rectified = observe("conv1_relu", tf.nn.relu(tf.nn.bias_add(x, stem.bias)), (x,))
    # The output of relu is at least 0, so a border of zeros does not change the maximum.
    x = tf.nn.max_pool2d(_bordered(rectified, 1), 3, 2, "VALID")
    x = observe("pool1_pool", x, (rectified,))
    for block in _blocks():
        name = block.name
        shortcut = convolved(x, f"{name}_0") if block.is_first else x
        first = observe(f"{name}_1_relu", tf.nn.relu(convolved(x, f"{name}_1")), (x,))
        second = tf.nn.relu(convolved(first, f"{name}_2", halving=block.is_halving))
        second = observe(f"{name}_2_relu", second, (first,))
        shortcut = _halved(shortcut) if block.is_halving else shortcut
        # The derivative of "+" would ask for the shapes of both, since one may have been broadcast.
        # TensorFlow does not fuse a convolution that has such a second use with bias, sum and ReLU.
        sum_ = tf.nn.relu(tf.add_n([shortcut, convolved(second, f"{name}_3")]))
        x = observe(f"{name}_out", sum_, (x, second))
    last = layers["predictions"]
    pooled = tf.reduce_mean(x, axis=[1, 2])
    return tf.cast(tf.matmul(pooled, last.kernel) + last.bias, tf.float32)


def _bordered(x: Any, pixels: int) -> Any:
    """Return maps with a border of zeros."""
    return tf.pad(x, [[0, 0], [pixels, pixels], [pixels, pixels], [0, 0]])


def _halved(x: Any) -> Any:
    """Return every second row and column, in the way that has the fastest derivative."""
    return tf.nn.avg_pool2d(x, 1, 2, "VALID")


class _Block(NamedTuple):
    """A residual block; the first one of a stage has a convolution in its shortcut."""

    name: str
    channels: int
    is_first: bool
    is_halving: bool


def _blocks() -> Iterator[_Block]:
    """Yield the blocks from the input to the output."""
    for stage, (channels, blocks) in enumerate(_STAGES, start=2):
        for n in range(1, blocks + 1):
            is_halving = n == blocks and (channels, blocks) != _STAGES[-1]
            yield _Block(f"conv{stage}_block{n}", channels, n == 1, is_halving)


def _shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and kernel shape of each convolution."""
    yield "conv1", (7, 7, 3, 64)
    inputs = 64
    for name, channels, is_first, _ in _blocks():
        outputs = 4 * channels
        if is_first:
            yield f"{name}_0", (1, 1, inputs, outputs)
        yield f"{name}_1", (1, 1, inputs, channels)
        yield f"{name}_2", (3, 3, channels, channels)
        yield f"{name}_3", (1, 1, channels, outputs)
        inputs = outputs


def _folded(arrays: dict[str, list[Any]]) -> dict[str, _Layer]:
    """Return all layers of the network, each normalisation folded into its convolution.

    Raises
    ------
    KeyError, ValueError
        If a layer is missing or has another shape, or if there are more layers: a deeper network
        has layers of all these names, too.
    """
    rest = dict(arrays)
    layers: dict[str, _Layer] = {}
    for name, shape in _shapes():
        channels = shape[-1:]
        kernel, bias = _read(rest.pop(f"{name}_conv"), shape, channels)
        gamma, beta, mean, variance = _read(rest.pop(f"{name}_bn"), *[channels] * 4)
        scale, shift = scale_and_shift(mean, variance, gamma, beta, _EPSILON)
        layers[name] = _Layer(kernel * scale.astype(np.float32), bias * scale + shift)
    # The name of the dense layer at the end is "probs" or "predictions".
    (last,) = rest.values()
    layers["predictions"] = _Layer(*_read(last, (_FEATURES, CLASSES), (CLASSES,)))
    # The weights expect blue, green and red. The kernel is reversed once, instead of every picture
    # and every derivative in each call.
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
    kinds = [(one.shape, one.dtype.kind) for one in datasets]
    if kinds != [(shape, "f") for shape in shapes]:
        raise ValueError(f"expected float arrays of {shapes}, found {kinds}")
    return [one[()] for one in datasets]


def _arrays(file: Any) -> dict[str, list[Any]]:
    """Return the unread arrays of each layer that has any, in Keras' order.

    The order is kernel, bias; or gamma, beta, mean, variance.
    """
    if "layer_names" in file.attrs:
        groups = {_text(name): file[name] for name in file.attrs["layer_names"]}
        layers = {
            name: [group[one] for one in group.attrs["weight_names"]]
            for name, group in groups.items()
        }
    else:
        # Keras 3 numbers its groups; an attribute has the layer's name.
        groups = {one["vars"].attrs["name"]: one["vars"] for one in file["layers"].values()}
        layers = {name: [one[str(n)] for n in range(len(one))] for name, one in groups.items()}
    return {name: arrays for name, arrays in layers.items() if arrays}


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name
