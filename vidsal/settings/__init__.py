"""Every option of vidsal, declared once: name, type, default, help and check.

The command line is derived from the fields of `Settings` (see ``cli.py``), the library takes the
same object, and a test holds the README to it. Standard library only, so that ``--help`` is
immediate.
"""

import dataclasses
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from vidsal.errors import UsageError, option
from vidsal.settings.declaration import Options, checked, declare, documented, group
from vidsal.settings.values import (
    CLASS_ACTIVATION,
    Model,
    Warmup,
    is_model_object,
    is_positive,
    is_saved,
    parse_every,
    parse_layer,
    parse_model,
    parse_path,
    parse_rate,
    parse_scale,
    parse_sizes,
    parse_time,
    parse_warmup,
    parse_word,
)

Preprocess = Literal["caffe", "torch", "tf", "none"]
Method = Literal["gradient", "smoothgrad", "integrated", "gradcam", "gradcam++", "layercam"]
Score = Literal["logit", "probability", "logprob"]
Every = int | Literal["auto"]
Arithmetic = Literal["float32", "bfloat16"]
Precision = Literal["float32", "bfloat16", "auto"]
Reduce = Literal["norm", "max", "sum", "grad-x-act"]
Camera = Literal["auto", "homography", "affine", "median", "none"]
Flow = Literal["farneback", "dis"]
Fusion = Literal["gain", "sum", "max", "static", "motion"]
Codec = Literal["h264", "hevc", "av1", "vp9", "prores", "ffv1"]
Layout = Literal["overlay", "side-by-side", "map", "triptych", "quad", "strip"]
View = Literal["heat", "contour", "reveal"]
# Rows and columns of the panels that a picture is made of.
PANELS: dict[Layout, tuple[int, int]] = {
    "overlay": (1, 1), "map": (1, 1), "side-by-side": (1, 2), "triptych": (1, 3), "quad": (2, 2),
    "strip": (1, 4),
}  # fmt: skip
Colormap = Literal["inferno", "magma", "plasma", "viridis", "cividis", "turbo", "grey"]
PreviewKind = Literal["auto", "window", "web", "none"]


@group("Output")
@dataclass(frozen=True, kw_only=True)
class OutputOptions(Options):
    """Outputs and their encoding."""

    # fmt: off
    output: Path | None = declare(
        None, "File to write: .mp4, .mov, .mkv, .webm or .gif for a video or a camera, "
        ".png or .jpg for a photo. Default: <name>_saliency.mp4 or .png in the current folder; "
        "vidsal live records from its start only where it is given.",
        parse=parse_path, short="-o")
    overwrite: bool = declare(False, "Replace files that exist.")
    skip_existing: bool = declare(
        False, "Leave out sources whose output exists, and count them.")
    codec: Codec | None = declare(
        None, "Codec of the video: h264, hevc, av1, vp9, prores or ffv1. Default: what "
        "the file's suffix is known for (.mp4, .mov, .mkv: h264, .webm: vp9; .gif has its own).")
    quality: int = declare(
        80, "Quality of the video, 0 to 100; 80 shows no loss to most people.",
        check=lambda quality: 0 <= quality <= 100, expected="0 to 100")
    hardware: bool = declare(
        False, "Encode on the graphics card where that works; it is tried first.")
    audio: bool = declare(True, "Keep the sound of the source.")
    fps: Fraction | None = declare(
        None, "Frames a second of the video: 25, 29.97, 30000/1001. Default: the "
        "source's own rate; where that varies, its usual one.", parse=parse_rate)
    resume: bool = declare(
        False, "Work in segments, kept beside the output until it is whole, and go on "
        "after the last whole one of an interrupted run.")
    table: Path | None = declare(
        None, "Also write a table with one row a frame, .csv or .parquet.", parse=parse_path)
    maps: Path | None = declare(
        None, "Also write the maps as 16-bit grey PNG files into this folder.",
        parse=parse_path)
    keep: Path | None = declare(
        None, "Also keep the analysis, in a folder (.vidsal) or in one file (.vidsal.zip): "
        "`vidsal render` draws other pictures of it, without computing it again. About 180 kB a "
        "frame.", parse=parse_path)
    # fmt: on


@group("Part of the source")
@dataclass(frozen=True, kw_only=True)
class SourceOptions(Options):
    """Which part of a source to read, and how strictly."""

    # fmt: off
    start: float | None = declare(
        None, "Begin at this time: seconds or HH:MM:SS.", parse=parse_time)
    end: float | None = declare(
        None, "Stop before this time: seconds or HH:MM:SS.",
        parse=parse_time)
    every: int = declare(
        1, "Take every N-th frame; the video keeps its duration.",
        check=is_positive, expected="a whole number of 1 or more")
    duration: float | None = declare(
        None, "Stop after this long, in seconds or HH:MM:SS (for a camera: "
        "recorded time).", check=is_positive, expected="a time above 0", parse=parse_time)
    strict: bool = declare(
        False, "Damaged frames and cut-off files are errors; without this "
        "they are skipped and counted.")
    sequence: bool = declare(
        False, "The pictures of a folder, a glob or a list are the frames "
        "of one video: 25 a second, unless a rate is given.")
    recursive: bool = declare(
        False, "Take the videos and pictures in the folders of a folder, too; "
        "results keep these folders.")
    # fmt: on

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.end == 0:
            raise UsageError(f"{option('end')} must be above 0, got 0")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise UsageError(
                f"{option('end')} must come after {option('start')}, got {self.end} <= {self.start}"
            )

    @property
    def part_s(self) -> tuple[float, float]:
        """Begin and end, in seconds, of the part of the source that is asked for."""
        start_s = self.start or 0.0
        lasts_s = math.inf if self.duration is None else self.duration
        return start_s, min(math.inf if self.end is None else self.end, start_s + lasts_s)


@group("Network")
@dataclass(frozen=True, kw_only=True)
class NetworkOptions(Options):
    """The network whose score is differentiated."""

    # fmt: off
    model: Model = declare(
        "auto", "Network whose score is differentiated: resnet50 (Keras' ImageNet "
        "weights), lite0 (bundled), none (motion only), auto (resnet50 where its weights can be "
        "had, else lite0), another name in keras.applications, or a saved model (.keras, .h5); in "
        "Python also a Keras model object.", parse=parse_model)
    weights: Path | None = declare(
        None, "Local weights for resnet50 or another name in keras.applications (.h5 "
        "or .weights.h5).", parse=parse_path)
    preprocess: Preprocess = declare(
        "none", "What a saved model expects: caffe (BGR minus mean), torch (mean and "
        "deviation), tf (-1 to 1), none (0 to 255, RGB).")
    labels: Path | None = declare(
        None, "Class names of a saved model, one a line.", parse=parse_path)
    precision: Precision = declare(
        "float32", "Arithmetic of the network; bfloat16 is faster where the processor "
        "has it, and coarser. auto tries both and takes bfloat16 where that is at least 1.3 times "
        "as fast and the maps are alike.")
    trust_model: bool = declare(
        False, "Load a saved model that contains Lambda layers, which can run any code: "
        "only for files you trust.")
    batch: int = declare(
        16, "Gradients in one call; more need more memory.",
        check=lambda n: 1 <= n <= 256, expected="1 to 256")
    # fmt: on

    def __post_init__(self) -> None:
        super().__post_init__()
        has_weights = is_model_object(self.model) or is_saved(self.model)
        if self.weights is not None and (has_weights or self.model in ("lite0", "none")):
            raise UsageError(f"{option('weights')} is not for {option('model', self.model_name)}")

    @property
    def model_name(self) -> str:
        """The network's name as given; of a model object, the name that it has in Keras."""
        return self.model if isinstance(self.model, str) else str(_name_of(self.model))


@group("Static map")
@dataclass(frozen=True, kw_only=True)
class StaticOptions(Options):
    """How gradients become the static map."""

    # fmt: off
    method: Method = declare(
        "smoothgrad", "smoothgrad (mean of gradients at noisy copies, gathered "
        "along the optical flow), gradient (of the picture itself), integrated (along the way "
        "from black to the picture; it needs 64 samples or more), gradcam, gradcam++ or layercam.")
    layer: str = declare(
        "auto", "What the score is differentiated by: input (the pixels), a layer, a stride (/8, "
        "/16: the last layer of that size), several of these joined by commas (geometric mean of "
        "their maps), or auto. `vidsal models NAME` shows what auto and the strides stand for.",
        parse=parse_layer)
    reduce: Reduce = declare(
        "norm", "From the derivatives at a place to one number: norm, max (of the absolute "
        "values), sum (signed, at one layer) or grad-x-act (the absolute derivative x activation, "
        "summed). "
        "Integrated gradients: sum keeps the sign.")
    samples: int = declare(
        12, "Gradients that a map averages: noisy copies, or steps of the way.",
        check=lambda n: 1 <= n <= 1024, expected="1 to 1024")
    fresh: int = declare(
        1, "Of these, how many a frame of a video that draws gradients draws anew.",
        check=is_positive, expected="a whole number of 1 or more")
    noise: float = declare(
        0.15, "Standard deviation of the noise, as a share of the input range.",
        check=lambda share: 0 <= share <= 1, expected="0 to 1")
    seed: int = declare(
        0, "Seed of the noise: the same seed and input give the same maps.",
        check=lambda n: 0 <= n < 2**31, expected="0 to 2147483647")
    static_every: Every = declare(
        2, "Draw gradients on every N-th frame and carry the map along the flow "
        "between; auto keeps up with the source's rate.", parse=parse_every,
        check=lambda n: n == "auto" or n >= 1, expected="auto or a whole number of 1 or more")
    target: str = declare(
        "auto", "What to explain: top1 (the class that is seen), topN (the sum of "
        "the N largest scores, of each noisy copy), "
        "auto (top5; of fewer than 25 classes a fifth), lock (the class most often on top in the "
        "first second, kept until it was not on top for a second), a class name, or an index.",
        parse=parse_word)
    score: Score = declare(
        "logit", "The score that is differentiated: the class's logit, its softmax "
        "probability or that one's logarithm.")
    short_side: int = declare(
        256, "Shorter side of the network's input in pixels; the picture keeps its "
        "aspect, sides are rounded to multiples of 32.",
        check=lambda px: 32 <= px <= 1024, expected="32 to 1024 pixels")
    sizes: str = declare(
        "0.875,1", "Sizes of the network's input at which noisy copies are made in turn, in "
        "short sides, joined by commas; 1 makes all of them at the one size.", parse=parse_sizes)
    mirror: bool = declare(
        True, "Mirror every second noisy copy, and mirror its map back: a network misses other "
        "parts in a mirror image, so that the mean shows more of what stands out.")
    smooth: float = declare(
        0.02, "Standard deviation of the Gaussian that smooths the gradient map, as "
        "a share of the picture's longer side.",
        check=lambda share: 0 <= share <= 0.2, expected="0 to 0.2")
    contrast: float = declare(
        3.5, "Exponent within the map: 1 shows the gradient's magnitude, 2 its "
        "energy, larger ones what stands out of that.", check=lambda power: 0.1 <= power <= 10,
        expected="0.1 to 10")
    predict_every: float = declare(
        0.5, "Seconds between two looks at which classes the network sees; 0 looks "
        "at every frame. A locked target needs one each quarter of a second.",
        check=lambda s: s >= 0, expected="0 or more seconds")
    # fmt: on

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method == "smoothgrad" and self.fresh > self.samples:
            raise UsageError(
                f"{option('fresh')} must be at most {option('samples')}, got {self.fresh} of "
                f"{self.samples}"
            )
        if self.method == "integrated" and self.layer not in ("auto", "input"):
            raise UsageError(
                f"{option('method', 'integrated')} follows a line of pictures: it needs "
                f"{option('layer', 'input')}"
            )
        if self.method in CLASS_ACTIVATION and "input" in self.layer.split(","):
            raise UsageError(
                f"{option('method', self.method)} needs a layer: {option('layer', 'auto')} takes "
                "the last one"
            )

    @property
    def size_factors(self) -> tuple[float, ...]:
        """The sizes as numbers."""
        return tuple(float(one) for one in self.sizes.split(","))

    @property
    def turns(self) -> int:
        """Number of noisy copies after which sizes and mirror images repeat."""
        return len(self.size_factors) * (2 if self.mirror else 1)

    @property
    def differentiated_by(self) -> str:
        """The layer, or ``input`` where the method allows nothing else."""
        return "input" if self.method == "integrated" else self.layer


@group("Motion")
@dataclass(frozen=True, kw_only=True)
class MotionOptions(Options):
    """How motion is measured, and at which size."""

    # fmt: off
    working_width: int = declare(
        320, "Longer side of the grey picture on which flow is computed, in pixels; "
        "also the size of all maps.",
        check=lambda px: 32 <= px <= 4096, expected="32 to 4096 pixels")
    flow: Flow = declare(
        "farneback", "Optical flow: farneback, or dis (dense inverse search, better at "
        "wide pans).")
    camera: Camera = declare(
        "auto", "How the camera's own movement is taken off: auto (the simplest of "
        "similarity, affine and homography that explains the flow), homography, affine, median, "
        "or none. Where few flow vectors agree, a simpler one is taken.")
    # fmt: on


@group("Scale and fusion")
@dataclass(frozen=True, kw_only=True)
class FusionOptions(Options):
    """How both maps are scaled and fused."""

    # fmt: off
    scale: str = declare(
        "stable", "stable (a percentile remembered over time), frame (a "
        "percentile of each frame), minmax (each frame from its minimum to its maximum), or "
        "fixed:LO,HI: these magnitudes of the gradient are shown as 0 and 1 (without a network, "
        "these speeds in diagonals a second); fixed:LO,HI,LO,HI fixes both maps. The table has the "
        "values that a run used.", parse=parse_scale)
    fusion: Fusion = declare(
        "gain", "How the static map S and the motion map D are fused: gain (S + gain x "
        "D x S', which is S along the picture's outlines), sum (S + gain x D), max (of S and gain "
        "x D), static or motion alone.")
    gain: float = declare(
        6.0, "How much motion weighs in the fusion; 0 leaves it out.",
        check=lambda gain: 0 <= gain <= 100, expected="0 to 100")
    centre_prior: float = declare(
        0.0, "How much the fused map is weighted towards the middle, where "
        "people look whatever is there: 0 (not at all) to 1.",
        check=lambda share: 0 <= share <= 1, expected="0 to 1")
    # fmt: on


@group("Picture")
@dataclass(frozen=True, kw_only=True)
class PictureOptions(Options):
    """How the picture is drawn."""

    # fmt: off
    layout: Layout = declare(
        "overlay", "overlay, side-by-side (input | overlay), map, triptych (map | "
        "input | overlay), quad (input | static | motion | fused) or strip (the same in a row).")
    style: View = declare(
        "heat", "How a map is laid over the picture: heat (colours), contour (lines at 0.25, 0.5, "
        "0.75 and 0.9; the picture stays untouched) or reveal (what does not stand out is dark "
        "and grey).")
    colormap: Colormap = declare("inferno", "Colours of the map.")
    alpha: float = declare(
        0.55, "Opacity of the most salient regions, with heat; cold ones stay clear.",
        check=lambda share: 0 <= share <= 1, expected="0 to 1")
    boxes: float = declare(
        0.0, "Draw boxes around the regions of the fused map above this value, and put "
        "them into the table as JSON; 0 draws none.",
        check=lambda level: 0 <= level <= 1, expected="0 to 1")
    width: int = declare(
        0, "Width of the picture that is written, all its panels together, in pixels at "
        "most; 0 keeps each panel at the source's size.",
        check=lambda px: px == 0 or 64 <= px <= 16384, expected="0, or 64 to 16384 pixels")
    annotate: bool = declare(
        True, "Write class, time, model, colour bar and marker into the picture.")
    # fmt: on


@dataclass(frozen=True, kw_only=True)
class AnalysisOptions(FusionOptions, MotionOptions, StaticOptions):
    """The options that decide the maps, for given frames and a given network."""


# Fields come in the reverse order of the bases: help texts begin with the output.
@documented
@dataclass(frozen=True, kw_only=True)
class Settings(PictureOptions, AnalysisOptions, NetworkOptions, SourceOptions, OutputOptions):
    """What to analyse, how, and what to write.

    Each is an option of ``vidsal run``, too: ``short_side`` is ``--short-side``. Functions that
    need only some of the options take one of the base classes, which are groups of them.

    Raises
    ------
    UsageError
        If a value is not one that its option can take.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resume and self.static_every == "auto":
            raise UsageError(
                f"{option('resume', True)} is not for {option('static_every', 'auto')}, which "
                "depends on how fast the machine is just then: give a number"
            )
        if self.resume and self.precision == "auto":
            raise UsageError(
                f"{option('resume', True)} is not for {option('precision', 'auto')} (a part of the "
                "preset fast), which depends on a measurement: give float32 or bfloat16"
            )
        if self.overwrite and self.skip_existing:
            raise UsageError(
                f"{option('overwrite', True)} and {option('skip_existing', True)} exclude each "
                "other: give one of them"
            )

    def changed(self, groups: Collection[str]) -> dict[str, Any]:
        """Return the options of some groups that are not at their defaults, by name.

        Parameters
        ----------
        groups : collection of str
            Names of option groups, as in the metadata of the fields.
        """
        return {
            field.name: value
            for field in dataclasses.fields(self)
            if field.metadata["group"] in groups
            and (value := getattr(self, field.name)) != field.default
        }

    def idle(self, names: Collection[str]) -> Iterator[str]:
        """Yield a line for each given option that has no effect, with the reason.

        Parameters
        ----------
        names : collection of str
            Names of the given options.
        """
        for reason, of_no_use in self._idle_rules():
            idle = [one.name for one in dataclasses.fields(self) if one.name in of_no_use]
            idle = [option(name) for name in idle if name in names]
            if idle:
                yield f"{', '.join(idle)}: without effect with {reason}"

    @property
    def idle_names(self) -> frozenset[str]:
        """Names of the options that have no effect beside the others."""
        return frozenset().union(*(names for _, names in self._idle_rules()))

    def _idle_rules(self) -> list[tuple[str, set[str]]]:
        """Return why options have no effect, and their names."""
        groups = {field.name: field.metadata["group"] for field in dataclasses.fields(self)}
        model, is_object = option("model", self.model_name), is_model_object(self.model)
        sampling = {"fresh", "mirror", "noise", "seed", "sizes"}
        rules = [
            (option("method", "gradient"), self.method == "gradient", {"samples", *sampling}),
            (option("method", "integrated"), self.method == "integrated", sampling),
            (
                option("method", "integrated"),
                self.method == "integrated" and self.reduce != "sum",
                {"reduce"},
            ),
            (
                option("method", self.method),
                self.method in CLASS_ACTIVATION,
                {"samples", "reduce", *sampling},
            ),
            (option("fusion", self.fusion), self.fusion in ("static", "motion"), {"gain"}),
            (model, not is_saved(self.model) and not is_object, {"preprocess"}),
            (model, not is_saved(self.model), {"trust_model"}),
            (option("style", self.style), self.style != "heat", {"alpha"}),
            (
                option("style", self.style),
                self.style == "reveal" and self.layout not in ("map", "triptych"),
                {"colormap"},
            ),
        ]
        if self.model == "none":
            network = {name for name in groups if groups[name] in ("Network", "Static map")}
            rules = [(model, True, (network | {"fusion", "gain"}) - {"model"})]
        return [(reason, names) for reason, is_so, names in rules if is_so]


@documented
@group("Live")
@dataclass(frozen=True, kw_only=True)
class LiveOptions(Options):
    """What ``vidsal live`` needs beside `Settings`; described in the same way.

    Raises
    ------
    UsageError
        If a value is not one that its option can take.
    """

    # fmt: off
    preview: PreviewKind = declare(
        "auto", "A window, a page, or none; auto: a window where there is a display.")
    host: str = declare(
        "127.0.0.1", "Serve the page at this address; beyond this machine with a token.")
    port: int = declare(
        8300, "Port of the page; 0 takes a free one.",
        check=lambda port: 0 <= port < 65536, expected="0 to 65535")
    latency_target: float | None = declare(
        None, "Make maps smaller until a frame is at most so many ms old. Default: until "
        "the camera's rate is held.", check=is_positive, expected="above 0")
    segment_minutes: float | None = declare(
        None, "Begin a new file after so many minutes of recording.", check=is_positive,
        expected="above 0")
    warmup: Warmup = declare(
        "5f", "Seconds, or frames (30f), not counted or recorded at the start.",
        parse=parse_warmup)
    stats: bool = declare(
        False, "Write rates, latency and dropped frames into the recording.")
    # fmt: on


def settings_of(given: Any) -> Settings:
    """Return the given settings, or the default ones for ``None``.

    Parameters
    ----------
    given : Settings or None

    Raises
    ------
    UsageError
        If it is something else, such as the name of a network.
    """
    if given is None:
        return Settings()
    if not isinstance(given, Settings):
        raise UsageError(
            "settings: expected vidsal.Settings, such as vidsal.Settings(model='lite0'), got "
            f"{type(given).__name__}"
        )
    return given


def checked_option(name: str, value: Any) -> Any:
    """Return a value as the type of an option of `Settings` or `LiveOptions`.

    Parameters
    ----------
    name : str
        Name of the field.
    value : object
        As it is read from a file.

    Raises
    ------
    UsageError
        If the option cannot take it.
    KeyError
        If there is no such option.
    """
    fields = {
        field.name: field for of in (LiveOptions, Settings) for field in dataclasses.fields(of)
    }
    return checked(fields[name], value)


def _name_of(model: Any) -> str:
    """Return the name of a model object in Keras, or its class's."""
    return getattr(model, "name", None) or type(model).__name__
