"""Gradient maps: the derivative of a class score by the picture or by a layer of the network."""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from vidsal.errors import UsageError, VidsalError, option
from vidsal.runtime.allocation import gc_paused
from vidsal.runtime.fork import require_own_threads
from vidsal.settings import Method, Reduce, Score
from vidsal.settings.values import CLASS_ACTIVATION
from vidsal.static.keras_errors import cause
from vidsal.static.layers import INPUT, Layer, LayerList, chosen
from vidsal.static.reduction import class_activation_map, joined, reduced
from vidsal.static.samples import NoiseField, calls
from vidsal.types import Map, Request, Rgb, Target

log = logging.getLogger(__name__)

# Pictures with more pixels than this get fewer rows in a call. The default short side of 256
# stays below it.
_ROW_PX = 2**18


@dataclass(frozen=True, slots=True)
class Classifier:
    """A network as the gradient needs it.

    Attributes
    ----------
    name : str
        As shown to people.
    logits : callable
        (N, h, w, 3) float32 tensor, RGB, 0..255, and an optional `Observer`, to (N, classes)
        float32 scores before softmax or sigmoid; includes the network's own preprocessing. The
        observer is shown the layers by which scores can be differentiated.
    names : tuple of str
        Names of the classes.
    input_size : (int, int) or None
        The only (height, width) in pixels that the network takes; ``None`` if it takes any.
    is_multi_label : bool
        Whether the classes are independent: the probability of a class is the sigmoid of its own
        score. Otherwise the probabilities are the softmax of all scores.
    precision : {"float32", "bfloat16"}
        Arithmetic of the network.
    """

    name: str
    logits: Callable[..., Any]
    names: tuple[str, ...]
    input_size: tuple[int, int] | None = None
    is_multi_label: bool = False
    precision: str = "float32"

    def probabilities(self, logits: Any) -> Any:
        """Return probabilities, 0..1, of (N, classes) float32 scores; a tensor of their shape.

        Parameters
        ----------
        logits : (N, classes) float32 tensor

        Returns
        -------
        (N, classes) float32 tensor
            [0, 1]; the classes sum to 1 unless the network is multi-label.
        """
        return tf.nn.sigmoid(logits) if self.is_multi_label else tf.nn.softmax(logits)

    def log_probabilities(self, logits: Any) -> Any:
        """Return logarithms of probabilities, at most 0, of (N, classes) float32 scores.

        Parameters
        ----------
        logits : (N, classes) float32 tensor

        Returns
        -------
        (N, classes) float32 tensor
            Natural logarithms, at most 0.
        """
        return tf.math.log_sigmoid(logits) if self.is_multi_label else tf.nn.log_softmax(logits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a map is computed from gradients; the fields are the options of the same names.

    A sample is the derivative of the target's score by the picture or by the output of a layer,
    its channels reduced to one number at each place. The maps of several layers are joined by
    their geometric mean. The method says for which picture the derivative is taken:

    ``gradient``
        at the picture itself [1]_
    ``smoothgrad``
        at the picture plus Gaussian noise; the mean of many samples is SmoothGrad [2]_. Each
        sample is reduced before the mean
    ``integrated``
        at a point on the straight line from a black picture to this one, times their difference.
        The mean over the line is integrated gradients [3]_, whose sum over all pixels is the
        difference of the two scores
    ``gradcam``, ``gradcam++``, ``layercam``
        at the picture itself; the map is made from the derivatives and the activations of a layer,
        see `vidsal.static.reduction.class_activation_map`

    With ``score="logit"`` the score of a class is its logit; with ``"probability"`` the softmax
    over all logits, or the sigmoid of its own logit where the network is multi-label; with
    ``"logprob"`` the logarithm of that. A target of the N largest is the sum of these scores.

    Attributes
    ----------
    target : Target
    score : {"logit", "probability", "logprob"}
    layer : str
        See `vidsal.static.layers.chosen`.
    reduce : {"norm", "max", "sum", "grad-x-act"}
        See `vidsal.static.reduction.reduced`.
    method : {"gradient", "smoothgrad", "integrated", "gradcam", "gradcam++", "layercam"}
    noise : float
        Standard deviation as a share of the input range, 0..1.
    mirror : bool
        Whether every second noisy copy is mirrored, and its map mirrored back. Classifiers are
        trained with pictures and their mirror images, so this averages over both.
    seed : int
        0 to 2**31 - 1.

    References
    ----------
    .. [1] K. Simonyan, A. Vedaldi, A. Zisserman, "Deep inside convolutional networks", 2013.
       https://arxiv.org/abs/1312.6034
    .. [2] D. Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017.
       https://arxiv.org/abs/1706.03825
    .. [3] M. Sundararajan, A. Taly, Q. Yan, "Axiomatic attribution for deep networks", ICML 2017.
       https://arxiv.org/abs/1703.01365
    """

    target: Target
    score: Score = "logit"
    layer: str = INPUT
    reduce: Reduce = "max"
    method: Method = "smoothgrad"
    noise: float = 0.15
    mirror: bool = False
    seed: int = 0


class GradientStage:
    """A static stage built from a classifier; see `vidsal.types.StaticStage`.

    The scores of a batch are summed and differentiated once. The score of a sample does not depend
    on the other samples, so each sample gets its own derivative in any batch. Its noise depends on
    the seed, the frame and the sample's number, and not on the batch either.

    Parameters
    ----------
    classifier : Classifier
    recipe : Recipe
    rows : int
        Samples in one call; larger pictures get fewer.

    Raises
    ------
    ValueError
        If the target is not a class of the network.
    """

    def __init__(self, classifier: Classifier, recipe: Recipe, *, rows: int = 16) -> None:
        class_id = recipe.target.class_id
        if class_id is not None and not 0 <= class_id < len(classifier.names):
            raise ValueError(f"target must be 0 to {len(classifier.names) - 1}, got {class_id}")
        self._classifier = classifier
        self.names = classifier.names
        self.target = recipe.target
        self.input_size = classifier.input_size
        self.precision = classifier.precision
        self.is_decided = True
        self._recipe = recipe
        self._rows = rows
        self._graphs: dict[tuple[str, int | None, int, int], Any] = {}
        # The layers of the network, by the size of the picture.
        self._layers: dict[tuple[int, int], list[Layer]] = {}
        # Noise by the number of its values.
        self._fields: dict[int, NoiseField] = {}

    def aimed(self, target: Target) -> "GradientStage":
        """Return a stage that explains another target with the same network.

        Parameters
        ----------
        target : Target

        Raises
        ------
        ValueError
            If the target is not a class of the network.
        """
        stage = GradientStage(
            self._classifier, replace(self._recipe, target=target), rows=self._rows
        )
        # Shared: going back to a former target traces nothing.
        stage._graphs, stage._layers = self._graphs, self._layers
        stage._fields = self._fields
        return stage

    def layers(self, height: int, width: int) -> list[Layer]:
        """Return the layers by which scores can be differentiated, in the order of the network.

        Parameters
        ----------
        height, width : int
            Size of the picture in pixels.
        """
        size = (height, width)
        if size not in self._layers:
            self._graph("predict", self._trace_predict, *size)
        return self._layers[size]

    def chosen_layers(self, height: int, width: int) -> tuple[str, ...]:
        """Return the names of the layers by which scores are differentiated.

        Parameters
        ----------
        height, width : int
            Size of the picture in pixels.

        Raises
        ------
        UsageError
            If the network lacks a layer that the recipe names.
        """
        recipe = self._recipe
        if recipe.layer == INPUT:
            return (INPUT,)
        layers = self.layers(height, width)
        names = chosen(recipe.layer, layers, is_last=recipe.method in CLASS_ACTIVATION)
        if recipe.method in CLASS_ACTIVATION and names == (INPUT,):
            raise UsageError(
                f"{option('method', recipe.method)} needs a layer, and {self._classifier.name} has "
                "none with more than one place"
            )
        if recipe.layer == "auto" and names == (INPUT,):
            log.warning(
                "%s has no layer between its input and its last size: scores are differentiated by "
                "the picture, as with %s", self._classifier.name, option("layer", INPUT),
            )  # fmt: skip
        return names

    def predict(self, rgb: Rgb) -> Map:
        """Return the probabilities of all classes.

        Parameters
        ----------
        rgb : (N, h, w, 3) uint8 array

        Returns
        -------
        (N, classes) float32 array
            0..1: the softmax of the logits, so that a row sums to 1. For a multi-label network
            the sigmoid of each logit.
        """
        graph = self._graph("predict", self._trace_predict, *rgb.shape[1:3])
        size = self._rows_of(rgb)
        probabilities = np.concatenate(
            [graph(tf.constant(rgb[i : i + size])).numpy() for i in range(0, len(rgb), size)]
        )
        if not np.isfinite(probabilities).all():
            log.warning(
                "%s returned non-finite scores; the weights file may be corrupt",
                self._classifier.name,
            )
        return probabilities

    def _rows_of(self, rgb: Rgb) -> int:
        """Return the rows of a call with pictures of this size; its memory is bounded."""
        pixels = int(rgb.shape[1] * rgb.shape[2])
        return max(1, min(self._rows, self._rows * _ROW_PX // pixels))

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        """Return the mean of the sampled gradient maps of each picture, at the layer's own size.

        Parameters
        ----------
        rgb : (N, h, w, 3) uint8 array
        requests : sequence of N Request

        Returns
        -------
        (N, h2, w2) float32 array
            At least 0, except with ``reduce="sum"`` at one layer, which keeps the sign.

        Raises
        ------
        UsageError
            If the network lacks a layer that the recipe names.
        ValueError
            If `rgb` has another shape or type, or a request lacks the class that a locked target
            needs.
        VidsalError
            If the network cannot take pictures of this size, or has no gradient.
        """
        if rgb.ndim != 4 or rgb.shape[-1] != 3 or rgb.dtype != np.uint8:
            raise ValueError(f"rgb must be (N, h, w, 3) uint8, got {rgb.dtype} {rgb.shape}")
        graph = self._graph("maps", self._trace_maps, *rgb.shape[1:3])
        size = graph.structured_outputs.shape[1:]
        sums = np.zeros((len(rgb), *size), np.float32)
        recipe = self._recipe
        is_open = recipe.target.top is None and recipe.target.class_id is None
        if is_open and any(request.class_id is None for request in requests):
            raise ValueError("each request needs a class_id, because the target is locked")
        parts = calls(
            rgb, requests, method=recipe.method, noise=self._noise(rgb.shape[1:]),
            mirror=recipe.mirror, rows=self._rows_of(rgb), class_id=recipe.target.class_id,
        )  # fmt: skip
        for part in parts:
            maps = graph(
                tf.constant(part.points), tf.constant(part.factors), tf.constant(part.class_ids),
                tf.constant(part.is_mirrored), tf.constant(part.slots),
                tf.constant(len(part.pictures), tf.int32),
            )  # fmt: skip
            sums[part.pictures] += maps.numpy()
        counts = np.array([request.samples for request in requests], np.float32)
        means = sums / counts[:, None, None]
        # The parts of integrated gradients have signs until they are summed.
        is_signed = recipe.reduce == "sum"
        is_whole = is_signed or recipe.method != "integrated"
        return np.asarray(means if is_whole else np.abs(means), np.float32)

    def _noise(self, shape: tuple[int, ...]) -> NoiseField | None:
        """Return the noise for pictures of this shape, made on first use."""
        recipe = self._recipe
        if recipe.method != "smoothgrad" or recipe.noise == 0:
            return None
        length = NoiseField.length(shape)
        if length not in self._fields:
            # TensorFlow promises the same numbers in each of its versions.
            normal = tf.random.stateless_normal((length,), (recipe.seed, 0)).numpy()
            self._fields[length] = NoiseField(normal * np.float32(255 * recipe.noise), recipe.seed)
        return self._fields[length]

    def _graph(self, kind: str, trace: Callable[[int, int], Any], height: int, width: int) -> Any:
        """Return a graph for pictures of this size; it is traced once, for any number of them."""
        require_own_threads("TensorFlow")
        # The explained class is an argument of a graph; the number of classes is not.
        key = kind, self.target.top if kind == "maps" else None, height, width
        if key not in self._graphs:
            self._graphs[key] = trace(height, width)
        return self._graphs[key]

    def _traced(self, function: Callable[..., Any], *signature: tf.TensorSpec) -> Any:
        """Return the traced graph of a function of pictures and other tensors."""
        height, width = signature[0].shape[1:3]
        try:
            return _concrete(function, list(signature))
        except (ValueError, TypeError, tf.errors.OpError) as error:
            raise VidsalError(
                f"{self._classifier.name} cannot take pictures of {width}x{height}: "
                f"{cause(error)}{_size_remedy(error, self.input_size)}"
            ) from error

    def _trace_predict(self, height: int, width: int) -> Any:
        def graph(rgb: Any) -> Any:
            pixels = tf.cast(rgb, tf.float32)
            found = LayerList(pixels)
            logits = self._classifier.logits(pixels, found.observe)
            self._layers[height, width] = found.layers()
            return self._classifier.probabilities(logits)

        return self._traced(graph, tf.TensorSpec((None, height, width, 3), tf.uint8))

    def _trace_maps(self, height: int, width: int) -> Any:
        names = self.chosen_layers(height, width)
        return self._traced(
            partial(self._maps_graph, names),
            tf.TensorSpec((None, height, width, 3), tf.float32),
            tf.TensorSpec((None,), tf.float32),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((None,), tf.bool),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((), tf.int32),
        )

    def _maps_graph(
        self, names: tuple[str, ...], points: Any, factors: Any, classes: Any, is_mirrored: Any,
        slots: Any, count: Any,
    ) -> Any:  # fmt: skip
        """Return the sum of the maps of each slot's rows, (count, h2, w2); traced, never run."""
        gradients, activations = self._derivatives(names, points, classes)
        if self._recipe.method == "integrated":
            # The factors contain the quotient of the picture and the point.
            maps = tf.reduce_sum(gradients[0] * points, axis=-1)
        elif self._recipe.method in CLASS_ACTIVATION:
            make = partial(class_activation_map, self._recipe.method)
            maps = joined(list(map(make, gradients, activations)))
        else:
            make = partial(reduced, self._recipe.reduce)
            maps = joined(list(map(make, gradients, activations)))
        if self._recipe.mirror:
            maps = tf.where(is_mirrored[:, None, None], tf.reverse(maps, [2]), maps)
        return tf.math.unsorted_segment_sum(maps * factors[:, None, None], slots, count)

    def _derivatives(
        self, names: tuple[str, ...], points: Any, classes: Any
    ) -> tuple[list[Any], list[Any]]:
        """Return the derivatives of the scores by some layers, and the outputs of these layers.

        The tape records what follows the first of the layers, so that nothing is kept of the part
        of the network before it, and the way back does not enter that part.
        """
        watched: dict[str, Any] = {}
        with tf.GradientTape(watch_accessed_variables=False) as tape:

            def observe(name: str, output: Any, _: Sequence[Any] = ()) -> Any:
                if name in names:
                    tape.watch(output)
                    watched[name] = output
                return output

            observe(INPUT, points)
            logits = self._classifier.logits(points, observe)
            total = tf.reduce_sum(self._scores(logits, classes))
        outputs = [watched[name] for name in names]
        gradients = tape.gradient(total, outputs)
        if any(one is None for one in gradients):
            where = "the picture" if names == (INPUT,) else " and ".join(names)
            raise VidsalError(
                f"{self._classifier.name} has no gradient with respect to {where}: one of its "
                "layers is not differentiable, such as a cast to integers; save it without that "
                "layer"
            )
        as_float = partial(tf.cast, dtype=tf.float32)
        return list(map(as_float, gradients)), list(map(as_float, outputs))

    def _scores(self, logits: Any, classes: Any) -> Any:
        """Return the scores that are differentiated: one number, or several, in each row."""
        scores = logits
        if self._recipe.score == "probability":
            scores = self._classifier.probabilities(logits)
        elif self._recipe.score == "logprob":
            scores = self._classifier.log_probabilities(logits)
        top = self._recipe.target.top
        if top is None:
            return tf.gather(scores, classes, axis=1, batch_dims=1)
        # The largest scores of the noisy copy itself, not of the picture. The map is better
        # (measured: NSS 1.33 against 1.20), and the picture needs no prediction first.
        largest = tf.math.top_k(scores, k=top).values
        if top > 1:
            return largest
        # With one class the picture names it, so the map explains that class where it is given.
        named = tf.gather(scores, tf.maximum(classes, 0), axis=1, batch_dims=1)
        return tf.where(classes < 0, largest[:, 0], named)


def _size_remedy(error: Exception, input_size: tuple[int, int] | None) -> str:
    """Return advice to change the size, where the error is about sizes and the user can."""
    is_about_size = re.search(r"\b(shapes?|sizes?|dimensions?)\b", str(error), re.IGNORECASE)
    return f" Try another {option('short_side')}" if is_about_size and input_size is None else ""


def _concrete(function: Callable[..., Any], signature: list[Any]) -> Any:
    """Return the traced graph of a function.

    The weights stay variables. As constants they would be copied several times on the way into
    the graph (3.4 GB instead of 1.1 GB for ResNet50) and save no time. Autograph is off: there is
    no control flow to translate, and its search doubles the time.
    """
    with gc_paused():
        graph = tf.function(function, input_signature=signature, autograph=False)
        return graph.get_concrete_function()
