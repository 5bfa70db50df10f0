"""Keras models as the gradient needs them: with logits, for any input size, folded."""

import contextlib
import inspect
import logging
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf

from vidsal.errors import VidsalError, option
from vidsal.settings import Arithmetic, Preprocess
from vidsal.static import depthwise
from vidsal.static.bn_folding import fold
from vidsal.static.keras_errors import cause
from vidsal.static.layers import Observer

log = logging.getLogger(__name__)

# Lower and upper bound of a probability whose logarithm is taken, in float32.
_LEAST, _MOST = 1e-30, 1 - 2**-24
# The remedy for a model file that does not load, by a part of Keras' message.
_REMEDIES = {
    "`Lambda` layer": "If you trust the file, allow its code with {trust}",
    "Could not locate": "Load it in Python, where its classes are defined, and pass the object as "
    "vidsal.Settings(model=...)",
    "Unknown layer": "Load it in Python, where its classes are defined, and pass the object as "
    "vidsal.Settings(model=...)",
    "No model config": "It may hold weights alone: save the whole model with "
    "model.save('NAME.keras')",
}
_SAVE_AGAIN = "Save the model again with model.save('NAME.keras')"


def check_backend() -> None:
    """Raise `VidsalError` unless Keras runs on TensorFlow.

    Raises
    ------
    VidsalError
        If the caller's program imported Keras with another backend.
    """
    backend = keras.config.backend()
    if backend != "tensorflow":
        raise VidsalError(
            f"Keras runs on {backend}, and vidsal needs TensorFlow: set the environment variable "
            "KERAS_BACKEND=tensorflow before Keras is imported"
        )


def application_names() -> list[str]:
    """Return the names of the networks in ``keras.applications``."""
    public = vars(keras.applications).items()
    return [name for name, one in public if inspect.isfunction(one)]


def application(
    name: str, weights: Path | None, *, is_trained: bool = True
) -> tuple[Any, Callable[[Any], Any]]:
    """Return a network of ``keras.applications`` with logits, and its own preprocessing.

    Parameters
    ----------
    name : str
        Such as ``ResNet50``.
    weights : Path or None
        ``.h5`` (Keras' published layout) or ``.weights.h5`` (Keras 3); ``None`` for the
        published ImageNet weights, which Keras takes from its cache or downloads.
    is_trained : bool
        With False the network has random weights, and `weights` has no effect.

    Returns
    -------
    model : keras.Model
    preprocess : callable
        From RGB, 0..255, to the model's input.

    Raises
    ------
    VidsalError
        If the weights are unavailable, or belong to another network.
    """
    build = getattr(keras.applications, name)
    weights = weights if is_trained else None
    published = "imagenet" if is_trained and weights is None else None
    try:
        # Keras reports a download on stdout, which is for results.
        with contextlib.redirect_stdout(sys.stderr):
            model = build(weights=published, classifier_activation=None)
    # Keras raises a failed download as a plain Exception.
    except Exception as error:
        raise VidsalError(
            f"{name}'s ImageNet weights could not be downloaded ({_first_line(error)}): give a "
            f"file with {option('weights', 'FILE')}, or use {option('model', 'lite0')}"
        ) from error
    if weights is not None:
        try:
            # Keras 3.15 warns about each missing layer; the error says it in one line.
            with warnings.catch_warnings(action="ignore"):
                model.load_weights(weights)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise VidsalError(
                f"{weights} does not hold weights of {name}: {_first_line(error)}"
            ) from error
    # The public modules of preprocessing lack some networks, such as MobileNetV3.
    home: Any = inspect.getmodule(build)
    return model, home.preprocess_input


def load(path: Path, *, is_trusted: bool = False) -> Any:
    """Return the model of a ``.keras`` or ``.h5`` file.

    Parameters
    ----------
    path : Path
    is_trusted : bool
        Run the Python code of ``Lambda`` layers in the file. Such code can do anything that the
        user can do, so it is refused by default.

    Returns
    -------
    keras.Model

    Raises
    ------
    VidsalError
        If Keras cannot load the file, with Keras' cause and what the user can do.
    """
    try:
        return keras.models.load_model(path, compile=False, safe_mode=not is_trusted)
    # The class of the error depends on where Keras fails in a file of another kind.
    except Exception as error:
        # Keras reports a file of another kind as missing.
        if not (zipfile.is_zipfile(path) or h5py.is_hdf5(path)):
            raise VidsalError(
                f"{path} cannot be loaded as a Keras model: its content is neither .keras nor .h5"
            ) from error
        remedies = (text for part, text in _REMEDIES.items() if part in str(error))
        remedy = next(remedies, _SAVE_AGAIN).format(trust=option("trust_model", True))
        raise VidsalError(
            f"{path} cannot be loaded as a Keras model: {cause(error)} {remedy}"
        ) from error


def with_logits(model: Any, name: str) -> tuple[Any, bool]:
    """Return a classifier whose outputs are the scores before its softmax or sigmoid.

    The model itself is not changed; the new one shares its layers.

    Parameters
    ----------
    model : keras.Model
        Functional or sequential, from one RGB picture to one vector of scores or probabilities.
    name : str
        For messages.

    Returns
    -------
    model : keras.Model
        From the same input to logits.
    is_multi_label : bool
        Whether the classes are independent: the model ends in a sigmoid, or has one output.

    Raises
    ------
    VidsalError
        If it has no graph of layers, or is not a classifier of one picture.
    """
    _check_classifier(model, name)
    model = keras.Model(model.inputs[0], model.outputs[0])
    outputs = int(model.output.shape[-1])
    last = _activation(model.outputs[0])
    if last == "softmax" and outputs == 1:
        raise VidsalError(f"{name} has a softmax over one output, which is always 1")
    if last is not None:
        return _without_activation(model), last == "sigmoid"
    probabilities = model.outputs[0]
    if _averages_sigmoids(probabilities):
        log.info("%s averages sigmoids: its scores are their log-odds", name)
        # The bounds keep the gradient of classes with a probability near 0.
        bounded = keras.ops.clip(probabilities, _LEAST, _MOST)
        odds = keras.ops.log(bounded) - keras.ops.log1p(-bounded)
        return keras.Model(model.inputs[0], odds), True
    if outputs > 1 and _gives_shares(model):
        # An ensemble, or a softmax with other layers behind it. The softmax of the logarithms
        # is the probabilities again.
        log.info("%s returns probabilities: its scores are their logarithms", name)
        # The bound keeps the gradient of classes with a probability near 0.
        bounded = keras.ops.maximum(probabilities, _LEAST)
        return keras.Model(model.inputs[0], keras.ops.log(bounded)), False
    return model, outputs == 1


def _check_classifier(model: Any, name: str) -> None:
    """Raise `VidsalError` unless a model has a graph from one RGB picture to one vector."""
    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if not isinstance(model, keras.Model):
        module = type(model).__module__.split(".")[0]
        raise VidsalError(
            f"{name} is a model of {module}, and vidsal needs one of Keras {keras.__version__}: "
            "save it with model.save('NAME.h5') and give that file"
        )
    if not (inputs and outputs):
        what = "no Input" if isinstance(model, keras.Sequential) else "a subclassed model"
        raise VidsalError(
            f"{name} has no graph of layers ({type(model).__name__}: {what}): wrap it with "
            "x = keras.Input((224, 224, 3)); model = keras.Model(x, net(x))"
        )
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[-1] != 3:
        shapes = ", ".join(str(tuple(one.shape)) for one in inputs)
        raise VidsalError(f"{name} must take one picture (height, width, 3), its inputs: {shapes}")
    if len(outputs) != 1 or len(outputs[0].shape) != 2 or not outputs[0].shape[-1]:
        shapes = ", ".join(str(tuple(one.shape)) for one in outputs)
        remedy = ": save a model with the classes alone" if len(outputs) > 1 else ""
        raise VidsalError(
            f"{name} must give one score for each class, its outputs: {shapes}{remedy}"
        )


def _is_functional(operation: Any) -> bool:
    """Say whether an operation is a model with a graph of its own."""
    return isinstance(operation, keras.Model) and bool(getattr(operation, "outputs", None))


def _activation(tensor: Any) -> str | None:
    """Return "softmax" or "sigmoid" where the operation behind a tensor ends in one."""
    # Operations, not layers: it may be a bare keras.ops.softmax.
    operation = tensor._keras_history.operation
    if _is_functional(operation):
        return _activation(operation.outputs[0])
    kind = type(operation).__name__.lower()
    if kind in ("softmax", "sigmoid"):
        return kind
    activation = getattr(operation, "activation", None)
    names = ("softmax", "sigmoid")
    return next((one for one in names if activation is getattr(keras.activations, one)), None)


def _without_activation(model: Any) -> Any:
    """Return a model without the softmax or sigmoid that its last operation ends in."""
    operation, node_index, _ = model.outputs[0]._keras_history
    before = operation._inbound_nodes[node_index].input_tensors[0]
    if _is_functional(operation):
        inside = _without_activation(keras.Model(operation.inputs[0], operation.outputs[0]))
        return keras.Model(model.inputs[0], inside(before))
    if type(operation).__name__ in ("Softmax", "Sigmoid", "Activation"):
        return keras.Model(model.inputs[0], before)
    # A copy: the model may belong to the caller.
    linear = type(operation).from_config(operation.get_config() | {"activation": "linear"})
    scores = linear(before)
    linear.set_weights(operation.get_weights())
    return keras.Model(model.inputs[0], scores)


def _averages_sigmoids(tensor: Any) -> bool:
    """Say whether a tensor is a sigmoid, or an average of some, at inference."""
    if _activation(tensor) == "sigmoid":
        return True
    operation, node_index, _ = tensor._keras_history
    if _is_functional(operation):
        return _averages_sigmoids(operation.outputs[0])
    kind = type(operation).__name__
    is_linear = getattr(operation, "activation", None) is keras.activations.linear
    if kind not in ("Average", "Dropout", "Identity") and not (kind == "Activation" and is_linear):
        return False
    return all(map(_averages_sigmoids, operation._inbound_nodes[node_index].input_tensors))


def _gives_shares(model: Any) -> bool:
    """Say whether the outputs for any picture are at least 0 and sum to 1."""
    size = fixed_size(model) or (224, 224)
    noise = np.random.default_rng(0).uniform(-255, 255, (2, *size, 3)).astype(np.float32)
    try:
        scores = keras.ops.convert_to_numpy(model(noise, training=False))
    except Exception:  # The layers may raise anything; the first picture reports it.
        return False
    return bool((scores >= 0).all() and np.allclose(scores.sum(axis=1), 1, atol=1e-3))


def preprocessing(mode: Preprocess) -> Callable[[Any], Any]:
    """Return the function from RGB, 0..255, to the input of a user's own model.

    Parameters
    ----------
    mode : {"caffe", "torch", "tf", "none"}
        As in ``keras.applications.imagenet_utils.preprocess_input``; see `vidsal.Settings`.
    """
    if mode == "none":
        return lambda rgb: rgb
    prepare = keras.applications.imagenet_utils.preprocess_input
    return lambda rgb: prepare(rgb, data_format="channels_last", mode=mode)


def run(model: Any, pixels: Any, observer: Observer | None = None) -> Any:
    """Return the outputs of a network at inference.

    Parameters
    ----------
    model : keras.Model
        Functional.
    pixels : (N, h, w, 3) float32 tensor
    observer : Observer, optional
        Is shown the output of each layer.

    Returns
    -------
    tensor
    """
    if observer is None:
        return model(pixels, training=False)

    def observed(operation: Any) -> Any:
        # As `model(...)` itself passes it on.
        takes_training = getattr(operation, "_call_has_training_arg", False)
        options = {"training": False} if takes_training else {}

        def applied(*arguments: Any, **others: Any) -> Any:
            if depthwise.is_slow(operation):
                output = depthwise.convolved(operation, *arguments)
            else:
                output = operation(*arguments, **(others | options))
            return observer(operation.name, output, keras.tree.flatten((arguments, others)))

        return applied

    # A layer's name need not be valid as that of an outermost scope.
    with tf.name_scope("network"):
        return model._run_through_graph(pixels, operation_fn=observed)


def prepared(
    model: Any, *, precision: Arithmetic, is_tried: bool = False, is_wanted: bool = True
) -> Any:
    """Return an equal network, folded, for pictures of any size where its layers allow it.

    An integer input becomes a float32 input, so that the network has a gradient.

    Parameters
    ----------
    model : keras.Model
        From preprocessed pictures to logits.
    precision : {"float32", "bfloat16"}
        Type of its arithmetic.
    is_tried : bool
        Run the network on another size as well, where its layers seem to allow any.
    is_wanted : bool
        Warn if the arithmetic cannot be had.

    Returns
    -------
    keras.Model
        The model itself where one of its layers cannot be copied.
    """
    dtype = None if precision == "float32" else precision
    try:
        return _folded(model, dtype, is_tried=is_tried)
    except (ValueError, TypeError, NotImplementedError) as error:
        level = logging.DEBUG if dtype is None or not is_wanted else logging.WARNING
        log.log(level, "%s runs as it is, in its own precision: %s", model.name, cause(error))
        return model


def _folded(model: Any, dtype: str | None, *, is_tried: bool) -> Any:
    """Return a folded copy, for any input size where possible; see `prepared`."""
    if any(isinstance(layer, keras.Model) for layer in model.layers):
        # An inner network keeps the input size that it was built for.
        model = _inlined(model)
        return fold(model, dtype=dtype, input_tensors=_float_input(model))[0]
    # Flatten fixes the size, and so do some layers with tables of positions.
    with contextlib.suppress(ValueError, TypeError):
        free = fold(model, dtype=dtype, input_tensors=keras.Input((None, None, 3)))[0]
        if free.output.shape == model.output.shape and not (is_tried and _fails(free, model)):
            return free
    return fold(model, dtype=dtype, input_tensors=_float_input(model))[0]


def _float_input(model: Any) -> Any:
    """Return a float32 input for a model with an integer input, else None."""
    if keras.backend.is_float_dtype(model.inputs[0].dtype):
        return None
    return keras.Input(model.input_shape[1:])


def _inlined(model: Any) -> Any:
    """Return an equal network with the layers of its inner networks in place of these.

    Where two layers share a name, or one cannot be copied, return the model itself.
    """

    def opened(operation: Any) -> Any:
        graph = getattr(operation, "_functional", operation)
        if not hasattr(graph, "_run_through_graph"):
            return operation
        return lambda x, *_, **__: graph._run_through_graph(x, operation_fn=opened)

    picture = keras.Input(model.input_shape[1:])
    try:
        # The layers have nodes in the old graph as well; those of a copy have not.
        flat = keras.Model(picture, opened(model)(picture))
        copy = keras.models.clone_model(flat, clone_function=_copied)
    except (ValueError, TypeError, NotImplementedError) as error:
        log.debug("the inner networks of %s are not inlined: %s", model.name, error)
        return model
    copy.set_weights(flat.get_weights())
    return copy


def _copied(layer: Any) -> Any:
    """Return a new layer of the same configuration; a Lambda layer, which has no weights, itself.

    Keras refuses to copy the code of a Lambda layer.
    """
    if isinstance(layer, keras.layers.Lambda):
        return layer
    if _is_functional(layer):
        return keras.models.clone_model(layer, clone_function=_copied)
    return type(layer).from_config(layer.get_config())


def _fails(free: Any, model: Any) -> bool:
    """Say whether a network for any size cannot take another size than the model's own."""
    height, width = fixed_size(model) or (224, 224)
    try:
        scores = free(np.zeros((1, height + 32, width + 64, 3), np.float32), training=False)
    except Exception:  # The layers may raise anything.
        return True
    return tuple(scores.shape) != (1, model.output.shape[-1])


def reinitialised(model: Any, seed: int, *, share: float = 1.0) -> Any:
    """Return a network of the same layers with random weights, as before training.

    Parameters
    ----------
    model : keras.Model
    seed : int
    share : float
        Share of the layers with weights that become random, from the last layer backwards; at
        least one.
    """
    keras.utils.set_random_seed(seed)
    has_lambda = any(isinstance(one, keras.layers.Lambda) for one in model._flatten_layers())
    copy = keras.models.clone_model(model, clone_function=_copied if has_lambda else None)
    layers = [layer for layer in model.layers if layer.weights]
    kept = len(layers) - max(1, round(share * len(layers)))
    for layer in layers[:kept]:
        copy.get_layer(layer.name).set_weights(layer.get_weights())
    return copy


def fixed_size(model: Any) -> tuple[int, int] | None:
    """Return the only (height, width) in pixels that a network takes, or None if it takes any.

    Parameters
    ----------
    model : keras.Model
        A network for pictures, with one input of shape (N, H, W, C).
    """
    height, width = model.input_shape[1:3]
    return None if height is None or width is None else (int(height), int(width))


def _first_line(error: Exception) -> str:
    """Return the first line of an error, or its class where it has no text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]
