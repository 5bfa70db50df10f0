"""Every option of vidsal, declared once: name, type, default, help and check.

The command line is derived from the fields of `Settings` (see ``cli.py``), the library takes the
same object, and a test holds the README to it. Standard library only, so that ``--help`` is
immediate.
"""

import dataclasses
import inspect
import math
import re
import sys
import textwrap
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeGuard, TypeVar, get_args, get_origin

from vidsal.errors import UsageError, option

T = TypeVar("T")
# The name of a network, or a Keras model object.
Model = str | Any
Preprocess = Literal["caffe", "torch", "tf", "none"]
Method = Literal["gradient", "smoothgrad", "integrated"]
Score = Literal["logit", "probability", "logprob"]
Every = int | Literal["auto"]
Precision = Literal["float32", "bfloat16"]
Channels = Literal["max", "sum"]
Camera = Literal["auto", "homography", "affine", "median", "none"]
Flow = Literal["farneback", "dis"]
Fusion = Literal["gain", "sum", "max", "static", "motion"]
Codec = Literal["h264", "hevc", "av1", "vp9", "prores", "ffv1"]
Layout = Literal["overlay", "side-by-side", "map", "triptych", "quad"]
# Rows and columns of the panels that a picture is made of.
PANELS: dict[Layout, tuple[int, int]] = {
    "overlay": (1, 1), "map": (1, 1), "side-by-side": (1, 2), "triptych": (1, 3), "quad": (2, 2),
}  # fmt: skip
Colormap = Literal["inferno", "magma", "plasma", "viridis", "cividis", "turbo", "grey"]
PreviewKind = Literal["auto", "window", "web", "none"]
Preset = Literal["talk", "report", "fast"]
# Options that go together. Options of a command line or a config file win over them, one by one.
PRESETS: dict[Preset, dict[str, Any]] = {
    # One slide: the input beside the result, as wide as a Full HD projector shows, and a heatmap
    # that is seen from the last row.
    "talk": {"layout": "side-by-side", "width": 1920, "alpha": 0.8, "quality": 90},
    # A figure and its numbers: how both halves make the fused map, regions as boxes, one CSV file
    # a source in the current folder, and twice the samples for maps with less noise.
    "report": {"layout": "quad", "width": 1920, "boxes": 0.5, "samples": 32, "table": "."},
    # A first look: the faster flow on smaller pictures, and an eighth of the gradients.
    "fast": {
        "flow": "dis", "samples": 8, "static_every": 4, "short_side": 224, "working_width": 256,
        "predict_every": 1.0,
    },
}  # fmt: skip
# Other names that people type for the values of an option.
_OTHER_NAMES = {
    "h265": "hevc", "x265": "hevc", "avc": "h264", "x264": "h264", "av01": "av1", "aom": "av1",
    "vp09": "vp9", "gray": "grey", "jet": "turbo", "vanilla": "gradient",
}  # fmt: skip


def parse_time(text: str | float | None) -> float | None:
    """Return seconds from ``12.5``, ``"12.5"``, ``"1:02.5"`` or ``"00:01:02.5"``.

    Parameters
    ----------
    text : str, float or None
        Seconds, or [hours:]minutes:seconds. None stays None.

    Raises
    ------
    UsageError
        If the text is not a time, or is negative.
    """
    if text is None:
        return None
    match = re.fullmatch(
        r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?(?:e-\d+)?|\.\d+)", str(text).strip()
    )
    if not match:
        raise UsageError(
            f"a time is seconds or HH:MM:SS, not negative (12.5, 1:02.5), got {text!r}"
        )
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)


def parse_rate(text: str | float | Fraction | None) -> Fraction | None:
    """Return an exact rate from ``25``, ``"30000/1001"``, or ``"29.97"``, which stands for that.

    Parameters
    ----------
    text : str, float, Fraction or None
        Frames per second. None stays None.

    Raises
    ------
    UsageError
        If the text is no rate, or not one of 0.01 to 1000.
    """
    if text is None:
        return None
    try:
        rate = Fraction(0) if isinstance(text, bool) else Fraction(str(text).strip())
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not Fraction(1, 100) <= rate <= 1000:
        raise UsageError(
            f"a rate is 0.01 to 1000 frames a second (25, 29.97, 30000/1001), got {text!r}"
        )
    # 23.976 (or 23.98), 29.97 and 59.94 stand for these.
    near = Fraction(round(rate * Fraction(1001, 1000)) * 1000, 1001)
    if rate.denominator > 1 and abs(near - rate) < Fraction(1, 200):
        return near
    # Players and encoders have 32 bits for each part of it.
    return rate.limit_denominator(100_000)


def parse_path(name: str | Path) -> Path:
    """Return a path. An empty name is refused, as it would mean the current folder.

    Parameters
    ----------
    name : str or Path

    Raises
    ------
    UsageError
        If the name is empty.
    """
    if not str(name).strip():
        raise UsageError("expected a name, got an empty one")
    return Path(name)


class Warmup(NamedTuple):
    """Seconds and frames to leave out at the start of a live run; the longer of both counts."""

    seconds: float = 0.0
    frames: int = 0


def parse_warmup(text: str | float | tuple[float, int]) -> Warmup:
    """Return the `Warmup` for ``2`` (seconds) or ``30f`` (frames).

    Parameters
    ----------
    text : str, float or tuple
        Seconds, frames followed by ``f``, or (seconds, frames).

    Raises
    ------
    UsageError
        If the text has another form.
    """
    if isinstance(text, tuple):
        return Warmup(*text)
    if frames := re.fullmatch(r"([0-9]{1,9})f", str(text).strip()):
        return Warmup(frames=int(frames[1]))
    try:
        return Warmup(seconds=parse_time(text) or 0.0)
    except UsageError:
        raise UsageError(f"expected seconds, or frames such as 30f, got {text!r}") from None


def _option(
    default: Any,
    help: str,
    *,
    check: Callable[[Any], bool] | None = None,
    expected: str = "",
    parse: Callable[[Any], Any] | None = None,
    short: str | None = None,
) -> Any:
    """Declare an option; `check` sees every value but ``None``, `expected` words its failure."""
    metadata = {"help": help, "check": check, "expected": expected}
    metadata |= {"parse": parse, "short": short}
    return dataclasses.field(default=default, metadata=metadata)


def _documented(options: type[T]) -> type[T]:
    """Tell in the docstring of a class of options what each means, as its declaration has it."""
    about, raises, what = inspect.cleandoc(options.__doc__ or "").partition("Raises\n")
    fields = "\n".join(map(_described, dataclasses.fields(options)))  # type: ignore[arg-type]
    options.__doc__ = f"{about}Parameters\n----------\n{fields}\n\n{raises}{what}"
    return options


def _described(field: Any) -> str:
    """Return one option as numpydoc has a parameter."""
    default = "optional" if field.default is None else f"default {field.default!r}"
    # No wider than the declaration, once pydoc has indented it.
    help_lines = textwrap.wrap(field.metadata["help"], 88)
    return "\n    ".join([f"{field.name} : {_kind(field.type)}, {default}", *help_lines])


def _kind(annotation: Any) -> str:
    """Return a type in words: ``int or {'auto'}``."""
    if get_origin(annotation) is Literal:
        return "{" + ", ".join(map(repr, get_args(annotation))) + "}"
    if annotation is Any:
        return "Keras model"
    kinds = [one for one in get_args(annotation) if one is not type(None)]
    return " or ".join(map(_kind, kinds)) or annotation.__name__


def is_saved(model: Model) -> TypeGuard[str]:
    """Return whether a network is named by the file of a saved model.

    Parameters
    ----------
    model : str or Keras model
        A value of ``Settings.model``.
    """
    return isinstance(model, str) and model.endswith((".keras", ".h5"))


def is_model_object(model: Any) -> bool:
    """Return whether a value is a Keras model object, without importing Keras.

    Parameters
    ----------
    model : object
        Any value.
    """
    return hasattr(model, "layers") and hasattr(model, "inputs")


def _positive(value: float) -> bool:
    return value > 0


def _word(value: str | int | Path) -> str:
    return str(value).strip()


def parse_model(value: Model) -> Model:
    """Return a network's name, vidsal's own ones in lower case; a model object stays as it is.

    Parameters
    ----------
    value : str or Keras model

    Raises
    ------
    UsageError
        If it is neither, or a Keras model that is not built.
    """
    if is_model_object(value):
        return value
    if not isinstance(value, (str, Path)):
        raise UsageError(
            "expected a name, a path or a built Keras model, got "
            f"{type(value).__name__}; a model without an input shape is built by "
            "model.build((None, height, width, 3))"
        )
    name = str(value).strip()
    return name.lower() if name.lower() in ("auto", "resnet50", "lite0", "none") else name


def parse_every(value: str | int) -> int | str:
    """Return a step between frames, or the word ``auto``.

    Parameters
    ----------
    value : str or int
        ``auto``, or a whole number of at most 9 digits.

    Raises
    ------
    UsageError
        If it is something else.
    """
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if re.fullmatch(r"[0-9]{1,9}", str(value)):
        return int(value)
    raise UsageError(f"expected auto or a whole number, got {value!r}")


def _scale(value: str) -> str:
    """Return the name of a scale, or ``fixed:`` with its numbers as they are usually written."""
    word = str(value).strip()
    if word in ("stable", "frame", "minmax"):
        return word
    try:
        numbers = [float(one) for one in word.removeprefix("fixed:").split(",")]
    except ValueError:
        numbers = []
    pairs = list(zip(numbers[::2], numbers[1::2], strict=False))
    are_whole = len(numbers) in (2, 4) and all(
        -math.inf < low < high < math.inf for low, high in pairs
    )
    if not (word.startswith("fixed:") and are_whole):
        raise UsageError(
            f"expected stable, frame, minmax or fixed:LO,HI with LO below HI, got {word!r}"
        )
    return "fixed:" + ",".join(repr(one).removesuffix(".0") for one in numbers)


class Options:
    """A group of options: each field is checked when an object is made."""

    def __post_init__(self) -> None:
        _check_fields(self)


def _group(name: str) -> Callable[[type[T]], type[T]]:
    """Name the group that the fields of a class of options are listed under."""

    def named(options: type[T]) -> type[T]:
        for field in dataclasses.fields(options):  # type: ignore[arg-type]
            field.metadata = {"group": name, **field.metadata}  # type: ignore[assignment]
        return options

    return named


@_group("Output")
@dataclass(frozen=True, kw_only=True)
class OutputOptions(Options):
    """Outputs and their encoding."""

    # fmt: off
    output: Path | None = _option(
        None, "File to write: .mp4, .mov, .mkv, .webm or .gif for a video or a camera, "
        ".png or .jpg for a photo. Default: <name>_saliency.mp4 or .png in the current folder; "
        "vidsal live records from its start only where it is given.",
        parse=parse_path, short="-o")
    overwrite: bool = _option(False, "Replace files that exist.")
    skip_existing: bool = _option(
        False, "Leave out sources whose output exists, and count them.")
    codec: Codec | None = _option(
        None, "Codec of the video: h264, hevc, av1, vp9, prores or ffv1. Default: what "
        "the file's suffix is known for (.mp4, .mov, .mkv: h264, .webm: vp9; .gif has its own).")
    quality: int = _option(
        80, "Quality of the video, 0 to 100; 80 shows no loss to most people.",
        check=lambda quality: 0 <= quality <= 100, expected="0 to 100")
    hardware: bool = _option(
        False, "Encode on the graphics card where that works; it is tried first.")
    audio: bool = _option(True, "Keep the sound of the source.")
    fps: Fraction | None = _option(
        None, "Frames a second of the video: 25, 29.97, 30000/1001. Default: the "
        "source's own rate; where that varies, its usual one.", parse=parse_rate)
    resume: bool = _option(
        False, "Work in segments, kept beside the output until it is whole, and go on "
        "after the last whole one of an interrupted run.")
    table: Path | None = _option(
        None, "Also write a CSV file with one row a frame.", parse=parse_path)
    maps: Path | None = _option(
        None, "Also write the maps as 16-bit grey PNG files into this folder.",
        parse=parse_path)
    # fmt: on


@_group("Part of the source")
@dataclass(frozen=True, kw_only=True)
class SourceOptions(Options):
    """Which part of a source to read, and how strictly."""

    # fmt: off
    start: float | None = _option(
        None, "Begin at this time: seconds or HH:MM:SS.", parse=parse_time)
    end: float | None = _option(
        None, "Stop before this time: seconds or HH:MM:SS.",
        parse=parse_time)
    every: int = _option(
        1, "Take every N-th frame; the video keeps its duration.",
        check=_positive, expected="a whole number of 1 or more")
    duration: float | None = _option(
        None, "Stop after this long, in seconds or HH:MM:SS (for a camera: "
        "recorded time).", check=_positive, expected="a time above 0", parse=parse_time)
    strict: bool = _option(
        False, "Damaged frames and cut-off files are errors; without this "
        "they are skipped and counted.")
    sequence: bool = _option(
        False, "The pictures of a folder, a glob or a list are the frames "
        "of one video: 25 a second, unless a rate is given.")
    recursive: bool = _option(
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


@_group("Network")
@dataclass(frozen=True, kw_only=True)
class NetworkOptions(Options):
    """The network whose score is differentiated."""

    # fmt: off
    model: Model = _option(
        "auto", "Network whose score is differentiated: resnet50 (Keras' ImageNet "
        "weights), lite0 (bundled), none (motion only), auto (resnet50 where its weights can be "
        "had, else lite0), another name in keras.applications, or a saved model (.keras, .h5); in "
        "Python also a Keras model object.", parse=parse_model)
    weights: Path | None = _option(
        None, "Local weights for resnet50 or another name in keras.applications (.h5 "
        "or .weights.h5).", parse=parse_path)
    preprocess: Preprocess = _option(
        "none", "What a saved model expects: caffe (BGR minus mean), torch (mean and "
        "deviation), tf (-1 to 1), none (0 to 255, RGB).")
    labels: Path | None = _option(
        None, "Class names of a saved model, one a line.", parse=parse_path)
    precision: Precision = _option(
        "float32", "Arithmetic of the network; bfloat16 is faster where the processor "
        "has it, and coarser.")
    trust_model: bool = _option(
        False, "Load a saved model that contains Lambda layers, which can run any code: "
        "only for files you trust.")
    batch: int = _option(
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


@_group("Static map")
@dataclass(frozen=True, kw_only=True)
class StaticOptions(Options):
    """How gradients become the static map."""

    # fmt: off
    method: Method = _option(
        "smoothgrad", "smoothgrad (mean of gradients at noisy copies, gathered "
        "along the optical flow), gradient (of the picture itself) or integrated (along the way "
        "from black to the picture; it needs 64 samples or more).")
    samples: int = _option(
        16, "Gradients that a map averages: noisy copies, or steps of the way.",
        check=lambda n: 1 <= n <= 1024, expected="1 to 1024")
    fresh: int = _option(
        1, "Of these, how many each frame of a video draws anew.",
        check=_positive, expected="a whole number of 1 or more")
    noise: float = _option(
        0.15, "Standard deviation of the noise, as a share of the input range.",
        check=lambda share: 0 <= share <= 1, expected="0 to 1")
    seed: int = _option(
        0, "Of the noise: the same seed and input give the same maps.",
        check=lambda n: 0 <= n < 2**31, expected="0 to 2147483647")
    static_every: Every = _option(
        1, "Draw gradients on every N-th frame and carry the map along the flow "
        "between; auto keeps up with the source's rate.", parse=parse_every,
        check=lambda n: n == "auto" or n >= 1, expected="auto or a whole number of 1 or more")
    target: str = _option(
        "auto", "What to explain: top1 (the class that is seen), topN (the sum of "
        "the N largest scores, of each noisy copy), "
        "auto (top5; of fewer than 25 classes a fifth), lock (the class most often on top in the "
        "first second, kept until it was not on top for a second), a class name, or an index.",
        parse=_word)
    score: Score = _option(
        "logit", "What is differentiated: the class's logit, its softmax "
        "probability or that one's logarithm.")
    channels: Channels = _option(
        "max", "From three colour gradients to one map: maximum of the absolute "
        "values, or signed sum; of integrated gradients, the sum's absolute value, or the sum.")
    short_side: int = _option(
        256, "Shorter side of the network's input in pixels; the picture keeps its "
        "aspect, sides are rounded to multiples of 32.",
        check=lambda px: 32 <= px <= 1024, expected="32 to 1024 pixels")
    smooth: float = _option(
        0.03, "Standard deviation of the Gaussian that smooths the gradient map, as "
        "a share of the picture's longer side.",
        check=lambda share: 0 <= share <= 0.2, expected="0 to 0.2")
    contrast: float = _option(
        3.0, "Exponent within the map: 1 shows the gradient's magnitude, 2 its "
        "energy, 3 what stands out of that.", check=lambda power: 0.1 <= power <= 10,
        expected="0.1 to 10")
    predict_every: float = _option(
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


@_group("Motion")
@dataclass(frozen=True, kw_only=True)
class MotionOptions(Options):
    """How motion is measured, and at which size."""

    # fmt: off
    working_width: int = _option(
        320, "Longer side of the grey picture on which flow is computed, in pixels; "
        "also the size of all maps.",
        check=lambda px: 32 <= px <= 4096, expected="32 to 4096 pixels")
    flow: Flow = _option(
        "farneback", "Optical flow: farneback, or dis (dense inverse search, several "
        "times faster, and better at wide pans).")
    camera: Camera = _option(
        "auto", "How the camera's own movement is taken off: auto (the simplest of "
        "similarity, affine and homography that explains the flow), homography, affine, median, "
        "or none. Where few flow vectors agree, a simpler one is taken.")
    # fmt: on


@_group("Scale and fusion")
@dataclass(frozen=True, kw_only=True)
class FusionOptions(Options):
    """How both maps are scaled and fused."""

    # fmt: off
    scale: str = _option(
        "stable", "stable (a percentile remembered over time), frame (a "
        "percentile of each frame), minmax (each frame from its minimum to its maximum), or "
        "fixed:LO,HI: these magnitudes of the gradient are shown as 0 and 1 (without a network, "
        "these speeds in diagonals a second); fixed:LO,HI,LO,HI fixes both maps. The table has the "
        "values that a run used.", parse=_scale)
    fusion: Fusion = _option(
        "gain", "Of the static map S and the motion map D: gain (S + gain x "
        "D x S', which is S along the picture's outlines), sum (S + gain x D), max (of S and gain "
        "x D), static or motion alone.")
    gain: float = _option(
        4.0, "How much motion weighs in the fusion; 0 leaves it out.",
        check=lambda gain: 0 <= gain <= 100, expected="0 to 100")
    centre_prior: float = _option(
        0.0, "How much the fused map is weighted towards the middle, where "
        "people look whatever is there: 0 (not at all) to 1.",
        check=lambda share: 0 <= share <= 1, expected="0 to 1")
    # fmt: on


@_group("Picture")
@dataclass(frozen=True, kw_only=True)
class PictureOptions(Options):
    """How the picture is drawn."""

    # fmt: off
    layout: Layout = _option(
        "overlay", "overlay, side-by-side (input | overlay), map, triptych (map | "
        "input | overlay) or quad (input | static | motion | fused).")
    colormap: Colormap = _option("inferno", "Colours of the map.")
    alpha: float = _option(
        0.7, "Opacity of the most salient regions; cold ones stay clear.",
        check=lambda share: 0 <= share <= 1, expected="0 to 1")
    boxes: float = _option(
        0.0, "Draw boxes around the regions of the fused map above this value, and put "
        "them into the table as JSON; 0 draws none.",
        check=lambda level: 0 <= level <= 1, expected="0 to 1")
    width: int = _option(
        0, "Width of the picture that is written, all its panels together, in pixels at "
        "most; 0 keeps each panel at the source's size.",
        check=lambda px: px == 0 or 64 <= px <= 16384, expected="0, or 64 to 16384 pixels")
    annotate: bool = _option(
        True, "Write class, time, model, colour bar and marker into the picture.")
    # fmt: on


@dataclass(frozen=True, kw_only=True)
class AnalysisOptions(FusionOptions, MotionOptions, StaticOptions):
    """The options that decide the maps, for given frames and a given network."""


# Fields come in the reverse order of the bases: help texts begin with the output.
@_documented
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
        groups = {field.name: field.metadata["group"] for field in dataclasses.fields(self)}
        model, is_object = option("model", self.model_name), is_model_object(self.model)
        sampling = {"fresh", "noise", "seed"}
        rules = [
            (option("method", "gradient"), self.method == "gradient", {"samples", *sampling}),
            (option("method", "integrated"), self.method == "integrated", sampling),
            (option("fusion", self.fusion), self.fusion in ("static", "motion"), {"gain"}),
            (model, not is_saved(self.model) and not is_object, {"preprocess"}),
            (model, not is_saved(self.model), {"trust_model"}),
        ]
        if self.model == "none":
            network = {name for name in groups if groups[name] in ("Network", "Static map")}
            rules = [(model, True, (network | {"fusion", "gain"}) - {"model"})]
        for reason, is_so, of_no_use in rules:
            idle = [option(name) for name in groups if name in of_no_use and name in names]
            if is_so and idle:
                yield f"{', '.join(idle)}: without effect with {reason}"


@_documented
@_group("Live")
@dataclass(frozen=True, kw_only=True)
class LiveOptions(Options):
    """What ``vidsal live`` needs beside `Settings`; described in the same way.

    Raises
    ------
    UsageError
        If a value is not one that its option can take.
    """

    # fmt: off
    preview: PreviewKind = _option(
        "auto", "A window, a page, or none; auto: a window where there is a display.")
    host: str = _option(
        "127.0.0.1", "Serve the page at this address; beyond this machine with a token.")
    port: int = _option(
        8300, "Port of the page; 0 takes a free one.",
        check=lambda port: 0 <= port < 65536, expected="0 to 65535")
    latency_target: float | None = _option(
        None, "Make maps smaller until a frame is at most so many ms old. Default: until "
        "the camera's rate is held.", check=_positive, expected="above 0")
    segment_minutes: float | None = _option(
        None, "Begin a new file after so many minutes of recording.", check=_positive,
        expected="above 0")
    warmup: Warmup = _option(
        "5f", "Seconds, or frames (30f), not counted or recorded at the start.",
        parse=parse_warmup)
    stats: bool = _option(
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


def panel_px(size: tuple[int, int], layout: Layout, most_px: int) -> tuple[int, int]:
    """Return the (height, width) that a panel of a picture of some size is drawn at.

    All panels together are at most `most_px` wide; with 0 they keep the picture's size.

    Parameters
    ----------
    size : tuple of int
        (height, width) of the picture in pixels.
    layout : str
        Decides how many panels lie side by side.
    most_px : int
        Largest width of all panels together in pixels, or 0.
    """
    height, width = size
    _, columns = PANELS[layout]
    room = most_px // columns
    if not most_px or width <= room:
        return size
    # Even, as video needs it, so that nothing is added.
    room -= room % 2
    return max(2, round(height * room / width)), room


def flag(name: str) -> str:
    """Return an option as it is typed: ``short_side`` -> ``--short-side``.

    Parameters
    ----------
    name : str
        Name of the field.
    """
    return "--" + name.replace("_", "-")


def _check_fields(options: Any) -> None:
    """Bring each field to its option's own type, or raise `UsageError`."""
    for field in dataclasses.fields(options):
        value = _checked(field, getattr(options, field.name))
        object.__setattr__(options, field.name, value)


def _checked(field: Any, value: Any) -> Any:
    """Return `value` as the option's own type, or raise `UsageError` saying what was expected."""
    if value is None:
        if field.default is None:
            return None
        raise UsageError(f"{option(field.name)} needs a value")
    rule = field.metadata
    value = _plain(value)
    try:
        if rule["parse"]:
            value = rule["parse"](value)
    except (UsageError, TypeError) as error:
        raise UsageError(f"{option(field.name)}: {error}") from None
    choices = choices_of(field.type)
    if choices and value not in choices:
        raise UsageError(choice_message(field.name, value, choices))
    is_number = isinstance(field.default, (int, float)) and not rule["parse"]
    if is_number and not _same_kind(value, field.default):
        kind = {bool: "true or false", int: "a whole number", float: "a number"}
        raise UsageError(f"{option(field.name)} must be {kind[type(field.default)]}, got {value!r}")
    if rule["check"] and not rule["check"](value):
        raise UsageError(f"{option(field.name)} must be {rule['expected']}, got {value}")
    return value


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
    fields = {field.name: field for of in (LiveOptions, Settings) for field in _fields(of)}
    return _checked(fields[name], value)


def preset_options(name: str) -> dict[str, Any]:
    """Return the options that a preset stands for.

    Parameters
    ----------
    name : str
        Name of the preset.

    Raises
    ------
    UsageError
        If there is no preset of this name.
    """
    options = PRESETS.get(name)  # type: ignore[call-overload]
    if options is None:
        raise UsageError(f"{option('preset')} must be one of {', '.join(PRESETS)}, got {name!r}")
    return dict(options)


def preset_help() -> str:
    """Return the options of each preset, as flags of the command line."""
    described = [
        f"{name} ({', '.join(f'{flag(key)} {value}' for key, value in options.items())})"
        for name, options in PRESETS.items()
    ]
    return f"Options that go together: {'; '.join(described)}. Options that are given win."


def choices_of(annotation: Any) -> tuple[str, ...]:
    """Return the values of an option with a fixed set of words, such as ``--layout``, else ().

    Parameters
    ----------
    annotation : type
        Annotation of a field of `Settings`.
    """
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    kinds = [one for one in get_args(annotation) if one is not type(None)]
    return choices_of(kinds[0]) if len(kinds) == 1 else ()


def choice_message(name: str, value: Any, choices: Collection[str]) -> str:
    """Return the error message for a value that an option with some choices does not take.

    >>> choice_message("colormap", "jet", ["inferno", "turbo"])
    "colormap= must be one of inferno, turbo, got 'jet'; did you mean turbo?"

    Parameters
    ----------
    name : str
        Name of the field of `Settings`.
    value : object
    choices : collection of str
    """
    near = _meant(value, choices)
    hint = f"; did you mean {near}?" if near else ""
    return f"{option(name)} must be one of {', '.join(choices)}, got {value!r}{hint}"


def _meant(value: Any, choices: Collection[str]) -> str:
    """Return the word that a wrong one may stand for, or an empty text."""
    word = re.sub(r"[\s_.]+", "", str(value).lower())
    names = {choice.replace("-", ""): choice for choice in choices}
    other = _OTHER_NAMES.get(word, "")
    if other in choices:
        return other
    with_part = [choice for choice in choices if word in choice.split("-")]
    if with_part:
        return with_part[0]
    import difflib

    near = difflib.get_close_matches(word.replace("-", ""), names, n=1, cutoff=0.6)
    return names[near[0]] if near else ""


def _name_of(model: Any) -> str:
    """Return the name of a model object in Keras, or its class's."""
    return getattr(model, "name", None) or type(model).__name__


def _fields(of: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(of)


def _plain(value: Any) -> Any:
    """Return a number of NumPy's as Python's own; where there is one, NumPy is loaded."""
    numpy = sys.modules.get("numpy")
    return value.item() if numpy and isinstance(value, numpy.generic) else value


def _same_kind(value: Any, default: bool | int | float) -> bool:
    """Say whether a number may stand where `default` stands; True is not the number 1."""
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    return isinstance(value, int) or (isinstance(default, float) and isinstance(value, float))
