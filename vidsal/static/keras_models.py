"""Keras models as the gradient wants them: with logits, of any input size, folded."""

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

from vidsal.errors import VidsalError
from vidsal.settings import Precision, Preprocess
from vidsal.static.bn_folding import fold

log = logging.getLogger(__name__)

# Probabilities below this are as good as none: a float32 far from its own end.
_LEAST = 1e-30


def application_names() -> list[str]:
    """Return the networks of ``keras.applications``."""
    public = vars(keras.applications).items()
    return [name for name, one in public if inspect.isfunction(one)]


def application(name: str, weights: Path | None) -> tuple[Any, Callable[[Any], Any]]:
    """Return a network of ``keras.applications`` with logits, and its own preprocessing.

    Parameters
    ----------
    name : str
        Such as ``ResNet50``.
    weights : Path or None
        ``.h5`` (Keras' published layout) or ``.weights.h5`` (Keras 3); ``None`` for the
        published ImageNet weights, which Keras downloads or has in its cache.

    Raises
    ------
    VidsalError
        If the weights cannot be had, or are not this network's.
    """
    build = getattr(keras.applications, name)
    published = "imagenet" if weights is None else None
    try:
        # Keras reports a download on stdout, which is for results.
        with contextlib.redirect_stdout(sys.stderr):
            model = build(weights=published, classifier_activation=None)
    # Keras words a failed download as a plain Exception.
    except Exception as error:
        raise VidsalError(
            f"{name}'s ImageNet weights could not be downloaded ({_brief(error)}): give a file "
            "with --weights FILE, or use --model lite0"
        ) from error
    if weights is not None:
        try:
            # Keras 3.15 warns of each layer that it does not find; the error says it in one line.
            with warnings.catch_warnings(action="ignore"):
                model.load_weights(weights)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise VidsalError(
                f"{weights} does not hold weights of {name}: {_brief(error)}"
            ) from error
    # Not every network is also in the public module of its preprocessing (MobileNetV3 is not).
    home: Any = inspect.getmodule(build)
    return model, home.preprocess_input


def saved(path: Path) -> Any:
    """Return the network of a saved model, with its final softmax taken off.

    Raises
    ------
    VidsalError
        If it cannot be loaded, or is not a classifier of one picture.
    """
    try:
        model = keras.models.load_model(path, compile=False)
    # What a file of another kind raises depends on where in it Keras stumbles.
    except Exception as error:
        # Of a file of another kind it says that there is none.
        is_one = zipfile.is_zipfile(path) or h5py.is_hdf5(path)
        cause = _brief(error) if is_one else "what is in it is neither .keras nor .h5"
        raise VidsalError(f"{path} cannot be loaded as a Keras model: {cause}") from error
    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[-1] != 3:
        shapes = ", ".join(str(tuple(one.shape)) for one in inputs) or "none that is known"
        raise VidsalError(f"{path} must take one picture (height, width, 3), its inputs: {shapes}")
    if len(outputs) != 1 or len(outputs[0].shape) != 2 or (outputs[0].shape[-1] or 0) < 2:
        shapes = ", ".join(str(tuple(one.shape)) for one in outputs)
        remedy = ": save a model with the classes alone" if len(outputs) > 1 else ""
        raise VidsalError(
            f"{path} must give one score for each of two classes or more, its outputs: "
            f"{shapes}{remedy}"
        )
    model = _with_logits(keras.Model(inputs[0], outputs[0]), path)
    if _gives_probabilities(model):
        # Of an ensemble, say, or a softmax with something behind it. Their softmax is they again.
        log.info("%s gives probabilities: their logarithms are its scores", path)
        # So small a bound that classes of next to no probability keep their gradients.
        some = keras.ops.maximum(model.outputs[0], _LEAST)
        model = keras.Model(model.inputs[0], keras.ops.log(some))
    return model


def _gives_probabilities(model: Any) -> bool:
    """Say whether the scores of any picture are shares of 1."""
    size = fixed_size(model) or (224, 224)
    noise = np.random.default_rng(0).uniform(-255, 255, (2, *size, 3)).astype(np.float32)
    try:
        scores = keras.ops.convert_to_numpy(model(noise, training=False))
    except Exception:  # Whatever its layers raise: it is told where pictures come.
        return False
    return bool((scores >= 0).all() and np.allclose(scores.sum(axis=1), 1, atol=1e-3))


def _with_logits(model: Any, path: Path) -> Any:
    """Return a classifier without the softmax at its end, which is recomputed where wanted.

    Raises
    ------
    VidsalError
        If it ends in a sigmoid: then its classes do not exclude each other.
    """
    # Operations, not layers: the softmax may be a bare keras.ops.softmax.
    last = model.operations[-1]
    if isinstance(last, keras.Model):
        inside = _with_logits(keras.Model(last.inputs[0], last.outputs[0]), path)
        return keras.Model(model.inputs[0], inside(last._inbound_nodes[0].input_tensors[0]))
    activation = getattr(last, "activation", None)
    if activation is keras.activations.sigmoid or type(last).__name__ == "Sigmoid":
        raise VidsalError(
            f"{path} ends in a sigmoid; vidsal explains classifiers whose classes exclude each "
            "other (a softmax, or plain scores)"
        )
    is_softmax = activation is keras.activations.softmax
    if type(last).__name__ == "Softmax" or (is_softmax and type(last).__name__ == "Activation"):
        return keras.Model(model.inputs[0], last.input)
    if is_softmax:
        last.activation = keras.activations.linear
    return model


def preprocessing(mode: Preprocess) -> Callable[[Any], Any]:
    """Return what turns RGB, 0..255, into what a saved model expects; see ``--preprocess``."""
    if mode == "none":
        return lambda rgb: rgb
    prepare = keras.applications.imagenet_utils.preprocess_input
    return lambda rgb: prepare(rgb, data_format="channels_last", mode=mode)


def prepared(model: Any, *, precision: Precision, is_tried: bool = False) -> Any:
    """Return an equal network, folded, for pictures of any size where its layers allow it.

    Parameters
    ----------
    model : keras.Model
        From preprocessed pictures to logits.
    precision : {"float32", "bfloat16"}
        Type of its arithmetic.
    is_tried : bool
        Whether that it takes other sizes is to be tried, not only read off its layers.
    """
    dtype = None if precision == "float32" else precision
    if any(isinstance(layer, keras.Model) for layer in model.layers):
        # It keeps the input size that a network within it was built for.
        return fold(_inlined(model), dtype=dtype)[0]
    # Flattening fixes the size, and so do some layers with tables of positions.
    with contextlib.suppress(ValueError, TypeError):
        free = fold(model, dtype=dtype, input_tensors=keras.Input((None, None, 3)))[0]
        if free.output.shape == model.output.shape and not (is_tried and _fails(free, model)):
            return free
    return fold(model, dtype=dtype)[0]


def _inlined(model: Any) -> Any:
    """Return an equal network whose layers are also those of the networks within it.

    Where two of them have one name, or one cannot be copied, it stays as it is.
    """

    def opened(operation: Any) -> Any:
        graph = getattr(operation, "_functional", operation)
        if not hasattr(graph, "_run_through_graph"):
            return operation
        return lambda x, *_, **__: graph._run_through_graph(x, operation_fn=opened)

    picture = keras.Input(model.input_shape[1:])
    try:
        # Its layers are used in the old place as well; those of a copy are not.
        flat = keras.Model(picture, opened(model)(picture))
        copy = keras.models.clone_model(flat)
    except (ValueError, TypeError) as error:
        log.debug("the networks within %s stay whole: %s", model.name, error)
        return model
    copy.set_weights(flat.get_weights())
    return copy


def _fails(free: Any, model: Any) -> bool:
    """Say whether a network that should take any size cannot take another than its own."""
    height, width = fixed_size(model) or (224, 224)
    try:
        scores = free(np.zeros((1, height + 32, width + 64, 3), np.float32), training=False)
    except Exception:  # Whatever its layers raise.
        return True
    return tuple(scores.shape) != (1, model.output.shape[-1])


def reinitialised(model: Any, seed: int) -> Any:
    """Return a network of the same layers with weights as they are before training."""
    keras.utils.set_random_seed(seed)
    return keras.models.clone_model(model)


def fixed_size(model: Any) -> tuple[int, int] | None:
    """Return the only (height, width) that a network takes, or None if it takes any."""
    height, width = model.input_shape[1:3]
    return None if height is None or width is None else (int(height), int(width))


def _brief(error: Exception) -> str:
    """Return the first line of an error, or its kind where it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]
