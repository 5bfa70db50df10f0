"""EfficientNet-Lite0, trained on ImageNet, as a functional Keras model.

EfficientNet-Lite0 is EfficientNet-B0 without squeeze-and-excitation and with ReLU6 in place of
swish. Every operation is a layer of its own, so that a saliency method can reach each activation by
the layer's name:

* ``stem_conv``, ``stem_bn``, ``stem_relu``;
* for each block ``NN`` from ``00`` to ``15``, where it has them: ``blockNN_expand_conv``,
  ``_expand_bn``, ``_expand_relu``, ``_depthwise_conv``, ``_depthwise_bn``, ``_depthwise_relu``,
  ``_project_conv``, ``_project_bn`` and ``_add``;
* ``head_conv``, ``head_bn``, ``head_relu`` (the last maps, of 1280 channels, at 1/32 of the
  input's size), ``pool`` and ``logits``.

The origin and licence of the weights are in ``vidsal/data/README.md``.
"""

from __future__ import annotations

import importlib.resources
import zipfile
import zlib
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from vidsal.errors import VidsalError
from vidsal.static.weights import LITE0_FILE

CLASSES = 1000
BATCH_NORM_EPSILON = 1e-3
# The exceptions of numpy and zipfile for files that are truncated, altered or of another kind.
DAMAGE = (
    EOFError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280


class Stage(NamedTuple):
    """A sequence of equal blocks.

    Attributes
    ----------
    repeats : int
        Number of blocks.
    channels : int
        Output maps of each block.
    kernel : int
        Side of the depthwise kernel in pixels.
    stride : int
        Stride of the first block; the others have stride 1.
    expand : int
        Factor by which a block widens its channels.
    """

    repeats: int
    channels: int
    kernel: int
    stride: int
    expand: int


STAGES = (
    Stage(repeats=1, channels=16, kernel=3, stride=1, expand=1),
    Stage(repeats=2, channels=24, kernel=3, stride=2, expand=6),
    Stage(repeats=2, channels=40, kernel=5, stride=2, expand=6),
    Stage(repeats=3, channels=80, kernel=3, stride=2, expand=6),
    Stage(repeats=3, channels=112, kernel=5, stride=1, expand=6),
    Stage(repeats=4, channels=192, kernel=5, stride=2, expand=6),
    Stage(repeats=1, channels=320, kernel=3, stride=1, expand=6),
)


def preprocess(rgb: tf.Tensor) -> tf.Tensor:
    """Scale RGB values to the range that the network was trained on.

    Parameters
    ----------
    rgb : tf.Tensor
        Red, green and blue, of any shape and any real dtype, range [0, 255].

    Returns
    -------
    tf.Tensor
        ``(rgb - 127) / 128``, same shape, float32, range [-0.9921875, 1].
    """
    return (tf.cast(rgb, tf.float32) - 127.0) / 128.0


def build() -> keras.Model:
    """Build the network for pictures of any size, and load its weights.

    It was trained on 224 x 224 pixels. Other sizes work, because the last maps are averaged over
    the picture, but its accuracy falls as objects shrink or grow.

    Returns
    -------
    keras.Model
        Functional model from preprocessed RGB, float32 (N, h, w, 3), see `preprocess`, to logits
        (not probabilities), float32 (N, 1000), unbounded. It is frozen: batch normalisation keeps
        its statistics even if called with ``training=True``.

    References
    ----------
    M. Tan, Q. Le, "EfficientNet: rethinking model scaling for convolutional neural networks",
    ICML 2019. https://arxiv.org/abs/1905.11946

    Raises
    ------
    VidsalError
        If the weights file is missing, corrupt or made for another network.
    """
    image = keras.Input((None, None, 3), dtype="float32", name="image")
    x = _conv_bn(image, "stem", STEM_CHANNELS, kernel=3, stride=2)
    index = 0
    for stage in STAGES:
        for repeat in range(stage.repeats):
            x = _block(x, f"block{index:02d}", stage, stage.stride if repeat == 0 else 1)
            index += 1
    x = _conv_bn(x, "head", HEAD_CHANNELS, kernel=1, stride=1)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    logits = keras.layers.Dense(CLASSES, name="logits")(x)
    model = keras.Model(image, logits, name="efficientnet_lite0")
    _assign_weights(model, _read_weights())
    model.trainable = False
    return model


def _conv_bn(
    x: keras.KerasTensor, name: str, channels: int, kernel: int, stride: int
) -> keras.KerasTensor:
    """Convolve, normalise and clip: the network's stem and head.

    Parameters
    ----------
    x : keras.KerasTensor
        Maps, float32 (N, H, W, C).
    name : str
        Prefix of the layers' names.
    channels, kernel, stride : int
        Number of output maps, side of the kernel and step between its places in pixels.

    Returns
    -------
    keras.KerasTensor
        Maps, float32 (N, ceil(H / stride), ceil(W / stride), channels), range [0, 6].
    """
    x = keras.layers.Conv2D(
        channels, kernel, stride, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    return _bn_relu(x, name)


def _bn_relu(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Normalise by the stored statistics, then clip to [0, 6]; the shape stays."""
    x = keras.layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, name=f"{name}_bn")(x)
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(x)


def _block(x: keras.KerasTensor, name: str, stage: Stage, stride: int) -> keras.KerasTensor:
    """Apply one inverted-residual block: expand, filter each channel, project.

    Parameters
    ----------
    x : keras.KerasTensor
        Maps, float32 (N, H, W, C).
    name : str
        Prefix of the layers' names.
    stage : Stage
        The block's shape; its `repeats` and `stride` are not read.
    stride : int
        Step of the depthwise convolution in pixels.

    Returns
    -------
    keras.KerasTensor
        Maps, float32 (N, ceil(H / stride), ceil(W / stride), stage.channels), unbounded: the
        projection is linear.
    """
    block_input = x
    if stage.expand != 1:
        x = _conv_bn(x, f"{name}_expand", x.shape[-1] * stage.expand, kernel=1, stride=1)
    x = keras.layers.DepthwiseConv2D(
        stage.kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = _bn_relu(x, f"{name}_depthwise")
    x = keras.layers.Conv2D(
        stage.channels, 1, padding="same", use_bias=False, name=f"{name}_project_conv"
    )(x)
    x = keras.layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, name=f"{name}_project_bn")(x)
    if stride == 1 and block_input.shape[-1] == stage.channels:
        x = keras.layers.Add(name=f"{name}_add")([block_input, x])
    return x


def _read_weights() -> dict[str, np.ndarray]:
    """Read the weights file that ships with the package.

    Returns
    -------
    dict[str, np.ndarray]
        Arrays named ``<layer>.<weight>``: float16 kernels, float32 otherwise.

    Raises
    ------
    VidsalError
        If the file is missing, or not an intact ``.npz`` file by the archive's own checksums.
    """
    resource = importlib.resources.files("vidsal") / "data" / LITE0_FILE
    try:
        with resource.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError as error:
        raise VidsalError(f"weights file data/{LITE0_FILE} is missing; reinstall vidsal") from error
    except DAMAGE as error:
        raise VidsalError(
            f"weights file data/{LITE0_FILE} is corrupt ({error}); reinstall vidsal"
        ) from error


def _assign_weights(model: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    """Give each variable of the model the array of its name.

    Parameters
    ----------
    model : keras.Model
        The network, changed in place.
    arrays : dict[str, np.ndarray]
        Arrays named ``<layer>.<weight>``; all of them must be used.

    Raises
    ------
    VidsalError
        If the names or the shapes differ from the model's.
    """
    variables = {f"{layer.name}.{v.name}": v for layer in model.layers for v in layer.variables}
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    file_shapes = {name: array.shape for name, array in arrays.items()}
    if shapes != file_shapes:
        differing = sorted(name for name, _ in shapes.items() ^ file_shapes.items())
        raise VidsalError(
            f"weights file data/{LITE0_FILE} does not fit the network "
            f"(first difference at {differing[0]}); reinstall vidsal"
        )
    for name, variable in variables.items():
        variable.assign(arrays[name].astype(np.float32))
