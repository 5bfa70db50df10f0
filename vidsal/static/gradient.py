"""Gradient maps: the derivative of a class score with respect to the input pixels."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vidsal.errors import VidsalError, flat
from vidsal.runtime.allocation import gc_paused
from vidsal.runtime.fork import require_own_threads
from vidsal.settings import Channels, Method, Score
from vidsal.types import Map, Request, Rgb, Target

log = logging.getLogger(__name__)

# What does not fill a call goes in calls of so many, padded: few sizes of call occur, for each of
# which kernels are set up and keep memory. Of fewer rows a processor makes less: two have half the
# rate of sixteen, four nine tenths of it.
_FEW_ROWS = 4
# Of pictures with more pixels, as a large --short-side makes them, a call has fewer rows. The usual
# short side of 256 has as many at most.
_ROW_PX = 2**18
# Levels of 255 within which a picture is of one colour: what a covered lens or a fade to black
# leaves is noise of the sensor and the codec.
_FLAT = 4


@dataclass(frozen=True, slots=True)
class Classifier:
    """A network as the gradient needs it.

    Attributes
    ----------
    name : str
        As shown to people.
    logits : callable
        (N, h, w, 3) float32 tensor, RGB, 0..255, to (N, classes) float32 scores before softmax;
        the network's own preprocessing is inside.
    names : tuple of str
        Of the classes.
    input_size : (int, int) or None
        The only (height, width) that it takes; ``None`` if it takes any.
    """

    name: str
    logits: Callable[[Any], Any]
    names: tuple[str, ...]
    input_size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a map is made of gradients; the fields are the options of the same names.

    A sample is the derivative of the target's score by the input pixels, its three colours
    reduced to one number, taken

    ``gradient``
        at the picture itself: Simonyan, Vedaldi, Zisserman, "Deep inside convolutional
        networks", 2013, https://arxiv.org/abs/1312.6034
    ``smoothgrad``
        at the picture plus Gaussian noise; the mean of many is SmoothGrad: Smilkov et al., 2017,
        https://arxiv.org/abs/1706.03825; but for ``channels="max"``, where each sample's magnitude
        is taken before the mean
    ``integrated``
        at a point on the straight way from a black picture, times that way; the mean over the way
        is integrated gradients, whose sum over all pixels is the difference of the scores:
        Sundararajan, Taly, Yan, "Axiomatic attribution for deep networks", ICML 2017,
        https://arxiv.org/abs/1703.01365
    """

    target: Target
    score: Score = "logit"
    channels: Channels = "max"
    method: Method = "smoothgrad"
    noise: float = 0.15
    seed: int = 0


class GradientStage:
    """A static stage made of a classifier; see `vidsal.types.StaticStage`.

    The scores of a batch are summed and differentiated once. No sample's score depends on another
    sample, so each gets its own derivative however samples fall into batches; nor does its noise,
    which is drawn from a key made of the seed, the frame and the sample's number.

    Parameters
    ----------
    classifier : Classifier
    recipe : Recipe
    rows : int
        Samples in one call, of larger pictures fewer.

    Raises
    ------
    ValueError
        If the target is not a class of the network.
    """

    def __init__(self, classifier: Classifier, recipe: Recipe, *, rows: int = 16) -> None:
        wanted = recipe.target.class_id
        if wanted is not None and not 0 <= wanted < len(classifier.names):
            raise ValueError(f"target must be 0 to {len(classifier.names) - 1}, got {wanted}")
        self._classifier = classifier
        self.names = classifier.names
        self.target = recipe.target
        self.input_size = classifier.input_size
        self._logits = classifier.logits
        self._recipe = recipe
        self._rows = rows
        self._graphs: dict[tuple[str, int | None, int, int], Any] = {}

    def aimed(self, target: Target) -> "GradientStage":
        """Return a stage that explains something else, with the same network.

        Raises
        ------
        ValueError
            If the target is not a class of the network.
        """
        stage = GradientStage(
            self._classifier, replace(self._recipe, target=target), rows=self._rows
        )
        # The same ones: on the way back from another target nothing is traced again.
        stage._graphs = self._graphs
        return stage

    def predict(self, rgb: Rgb) -> Map:
        """Return softmax probabilities, (N, classes) float32, of (N, h, w, 3) uint8 RGB."""
        graph = self._graph("predict", self._trace_predict, rgb)
        size = self._rows_of(rgb)
        seen = np.concatenate(
            [graph(tf.constant(rgb[i : i + size])).numpy() for i in _starts(rgb, size)]
        )
        if not np.isfinite(seen).all():
            log.warning("%s gives scores that are no numbers: is it whole?", self._classifier.name)
        return seen

    def _rows_of(self, rgb: Rgb) -> int:
        """Return how many rows of pictures of this size take a usual call's memory at most."""
        pixels = int(rgb.shape[1] * rgb.shape[2])
        return max(1, min(self._rows, self._rows * _ROW_PX // pixels))

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        """Return the mean of the sampled gradient maps of each picture.

        Parameters
        ----------
        rgb : (N, h, w, 3) uint8 array
        requests : sequence of N Request

        Returns
        -------
        (N, h, w) float32 array
            At least 0, except with ``channels="sum"``, which keeps the sign.
        """
        if rgb.ndim != 4 or rgb.shape[-1] != 3 or rgb.dtype != np.uint8:
            raise ValueError(f"rgb must be (N, h, w, 3) uint8, got {rgb.dtype} {rgb.shape}")
        graph = self._graph("maps", self._trace_maps, rgb)
        sums = np.zeros(rgb.shape[:3], np.float32)
        for rows in self._calls(requests, self._rows_of(rgb)):
            slots, which = np.unique(rows.pictures, return_inverse=True)
            part = graph(
                tf.constant(rgb[rows.pictures]), tf.constant(rows.keys), tf.constant(rows.steps),
                tf.constant(rows.classes), tf.constant(rows.counted),
                tf.constant(which.astype(np.int32)), tf.constant(len(slots), tf.int32),
            )  # fmt: skip
            sums[slots] += part.numpy()
        counts = np.array([request.samples for request in requests], np.float32)
        means = sums / counts[:, None, None]
        is_signed = self._recipe.channels == "sum"
        return means if is_signed or self._recipe.method != "integrated" else np.abs(means)

    def _calls(self, requests: Sequence[Request], size: int) -> Iterator["_Rows"]:
        """Yield the samples of all pictures, so many at a time."""
        fixed = self._recipe.target.class_id
        chosen = [fixed if one.class_id is None else one.class_id for one in requests]
        if self._recipe.target.top is None and None in chosen:
            raise ValueError("a target that is chosen along the stream needs a class_id each")
        samples = np.array([request.samples for request in requests])
        pictures = np.repeat(np.arange(len(requests)), samples)
        numbers = np.concatenate([np.arange(count) for count in samples])
        frames = np.array([request.frame for request in requests], np.int64)[pictures]
        classes = np.array([-1 if one is None else one for one in chosen], np.int32)[pictures]
        for start, stop in _spans(len(pictures), size):
            part = slice(start, stop)
            count = stop - start
            pad = min(-count % _FEW_ROWS, size - count)

            def padded(values: NDArray[Any], part: slice = part, pad: int = pad) -> NDArray[Any]:
                return np.concatenate([values[part], np.repeat(values[part][-1:], pad, axis=0)])

            yield _Rows(
                pictures=padded(pictures),
                keys=padded(np.stack([frames, numbers], axis=1)),
                steps=padded(_steps_from_black(numbers, samples[pictures])),
                classes=padded(classes),
                counted=np.arange(count + pad) < count,
            )

    def _graph(self, kind: str, trace: Callable[[int, int], Any], rgb: Rgb) -> Any:
        """Return a graph for pictures of this size; traced once, for any number of them."""
        require_own_threads("TensorFlow")
        height, width = rgb.shape[1:3]
        # Which class is explained is an argument of a graph; how many together is not.
        key = kind, self.target.top if kind == "maps" else None, height, width
        if key not in self._graphs:
            try:
                self._graphs[key] = trace(height, width)
            except (ValueError, TypeError, tf.errors.OpError) as error:
                raise VidsalError(
                    f"{self._classifier.name} cannot take pictures of {width}x{height}: another "
                    f"--short-side may do ({flat(error)[:200]})"
                ) from error
        return self._graphs[key]

    def _trace_predict(self, height: int, width: int) -> Any:
        def graph(rgb: Any) -> Any:
            return tf.nn.softmax(self._logits(tf.cast(rgb, tf.float32)))

        return _traced(graph, [tf.TensorSpec((None, height, width, 3), tf.uint8)])

    def _trace_maps(self, height: int, width: int) -> Any:
        signature = [
            tf.TensorSpec((None, height, width, 3), tf.uint8),
            tf.TensorSpec((None, 2), tf.int64),
            tf.TensorSpec((None, 2), tf.float32),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((None,), tf.bool),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((), tf.int32),
        ]
        return _traced(self._maps_graph, signature)

    def _maps_graph(
        self, rgb: Any, keys: Any, steps: Any, classes: Any, counted: Any, slots: Any, count: Any
    ) -> Any:
        """Return the sum of the maps of each slot's rows, (count, h, w); traced, never run."""
        pixels = tf.cast(rgb, tf.float32)
        places = self._places(pixels, keys, steps)
        with tf.GradientTape() as tape:
            tape.watch(places)
            total = tf.reduce_sum(self._scores(self._logits(places), classes))
        gradient = tape.gradient(total, places)
        if self._recipe.method == "integrated":
            maps = tf.reduce_sum(gradient * pixels, axis=-1) * steps[:, 1, None, None]
        elif self._recipe.channels == "max":
            maps = tf.reduce_max(tf.abs(gradient), axis=-1)
        else:
            maps = tf.reduce_sum(gradient, axis=-1)
        # A picture of one colour has nothing in it to stand out; what noise and the network's
        # padding make of it would be blown up to a map of its borders.
        extent = tf.reduce_max(pixels, axis=[1, 2]) - tf.reduce_min(pixels, axis=[1, 2])
        varied = tf.reduce_any(extent > _FLAT, axis=-1)
        maps *= tf.cast(varied & counted, tf.float32)[:, None, None]
        return tf.math.unsorted_segment_sum(maps, slots, count)

    def _places(self, pixels: Any, keys: Any, steps: Any) -> Any:
        """Return where each row's derivative is taken."""
        if self._recipe.method == "integrated":
            return pixels * steps[:, 0, None, None, None]
        if self._recipe.method == "gradient" or self._recipe.noise == 0:
            return pixels
        shape = tf.shape(pixels)[1:]
        # Beside the sample's number, not added to the frame's: or the next frame would have the
        # noise that this one has under the next seed.
        keyed = keys + tf.constant([[0, self._recipe.seed << 32]], tf.int64)
        noise = tf.map_fn(
            lambda key: tf.random.stateless_normal(shape, key), keyed,
            fn_output_signature=tf.TensorSpec(pixels.shape[1:], tf.float32),
        )  # fmt: skip
        return pixels + noise * (255.0 * self._recipe.noise)

    def _scores(self, logits: Any, classes: Any) -> Any:
        """Return what is differentiated: one number, or several, a row."""
        scores = logits
        if self._recipe.score == "probability":
            scores = tf.nn.softmax(logits)
        elif self._recipe.score == "logprob":
            scores = tf.nn.log_softmax(logits)
        top = self._recipe.target.top
        if top is None:
            return tf.gather(scores, classes, axis=1, batch_dims=1)
        # The largest scores of the noisy copy itself, not of the picture: measured to be the
        # better map (NSS 1.33 against 1.20), and it needs no look at the picture first.
        largest = tf.math.top_k(scores, k=top).values
        if top > 1:
            return largest
        # Of one class a map is said to be, so it is of that one where it is known.
        named = tf.gather(scores, tf.maximum(classes, 0), axis=1, batch_dims=1)
        return tf.where(classes < 0, largest[:, 0], named)


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """The samples of one call, n of them, some only there to fill it up."""

    pictures: NDArray[np.int64]
    keys: NDArray[np.int64]
    steps: NDArray[np.float32]
    classes: NDArray[np.int32]
    counted: NDArray[np.bool_]


def _steps_from_black(numbers: NDArray[Any], counts: NDArray[Any]) -> NDArray[np.float32]:
    """Return where on the way from black each part has its middle, and its weight: (n, 2).

    The midpoint rule, on parts that are short near black, where a classifier's score climbs: on one
    photo 64 equal parts missed the sum by 33 %, these by 2 %. Others need 256 of them.
    """
    begins, ends = (numbers / counts) ** 3, ((numbers + 1) / counts) ** 3
    return np.stack([(begins + ends) / 2, (ends - begins) * counts], axis=1).astype(np.float32)


def _spans(total: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield where each call begins and ends: full ones, and the rest in small ones."""
    full = total - total % size
    for begin, end, step in ((0, full, size), (full, total, min(_FEW_ROWS, size))):
        for start in range(begin, end, step):
            yield start, min(start + step, end)


def _starts(items: NDArray[Any], size: int) -> range:
    return range(0, len(items), size)


def _traced(function: Callable[..., Any], signature: list[Any]) -> Any:
    """Return a graph, traced here and now.

    Its weights stay variables: as constants they are copied several times over on the way into
    the graph (3.4 GB instead of 1.1 for ResNet50) and save nothing. There is no control flow for
    autograph to translate, and its looking for some doubles the time.
    """
    with gc_paused():
        graph = tf.function(function, input_signature=signature, autograph=False)
        return graph.get_concrete_function()
