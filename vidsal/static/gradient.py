"""Gradient maps: the derivative of a class score with respect to the input pixels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from vidsal.frames import Prediction, Rgb, StaticBatch

_TOP = 5


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
    labels : tuple of str
        Names of the classes.
    """

    name: str
    logits: Callable[[Any], Any]
    labels: tuple[str, ...]


class GradientMaps:
    """A static stage: uint8 RGB batches in, gradient maps and top-5 predictions out.

    The map of a pixel is the derivative of the target's score by that pixel, its three colours
    reduced to one number (Simonyan, Vedaldi, Zisserman, "Deep inside convolutional networks",
    2013, https://arxiv.org/abs/1312.6034). The scores of a batch are summed and differentiated
    once; since no frame's score depends on another frame, each gets its own derivative, however
    frames fall into batches.

    Parameters
    ----------
    classifier : Classifier
    target : int or None
        Class to explain; ``None`` for each frame's own top class.
    score : {"logit", "probability"}
        What is differentiated.
    channels : {"max", "sum"}
        Maximum over colours of the absolute derivative, or their signed sum.

    Raises
    ------
    ValueError
        If `target` is not a class of the network.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        target: int | None = None,
        score: Literal["logit", "probability"] = "logit",
        channels: Literal["max", "sum"] = "max",
    ) -> None:
        if target is not None and not 0 <= target < len(classifier.labels):
            raise ValueError(f"target must be 0 to {len(classifier.labels) - 1}, got {target}")
        self.classifier = classifier
        self._target = -1 if target is None else target
        self._score = score
        self._channels = channels
        self._traced: dict[tuple[int, int], Any] = {}

    def __call__(self, rgb: Rgb) -> StaticBatch:
        """Return maps and predictions.

        Parameters
        ----------
        rgb : (N, h, w, 3) uint8 array

        Returns
        -------
        StaticBatch
            Maps of (N, h, w) float32; at least 0 unless ``channels="sum"``.
        """
        if rgb.ndim != 4 or rgb.shape[-1] != 3 or rgb.dtype != np.uint8:
            raise ValueError(f"rgb must be (N, h, w, 3) uint8, got {rgb.dtype} {rgb.shape}")
        height, width = rgb.shape[1:3]
        if (height, width) not in self._traced:
            self._traced[height, width] = self._trace(height, width)
        outputs = self._traced[height, width](rgb, self._target)
        maps, target, target_probability, top, probabilities = (o.numpy() for o in outputs)
        names = self.classifier.labels
        predictions = tuple(
            Prediction(
                class_ids=tuple(int(i) for i in top[n]),
                names=tuple(names[i] for i in top[n]),
                probabilities=tuple(float(p) for p in probabilities[n]),
                target_id=int(target[n]),
                target_name=names[target[n]],
                target_probability=float(target_probability[n]),
            )
            for n in range(len(rgb))
        )
        return StaticBatch(maps, predictions)

    def _trace(self, height: int, width: int) -> Any:
        """Return the graph for one picture size; traced once, for any number of pictures."""
        signature = [
            tf.TensorSpec((None, height, width, 3), tf.uint8),
            tf.TensorSpec((), tf.int32),
        ]
        return tf.function(self._graph, input_signature=signature)

    def _graph(self, rgb: Any, fixed_target: Any) -> tuple[Any, ...]:
        pixels = tf.cast(rgb, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            logits = self.classifier.logits(pixels)
            probabilities = tf.nn.softmax(logits)
            best = tf.argmax(logits, axis=-1, output_type=tf.int32)
            target = tf.where(fixed_target < 0, best, fixed_target)
            scores = logits if self._score == "logit" else probabilities
            total = tf.reduce_sum(tf.gather(scores, target, axis=1, batch_dims=1))
        gradient = tape.gradient(total, pixels)
        if self._channels == "max":
            maps = tf.reduce_max(tf.abs(gradient), axis=-1)
        else:
            maps = tf.reduce_sum(gradient, axis=-1)
        # A picture of one colour has nothing in it to stand out; what the network's padding
        # alone makes of it would be blown up to a map of its borders.
        flat = tf.reduce_all(rgb == rgb[:, :1, :1, :], axis=[1, 2, 3])
        maps = tf.where(flat[:, None, None], tf.zeros_like(maps), maps)
        top = tf.math.top_k(probabilities, k=min(_TOP, len(self.classifier.labels)))
        chosen = tf.gather(probabilities, target, axis=1, batch_dims=1)
        return maps, target, chosen, top.indices, top.values
