"""From the text that is typed for an option to its value."""

import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from vidsal.errors import UsageError

# The name of a network, or a Keras model object.
Model = str | Any


# Methods that make the map from a layer's activations, too.
CLASS_ACTIVATION = ("gradcam", "gradcam++", "layercam")


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


def parse_layer(value: object) -> str:
    """Return the names of layers without spaces.

    Parameters
    ----------
    value : str

    Raises
    ------
    UsageError
        If it is no text, or a name is empty.
    """
    parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else [""]
    if not all(parts):
        raise UsageError(
            f"expected input, auto, a stride such as /16, a layer, or several of these joined by "
            f"commas, got {value!r}"
        )
    return ",".join(parts)


def parse_sizes(value: object) -> str:
    """Return sizes, in short sides, as they are usually written: ``0.75,1.15``.

    Parameters
    ----------
    value : str, float or int

    Raises
    ------
    UsageError
        If it is not one to four numbers from 0.25 to 4.
    """
    try:
        sizes = [] if isinstance(value, bool) else [float(part) for part in str(value).split(",")]
    except ValueError:
        sizes = []
    if not 1 <= len(sizes) <= 4 or not all(0.25 <= one <= 4 for one in sizes):
        raise UsageError(
            f"expected one to four numbers from 0.25 to 4, joined by commas, got {value!r}"
        )
    return ",".join(f"{one:g}" for one in sizes)


def parse_scale(value: str) -> str:
    """Return the name of a scale, or ``fixed:`` with its numbers as they are usually written.

    Parameters
    ----------
    value : str

    Raises
    ------
    UsageError
        If it is neither, or a range is empty.
    """
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


def parse_aspect(value: str) -> str:
    """Return an aspect in whole numbers without a common divisor: ``9:16`` for ``1080x1920``.

    Parameters
    ----------
    value : str
        Width and height, joined by a colon or an x; each may have decimals.

    Raises
    ------
    UsageError
        If it is not two positive numbers.
    """
    sides = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)[:x](\d{1,6}(?:\.\d{1,6})?)", str(value).strip())
    width, height = map(Fraction, sides.groups()) if sides else (Fraction(0), Fraction(0))
    if not (width and height):
        raise UsageError(f"expected W:H or WxH, such as 9:16 or 1080x1920, got {value!r}")
    aspect = width / height
    return f"{aspect.numerator}:{aspect.denominator}"


def is_positive(value: float) -> bool:
    """Return whether a number is above 0.

    Parameters
    ----------
    value : float
    """
    return value > 0


def parse_word(value: str | int | Path) -> str:
    """Return a text without the white space around it.

    Parameters
    ----------
    value : str, int or Path
    """
    return str(value).strip()
