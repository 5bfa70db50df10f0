"""Options of commands on stored analyses."""

import dataclasses
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from vidsal.errors import option
from vidsal.settings import Settings
from vidsal.settings.declaration import Options, declare, documented, group
from vidsal.settings.values import parse_aspect, parse_path


@documented
@group("Crop")
@dataclass(frozen=True, kw_only=True)
class CropOptions(Options):
    """What ``vidsal crop`` needs beside the options of encoding and part.

    Raises
    ------
    UsageError
        If a value is not one that its option can take.
    """

    # fmt: off
    output: Path | None = declare(
        None, "Video to write, or for a photo a picture: the source inside the window. Without it "
        "only the data is written.", parse=parse_path, short="-o")
    aspect: str = declare(
        "9:16", "Width to height of the window, as W:H or WxH: 9:16, 1:1, 4:5, 1080x1920. It is "
        "the largest one that fits into the picture.", parse=parse_aspect)
    path: Path | None = declare(
        None, "Also write the window of each frame, and its smallest box, as .csv or .json.",
        parse=parse_path)
    share: float = declare(
        0.8, "Share of a frame's saliency that the smallest box holds.",
        check=lambda share: 0 < share <= 1, expected="above 0, at most 1")
    preview: bool = declare(
        False, "Show the whole picture, dimmed outside of the window.")
    # fmt: on

    def idle(self, names: Collection[str]) -> Iterator[str]:
        """Yield a line for each kind of given options that have no effect, with the reason.

        Parameters
        ----------
        names : collection of str
            Names of the given options: of these, and of ``source`` and `Settings`.
        """
        of_pictures = ("source", "codec", "quality", "hardware", "audio")
        rules = [
            ("output", self.output is None, of_pictures),
            ("path", self.path is None, ("share",)),
        ]
        for missing, is_so, of_no_use in rules:
            idle = [option(name) for name in of_no_use if name in names]
            if is_so and idle:
                yield f"{', '.join(idle)}: without effect without {option(missing)}"


def redrawn_options() -> list[str]:
    """Return the names of the options that act after the maps of an analysis are computed.

    A stored analysis can be drawn again with other values of them.
    """
    groups = ("Output", "Part of the source", "Scale and fusion", "Picture")
    # Which frames there are, and at what rate, was decided by the analysis.
    without = (
        "resume", "keep", "skip_existing", "sequence", "recursive", "every", "fps", "strict",
    )  # fmt: skip
    return [
        field.name
        for field in dataclasses.fields(Settings)
        if (field.metadata["group"] in groups and field.name not in without)
        or field.name == "contrast"
    ]


def compared_options() -> list[str]:
    """Return the names of the options that a comparison of stored analyses has.

    What the analyses showed is compared as it is: nothing is scaled or fused anew, and the panels
    are given.
    """
    without = ("maps", "layout", "boxes", "contrast")
    groups = {field.name: field.metadata["group"] for field in dataclasses.fields(Settings)}
    return [
        name
        for name in redrawn_options()
        if name not in without and groups[name] != "Scale and fusion"
    ]
