"""The two kinds of sink: one takes pictures, the other takes saliency.

A sink is a context manager that lends an object with one method, `write`. When the block ends
without an error, the sink completes and verifies its file and gives it its final name. After an
error, or Ctrl-C, no file is left, except for a complete picture whose audio could not be added.
"""

from collections.abc import Sequence
from typing import Protocol

from vidsal.types import Saliency
from vidsal.yuv import Picture


class PictureSink(Protocol):
    """Takes the drawn pictures: a video or an image file."""

    def write(self, picture: Picture, time_s: float) -> None:
        """Write the next picture.

        Parameters
        ----------
        picture : (H, W, 3) uint8 array, or Yuv420
            With even sides.
        time_s : float
            Presentation time in seconds.

        Raises
        ------
        VidsalError
            If it cannot be written.
        """


class SaliencySink(Protocol):
    """Takes the results of the analysis: a table or a folder of maps."""

    def write(self, saliency: Saliency) -> None:
        """Write the values of the next frame.

        Parameters
        ----------
        saliency : Saliency

        Raises
        ------
        VidsalError
            If they cannot be written.
        """


class AllSinks:
    """The sinks of one run.

    Parameters
    ----------
    saliency_sinks : sequence of SaliencySink
    picture_sink : PictureSink
    """

    def __init__(self, saliency_sinks: Sequence[SaliencySink], picture_sink: PictureSink) -> None:
        self._saliency_sinks, self._picture_sink = saliency_sinks, picture_sink

    def write(self, saliency: Saliency, picture: Picture) -> None:
        """Write a frame's values and its picture to the sinks that take them.

        Parameters
        ----------
        saliency : Saliency
        picture : (H, W, 3) uint8 array, or Yuv420
            With even sides.

        Raises
        ------
        VidsalError
            If one of them cannot be written.
        """
        for sink in self._saliency_sinks:
            sink.write(saliency)
        self._picture_sink.write(picture, saliency.frame.time_s)
