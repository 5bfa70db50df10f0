"""The cost of an arithmetic on this machine, measured: no list of processors has it."""

import time

import tensorflow as tf

from vidsal.settings import Precision

# Rows, sides and channels of a layer in the middle of a network.
_LAYER = (4, 28, 28, 64)
# A larger factor than this is not noise: a processor without bfloat16 takes six times as long or
# more.
_CLEARLY = 2


def is_clearly_slower(precision: Precision) -> bool:
    """Say whether derivatives in an arithmetic take more than twice as long as in float32.

    Derivatives are timed because some processors are fast at convolutions in bfloat16, but not at
    their derivatives.

    Parameters
    ----------
    precision : {"float32", "bfloat16"}
    """
    usual: Precision = "float32"
    return precision != usual and _derivative_s(precision) > _CLEARLY * _derivative_s(usual)


def _derivative_s(precision: Precision) -> float:
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
