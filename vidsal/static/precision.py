"""The arithmetic of a network on this machine, measured: no list of processors has its cost."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from vidsal.errors import VidsalError
from vidsal.runtime.opencv import cv2
from vidsal.settings import Arithmetic
from vidsal.types import Map, Request, Rgb, Target

if TYPE_CHECKING:
    from vidsal.static.gradient import GradientStage

log = logging.getLogger(__name__)

# Rows, sides and channels of a layer in the middle of a network.
_LAYER = (4, 28, 28, 64)
# A larger factor than this is not noise: a processor without bfloat16 takes six times as long or
# more.
_CLEARLY = 2
# With less gain than this, the coarser arithmetic is not worth a doubt.
_GAIN = 1.3
# Smoothed maps that correlate more than this look the same, and score the same on eyes and objects.
_ALIKE = 0.99
# Standard deviation of the smoothing, as a share of the map's longer side: the default of the maps.
_SMOOTH = 0.02


def is_clearly_slower(precision: Arithmetic) -> bool:
    """Say whether derivatives in an arithmetic take more than twice as long as in float32.

    Derivatives are timed because some processors are fast at convolutions in bfloat16, but not at
    their derivatives.

    Parameters
    ----------
    precision : {"float32", "bfloat16"}
    """
    usual: Arithmetic = "float32"
    return precision != usual and _derivative_s(precision) > _CLEARLY * _derivative_s(usual)


def _derivative_s(precision: Arithmetic) -> float:
    """Return the seconds of a convolution and its derivative, after a first run that warms up."""
    x = tf.ones(_LAYER, precision)
    kernel = tf.ones((3, 3, _LAYER[-1], _LAYER[-1]), precision)

    def took_s() -> float:
        began_s = time.perf_counter()
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.nn.conv2d(x, kernel, 1, "SAME")
        tape.gradient(total, x).numpy()
        return time.perf_counter() - began_s

    return min([took_s() for _ in range(3)][1:])


class QuickerStage:
    """A static stage that finds out which arithmetic is quicker here, with its second call.

    The first call of each size is in float32, so that a photo does not pay for the trial. Before
    the next one, a map of its first picture is made in both. bfloat16 is kept if it takes at most
    1/1.3 of the time and its smoothed map correlates above .99 with that of float32. A picture of
    one colour proves nothing: the trial waits for another one.

    Parameters
    ----------
    open_stage : callable
        Returns the network's stage in an arithmetic, "float32" or "bfloat16".
    samples : int
        Gradients that a map averages.
    """

    def __init__(
        self, open_stage: "Callable[[Arithmetic], GradientStage]", *, samples: int = 1
    ) -> None:
        self._open, self._samples = open_stage, samples
        self._stage = open_stage("float32")
        self._seen: set[tuple[int, ...]] = set()
        self.names, self.target = self._stage.names, self._stage.target
        self.input_size = self._stage.input_size
        self.is_decided = False

    @property
    def precision(self) -> str:
        """The arithmetic of the last call."""
        return self._stage.precision

    def aimed(self, target: Target) -> "GradientStage":
        """Return a stage that explains another target, in the arithmetic of the last call.

        Parameters
        ----------
        target : Target

        Raises
        ------
        ValueError
            If the target is not a class of the network.
        """
        return self._stage.aimed(target)

    def predict(self, rgb: Rgb) -> Map:
        """Return the probabilities of all classes.

        Parameters
        ----------
        rgb : (N, h, w, 3) uint8 array

        Returns
        -------
        (N, classes) float32 array
            See `vidsal.static.gradient.GradientStage.predict`.
        """
        return self._stage.predict(rgb)

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        """Return the mean of the sampled gradient maps of each picture.

        Parameters
        ----------
        rgb : (N, h, w, 3) uint8 array
        requests : sequence of N Request

        Returns
        -------
        (N, h2, w2) float32 array
            See `vidsal.static.gradient.GradientStage.maps`.

        Raises
        ------
        UsageError, ValueError, VidsalError
            See `vidsal.static.gradient.GradientStage.maps`.
        """
        if rgb.shape[1:] in self._seen and not self.is_decided:
            self._try(rgb[:1], replace(requests[0], samples=self._samples))
        self._seen.add(rgb.shape[1:])
        return self._stage.maps(rgb, requests)

    def _try(self, rgb: Rgb, request: Request) -> None:
        """Take the stage in the arithmetic that is quicker for one picture."""
        usual = self._stage
        if _GAIN * _derivative_s("bfloat16") > _derivative_s("float32"):
            log.info("precision float32: this machine computes it as fast as bfloat16")
            self.is_decided = True
            return
        expected, usual_s = _timed_map(usual, rgb, request)
        if np.ptp(expected) == 0:
            return
        self.is_decided = True
        try:
            other = self._open("bfloat16")
            if other.precision != "bfloat16":
                log.info("precision float32: the network has no copy in bfloat16")
                return
            found, other_s = _timed_map(other, rgb, request)
        except (VidsalError, tf.errors.OpError, ValueError, TypeError) as error:
            log.info("precision float32: this network cannot be used in bfloat16 (%s)", error)
            return
        likeness = _likeness(expected, found)
        is_taken = usual_s >= _GAIN * other_s and likeness > _ALIKE
        log.info(
            "precision %s: bfloat16 is %.2f times as fast here, and its map correlates by %.3f "
            "with that of float32", "bfloat16" if is_taken else "float32", usual_s / other_s,
            likeness,
        )  # fmt: skip
        self._stage = other if is_taken else usual


def _timed_map(stage: "GradientStage", rgb: Rgb, request: Request) -> tuple[Map, float]:
    """Return a stage's map of a picture, and the seconds of its fastest call after the first."""
    seconds = []
    for _ in range(3):
        began_s = time.perf_counter()
        (found,) = stage.maps(rgb, [request])
        seconds.append(time.perf_counter() - began_s)
    return found, min(seconds[1:])


def _likeness(expected: Map, found: Map) -> float:
    """Return Pearson's correlation of two smoothed maps; 0 if one has one value only."""
    sigma = _SMOOTH * max(expected.shape)
    one, other = (cv2.GaussianBlur(each, (0, 0), sigma).ravel() for each in (expected, found))
    if one.std() > 0 and other.std() > 0:
        return float(np.corrcoef(one, other)[0, 1])
    return 0.0
