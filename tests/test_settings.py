"""Options: accepted values, names, and error messages."""

from __future__ import annotations

import dataclasses
import math
import os
import pydoc
import re
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from vidsal.errors import UsageError, VidsalError, flag
from vidsal.settings import LiveOptions, Settings, settings_of
from vidsal.settings.stored import CropOptions
from vidsal.settings.values import parse_time

FLAGS = (
    "hardware", "audio", "resume", "strict", "sequence", "recursive", "skip_existing",
    "trust_model",
)  # fmt: skip
BAD: list[tuple[str, Any]] = [
    *[("output", value) for value in (5, True, 1.5)],
    *[("overwrite", value) for value in (1, 0, "yes", None)],
    *[("table", value) for value in (5, ["a.csv"])],
    *[("maps", value) for value in (5, ["maps"])],
    *[("keep", value) for value in (5, ["a.vidsal"])],
    *[("start", value) for value in (-1, "-1", "abc", "", "1:2:3:4", "1:", True, math.nan)],
    *[("end", value) for value in (-0.5, "1,5", "1m", math.inf)],
    *[("every", value) for value in (0, -1, 1.5, 2.0, True, "2", None)],
    *[("duration", value) for value in (0, -1, "x", False)],
    *[("codec", value) for value in ("x264", "H264", "", 5, True)],
    *[("quality", value) for value in (-1, 101, 80.0, "80", True, None)],
    *[("fps", value) for value in (0, -25, "0", "x", "25 fps", "1/0", 1001, math.nan, True)],
    *[(name, value) for name in FLAGS for value in (0, 1, "true", None)],
    ("model", None),
    *[("weights", value) for value in (5, 1.0)],
    *[("preprocess", value) for value in ("Caffe", "imagenet", "", None)],
    *[("labels", value) for value in (5, ["names.txt"])],
    *[("precision", value) for value in ("float16", "bf16", None)],
    *[("method", value) for value in ("vanilla", "Gradient", None)],
    *[("layer", value) for value in ("", ",", "/16,", " ", "a,,b", 5, None)],
    *[("samples", value) for value in (0, -1, 1025, 16.0, "16", True, None)],
    *[("fresh", value) for value in (0, -1, 1.0, "1", True, None)],
    *[("noise", value) for value in (-0.01, 1.01, math.nan, math.inf, "0.1", True, None)],
    *[("seed", value) for value in (-1, 2**31, 1.0, "1", True, None)],
    *[("static_every", value) for value in (0, -1, 1.5, "", "Auto", "1.5", "-1", True, None)],
    *[("contrast", value) for value in (0, 0.09, 10.1, -1, math.nan, "2", True, None)],
    *[("predict_every", value) for value in (-0.1, math.nan, "1", True, None)],
    ("target", None),
    *[("score", value) for value in ("probabilities", None)],
    *[("reduce", value) for value in ("mean", 3, None)],
    *[("sizes", value) for value in ("0.2", "1,5", "1,", "x", "1,1,1,1,1", None, True)],
    *[("short_side", value) for value in (31, 1025, 224.0, "224", True, None)],
    *[("batch", value) for value in (0, -16, 1.0, True, None)],
    *[("smooth", value) for value in (-0.01, 0.21, math.nan, math.inf, "0.1", True, None)],
    *[("working_width", value) for value in (31, 4097, 320.0, True, None)],
    *[("flow", value) for value in ("lucas-kanade", "DIS", True, None)],
    *[("camera", value) for value in ("ransac", "similarity", True, None)],
    *[
        ("scale", value)
        for value in (
            "global",
            "",
            "Stable",
            5,
            True,
            None,
            "fixed",
            "fixed:",
            "fixed:1",
            "fixed:1,0",
            "fixed:1,1",
            "fixed:a,b",
            "fixed:0,b",
            "fixed:0,1,2",
            "fixed:0,1,2,1",
            "fixed:1,0,0,1",
            "fixed:0,1,2,3,4",
            "fixed:0,1,",
            "fixed:nan,1",
            "fixed:0,nan",
            "fixed:0,inf",
            "fixed:-inf,0",
            "fixed:0,1,-inf,1",
            "fixed 0,1",
            "0,1",
            "frame:0,1",
            "fixed:fixed:0,1",
        )
    ],
    *[("fusion", value) for value in ("product", "Gain", "", 1, None)],
    *[("centre_prior", value) for value in (-0.1, 1.1, math.nan, math.inf, "1", True, None)],
    *[("gain", value) for value in (-0.1, 100.1, math.nan, math.inf, "1", True, None)],
    *[("layout", value) for value in ("grid", None)],
    *[("style", value) for value in ("lines", None)],
    *[("colormap", value) for value in ("jet", "Inferno", None)],
    *[("width", value) for value in (1, 63, 16385, -64, 1.5, "wide", True, None)],
    *[("alpha", value) for value in (-0.01, 1.01, math.nan, "half", True, None)],
    *[("boxes", value) for value in (-0.1, 1.1, math.nan, "0.5", True, None)],
    *[("annotate", value) for value in (1, "no", None)],
    *[("mirror", value) for value in (1, "no", None)],
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_bad_value_is_refused_by_the_name_of_its_option(name: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Settings(**{name: value})
    message = str(caught.value)
    # "name= must be ..." for a wrong value, "name=: ..." for a text that cannot be parsed.
    assert message.startswith((f"{name}= ", f"{name}=: ")), message
    assert "\n" not in message
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, VidsalError)
    if value is not None:
        # The line names the value, or its type if it cannot be a path.
        assert str(value) in message or f"not {type(value).__name__}" in message


BAD_CROP: list[tuple[str, Any]] = [
    *[("output", value) for value in (5, True)],
    *[
        ("aspect", value)
        for value in ("", "9", "9/16", "0:16", "9:0", "-9:16", "9:16:1", "nan:1", 0.5625, None)
    ],
    *[("path", value) for value in (5, ["a.csv"])],
    *[("share", value) for value in (0, -0.1, 1.01, math.nan, "0.5", True, None)],
    *[("preview", value) for value in (0, 1, "yes", None)],
]


@pytest.mark.parametrize(("name", "value"), BAD_CROP)
def test_bad_value_of_a_crop_is_refused_by_its_option(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"^{name}=:? ") as caught:
        CropOptions(**{name: value})
    assert "\n" not in str(caught.value)


def test_every_option_of_a_crop_is_tried_above() -> None:
    assert {name for name, _ in BAD_CROP} == {one.name for one in dataclasses.fields(CropOptions)}


@pytest.mark.parametrize(
    ("given", "aspect"),
    [
        ("9:16", "9:16"),
        ("1080x1920", "9:16"),
        (" 4:5 ", "4:5"),
        ("2.39:1", "239:100"),
        ("5:5", "1:1"),
    ],
)
def test_an_aspect_has_no_common_divisor(given: str, aspect: str) -> None:
    assert CropOptions(aspect=given).aspect == aspect
    assert CropOptions(aspect=aspect).aspect == aspect


def test_every_option_is_tried_above() -> None:
    assert {name for name, _ in BAD} == {field.name for field in dataclasses.fields(Settings)}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("every", 1),
        ("short_side", 32),
        ("short_side", 1024),
        ("batch", 1),
        ("smooth", 0),
        ("smooth", 0.2),
        ("samples", 1),
        ("samples", 1024),
        ("fresh", 1),
        ("fresh", 12),
        ("noise", 0),
        ("noise", 1),
        ("seed", 0),
        ("seed", 2**31 - 1),
        ("static_every", 1),
        ("static_every", "auto"),
        ("contrast", 0.1),
        ("contrast", 10),
        ("predict_every", 0),
        ("working_width", 32),
        ("working_width", 4096),
        ("gain", 0),
        ("gain", 100),
        ("centre_prior", 0),
        ("centre_prior", 1),
        ("boxes", 0),
        ("boxes", 1),
        ("flow", "farneback"),
        ("flow", "dis"),
        *[("camera", name) for name in ("auto", "homography", "affine", "median", "none")],
        *[("fusion", name) for name in ("gain", "sum", "max", "static", "motion")],
        *[("scale", name) for name in ("stable", "frame", "minmax", "fixed:0,1")],
        ("width", 0),
        ("width", 64),
        ("alpha", 0.0),
        ("alpha", 1),
        ("annotate", False),
        ("start", 0),
        ("duration", 1e-5),
        ("output", None),
    ],
)
def test_the_ends_of_every_range_belong_to_it(name: str, value: Any) -> None:
    assert getattr(Settings(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("name", "given", "own"),
    [
        ("every", np.int64(3), 3),
        ("seed", np.uint8(7), 7),
        ("static_every", np.int32(2), 2),
        ("alpha", np.float32(0.5), 0.5),
        ("gain", np.float64(2.5), 2.5),
        ("gain", np.int16(2), 2),
        ("start", np.float32(1.5), 1.5),
        ("fps", np.int64(25), Fraction(25)),
        ("annotate", np.False_, False),
        ("target", np.int64(281), "281"),
        ("model", np.str_("lite0"), "lite0"),
    ],
)
def test_numbers_of_numpy_become_pythons_own(name: str, given: Any, own: Any) -> None:
    kept = getattr(Settings(**{name: given}), name)
    assert (kept, type(kept)) == (own, type(own))


@pytest.mark.parametrize(
    ("name", "given"),
    [("every", np.float64(2)), ("every", np.True_), ("annotate", np.int64(1)),
     ("alpha", np.float32(1.5)), ("every", np.array([2])), ("alpha", np.float64("nan"))],
)  # fmt: skip
def test_numbers_of_numpy_are_checked_as_any_other(name: str, given: Any) -> None:
    with pytest.raises(UsageError, match=f"^{name}= must be "):
        Settings(**{name: given})


def test_settings_are_settings() -> None:
    given = Settings(every=2)
    assert settings_of(given) is given
    assert settings_of(None) == Settings()


@pytest.mark.parametrize("given", ["lite0", "", {"model": "lite0"}, 0, False, Settings, np.ones(9)])
def test_what_is_no_settings_is_one_line(given: Any) -> None:
    with pytest.raises(UsageError) as caught:
        settings_of(given)
    assert str(caught.value) == (
        "settings: expected vidsal.Settings, such as vidsal.Settings(model='lite0'), got "
        f"{type(given).__name__}"
    )


def test_message_lists_the_choices() -> None:
    with pytest.raises(UsageError) as caught:
        Settings(method="vanilla")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "method= must be one of gradient, smoothgrad, integrated, gradcam, gradcam++, layercam, "
        "got 'vanilla'; "
        "did you mean gradient?"
    )


def test_a_part_of_a_choice_is_suggested() -> None:
    with pytest.raises(UsageError, match=r", got 'side'; did you mean side-by-side\?$"):
        Settings(layout="side")  # type: ignore[arg-type]


def test_values_come_out_as_the_options_own_type() -> None:
    made = Settings(
        output="a/b.mp4",  # type: ignore[arg-type]
        start="1:02.5",  # type: ignore[arg-type]
        end="00:02:00",  # type: ignore[arg-type]
        target=285,  # type: ignore[arg-type]
    )
    assert made.output == Path("a/b.mp4")
    assert (made.start, made.end, made.target) == (62.5, 120.0, "285")
    assert Settings(target="  tench ").target == "tench"
    # A second check leaves checked values unchanged.
    assert dataclasses.replace(made) == made
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.batch = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "rate"),
    [
        (25, Fraction(25)),
        ("25", Fraction(25)),
        (12.5, Fraction(25, 2)),
        ("29.97", Fraction(30000, 1001)),
        (23.976, Fraction(24000, 1001)),
        ("23.98", Fraction(24000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        ("30000/1001", Fraction(30000, 1001)),
        (Fraction(100, 7), Fraction(100, 7)),
        ("0.01", Fraction(1, 100)),
        (1000, Fraction(1000)),
    ],
)
def test_a_rate_is_exact(given: Any, rate: Fraction) -> None:
    assert Settings(fps=given).fps == rate


@pytest.mark.parametrize(("start", "end"), [(5, 5), (5, 4.9), ("1:00", 59)])
def test_end_comes_after_start(start: Any, end: Any) -> None:
    with pytest.raises(UsageError, match=r"^end= must come after start="):
        Settings(start=start, end=end)
    assert Settings(start=end).start != Settings(end=end).start


@pytest.mark.parametrize("model", ["lite0", "none", "mine.keras", "folder/mine.h5"])
def test_weights_belong_to_networks_without_their_own(model: str) -> None:
    with pytest.raises(UsageError, match=f"^weights= is not for model={model!r}$"):
        Settings(weights=Path("w.h5"), model=model)
    for other in ("resnet50", "auto", "MobileNetV2"):
        assert Settings(weights=Path("w.h5"), model=other).weights == Path("w.h5")


def test_no_more_fresh_samples_than_samples() -> None:
    with pytest.raises(UsageError, match=r"^fresh= must be at most samples=, got 5 of 4$"):
        Settings(fresh=5, samples=4)
    assert Settings(fresh=4, samples=4).fresh == 4
    # Methods without accumulation have no fresh gradients.
    assert Settings(fresh=5, samples=4, method="integrated").samples == 4


def test_a_step_is_a_number_or_the_word_auto() -> None:
    assert Settings(static_every="3").static_every == 3  # type: ignore[arg-type]
    assert Settings(static_every="auto").static_every == "auto"


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        (" stable ", "stable"),
        ("fixed:0,1", "fixed:0,1"),
        (" fixed: 0.0 , 1.50 ", "fixed:0,1.5"),
        ("fixed:-2,1e-3", "fixed:-2,0.001"),
        ("fixed:+.5,1.", "fixed:0.5,1"),
        ("fixed:0,1,0.00,0.4", "fixed:0,1,0,0.4"),
        ("fixed:5,6,0,1", "fixed:5,6,0,1"),
        # No digit is lost.
        ("fixed:0.123456789,0.123456790", "fixed:0.123456789,0.12345679"),
        ("fixed:0,12345678", "fixed:0,12345678"),
    ],
)
def test_a_fixed_scale_comes_out_as_it_is_usually_written(text: str, scale: str) -> None:
    made = Settings(scale=text)
    assert made.scale == scale
    assert dataclasses.replace(made) == made


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
@examples(deadline=None)
def test_a_fixed_scale_keeps_its_numbers(low: float, extent: float) -> None:
    scale = Settings(scale=f"fixed:{low!r},{low + extent!r}").scale
    numbers = [float(one) for one in scale.removeprefix("fixed:").split(",")]
    assert numbers == [low, low + extent]


@pytest.mark.parametrize("text", ["fixed:1,0", "fixed:a,b", "fixed:1", "nonsense"])
def test_message_says_how_a_scale_is_written(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Settings(scale=text)
    line = "scale=: expected stable, frame, minmax or fixed:LO,HI with LO below HI, got "
    assert str(caught.value) == line + repr(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        (0, 0.0),
        (12.5, 12.5),
        ("12.5", 12.5),
        (" 12.5 ", 12.5),
        ("12.", 12.0),
        (".5", 0.5),
        ("1:02.5", 62.5),
        ("00:01:02.5", 62.5),
        ("1:02:03", 3723.0),
        ("90:00", 5400.0),
        ("0:00", 0.0),
        ("1e-05", 1e-5),
    ],
)
def test_time(text: Any, seconds: float | None) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-1",
        "+1",
        "1:",
        ":30",
        "1:2:3:4",
        "abc",
        "12s",
        "1,5",
        "nan",
        "inf",
        "1:-2",
        "1.5:00",
    ],
)
def test_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="a time is seconds or HH:MM:SS"):
        parse_time(text)


@given(st.floats(0, 1e9))
@examples(deadline=None)
def test_a_number_of_seconds_is_itself(seconds: float) -> None:
    assert parse_time(seconds) == seconds


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 5999))
@examples(deadline=None)
def test_clock_and_seconds_agree(hours: int, minutes: int, hundredths: int) -> None:
    clock = f"{hours}:{minutes:02d}:{hundredths // 100:02d}.{hundredths % 100:02d}"
    exact = hours * 3600 + minutes * 60 + hundredths / 100
    assert parse_time(clock) == pytest.approx(exact, abs=1e-9)


def test_every_option_has_a_group_and_a_help_sentence() -> None:
    for field in dataclasses.fields(Settings):
        assert field.metadata["group"], field.name
        assert field.metadata["help"][0].isupper() or field.metadata["help"].startswith(
            ("stable", "overlay", "smoothgrad")
        ), field.name
        assert field.metadata["help"].endswith("."), field.name
        # The descriptions are also for callers from Python.
        assert not re.search(r"(?<!\w)--\w", field.metadata["help"]), field.name
        # A check without words for its failure would leave the user guessing.
        assert bool(field.metadata["check"]) == bool(field.metadata["expected"]) or (
            field.metadata["check"] is None
        ), field.name
    # One option's neighbours are its group's: the help prints them in the order of the fields.
    groups = [field.metadata["group"] for field in dataclasses.fields(Settings)]
    changes = sum(a != b for a, b in pairwise(groups))
    assert changes == len(set(groups)) - 1


@pytest.mark.parametrize("options", [Settings, LiveOptions, CropOptions])
def test_help_of_the_class_says_what_every_field_means(options: Any) -> None:
    about = pydoc.plain(pydoc.render_doc(options)).replace(" |  ", "")
    head, _, listed = about.partition("Parameters\n----------\n")
    parameters, _, raised = listed.partition("\n\nRaises\n------\nUsageError\n")
    assert head and raised
    entries = re.split(r"\n(?=\w+ : )", parameters)
    fields = dataclasses.fields(options)
    assert [one.partition(" : ")[0] for one in entries] == [field.name for field in fields]
    for one, field in zip(entries, fields, strict=True):
        _, *lines = one.splitlines()
        assert all(line.startswith("    ") for line in lines)
        assert " ".join(line.strip() for line in lines) == field.metadata["help"]


def test_help_of_the_class_has_types_and_defaults_in_words() -> None:
    lines = (Settings.__doc__ or "").splitlines()
    for line in (
        "output : Path, optional",
        "codec : {'h264', 'hevc', 'av1', 'vp9', 'prores', 'ffv1'}, optional",
        "quality : int, default 80",
        "audio : bool, default True",
        "static_every : int or {'auto'}, default 2",
        "model : str or Keras model, default 'auto'",
        "flow : {'farneback', 'dis'}, default 'farneback'",
    ):
        assert line in lines
    assert max(map(len, lines)) < 110


def test_help_of_the_command_line_mentions_every_option() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "vidsal", "run", "--help"],
        capture_output=True, text=True, timeout=60,
        env=os.environ | {"COLUMNS": "100", "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    words = re.sub(r"[│╭╮╰╯─\s]+", " ", result.stdout).split()
    # Wrapped lines are joined without the blanks that the wrapping took or gave.
    joined = "".join(words)
    for field in dataclasses.fields(Settings):
        assert flag(field.name) in words, field.name
        assert re.sub(r"\s", "", field.metadata["help"]) in joined, field.name
        assert re.sub(r"[\s─]", "", field.metadata["group"]) in joined
    assert "-o" in words and "--no-annotate" in words


@pytest.mark.parametrize(
    ("given", "name"),
    [("Lite0", "lite0"), ("NONE", "none"), (" ResNet50 ", "resnet50"), ("VGG16", "VGG16")],
)
def test_networks_of_its_own_are_found_in_any_case(given: str, name: str) -> None:
    assert Settings(model=given).model == name


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"model": "none", "working_width": 64, "overwrite": True}, []),
        (
            {"model": "none", "target": "cat", "samples": 3, "gain": 2.0, "centre_prior": 1.0},
            ["samples=, target=, gain=: without effect with model='none'"],
        ),
        (
            {"model": "lite0", "method": "gradient", "samples": 9, "preprocess": "tf"},
            [
                "samples=: without effect with method='gradient'",
                "preprocess=: without effect with model='lite0'",
            ],
        ),
        (
            {"model": "a.keras", "method": "integrated", "samples": 9, "noise": 0.1},
            ["noise=: without effect with method='integrated'"],
        ),
        (
            {"method": "gradient", "mirror": False, "sizes": "1"},
            ["sizes=, mirror=: without effect with method='gradient'"],
        ),
        ({"model": "a.keras", "preprocess": "tf", "seed": 3, "fusion": "sum", "gain": 1.0}, []),
        (
            {"method": "gradcam", "samples": 4, "reduce": "max", "noise": 0.1},
            ["reduce=, samples=, noise=: without effect with method='gradcam'"],
        ),
        ({"fusion": "static", "gain": 1.0}, ["gain=: without effect with fusion='static'"]),
    ],
)
def test_options_that_change_nothing_are_named(
    options: dict[str, Any], expected: list[str]
) -> None:
    assert list(Settings(**options).idle(options)) == expected
