"""The config file and presets: which of several values of an option wins, and how errors read."""

from pathlib import Path
from typing import Any

import pytest

from vidsal.command_options import merged, options_of
from vidsal.config import read_config
from vidsal.errors import UsageError
from vidsal.settings import LiveOptions, Settings
from vidsal.settings.presets import PRESETS
from vidsal.settings.values import Warmup

RUN = options_of(Settings)


def test_no_file_means_no_options(tmp_path: Path) -> None:
    assert read_config(tmp_path) == {}


def test_keys_have_hyphens_or_underscores_and_values_their_own_types(tmp_path: Path) -> None:
    (tmp_path / "vidsal.toml").write_text(
        "short-side = 320\nworking_width = 256\noutput = 'out'\nstart = '1:02.5'\n"
        "static-every = 'auto'\naudio = false\nwarmup = '30f'\npreset = 'fast'\nalpha = 1\n"
    )
    assert read_config(tmp_path) == {
        "short_side": 320, "working_width": 256, "output": Path("out"), "start": 62.5,
        "static_every": "auto", "audio": False, "warmup": Warmup(frames=30), "preset": "fast",
        "alpha": 1,
    }  # fmt: skip


def test_pyproject_is_read_where_there_is_no_file_of_its_own(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text("[project]\nname = 'x'\n")
    assert read_config(tmp_path) == {}
    project.write_text("[tool.vidsal]\nlayout = 'quad'\n")
    assert read_config(tmp_path) == {"layout": "quad"}
    (tmp_path / "vidsal.toml").write_text("layout = 'map'\n")
    assert read_config(tmp_path) == {"layout": "map"}


def test_a_project_file_that_does_not_name_vidsal_need_not_be_valid(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[[[\n")
    assert read_config(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("short_side = 5", ", key 'short_side': short_side= must be 32 to 1024 pixels, got 5"),
        ("short-side = 'x'", ", key 'short-side': short_side= must be a whole number, got 'x'"),
        ("layout = 'gird'", ", key 'layout': layout= must be one of overlay, side-by-side, map, "
         "triptych, quad, strip, got 'gird'"),
        ("audio = 'no'", ", key 'audio': audio= must be true or false, got 'no'"),
        ("preset = 'x'", ", key 'preset': preset= must be one of talk, report, fast, got 'x'"),
        ("shortside = 5", ": there is no option 'shortside'; did you mean 'short_side'?"),
        ("zzz = 5", ": there is no option 'zzz'"),
        ("gain = 1\n[live]\n", ": there is no option 'live'"),
        ("short_side = 320\nshort-side = 320", ": 'short-side' is given twice"),
    ],
)  # fmt: skip
def test_wrong_keys_and_values_name_the_file_and_the_key(
    text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "vidsal.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        read_config(tmp_path)
    assert str(caught.value) == f"{tmp_path / 'vidsal.toml'}{message}"


@pytest.mark.parametrize("content", [b"gain = ", b"\xff", b"gain = 1\ngain = 2\n"])
def test_a_file_that_is_not_toml_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "vidsal.toml").write_bytes(content)
    with pytest.raises(UsageError, match=r"^.*vidsal\.toml cannot be read as TOML: ") as caught:
        read_config(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("own_folder")
def test_typed_options_win_over_the_file_and_the_file_over_the_preset() -> None:
    assert merged({}, RUN) == {}
    assert merged({}, RUN, "talk") == PRESETS["talk"]
    Path("vidsal.toml").write_text("layout = 'quad'\nwidth = 640\n")
    values = merged({"width": 800}, RUN, "talk")
    assert values == PRESETS["talk"] | {"layout": "quad", "width": 800}
    # A preset of the file, unless one is typed.
    Path("vidsal.toml").write_text("preset = 'fast'\n")
    assert merged({}, RUN) == PRESETS["fast"]
    assert merged({}, RUN, "talk") == PRESETS["talk"]


@pytest.mark.usefixtures("own_folder")
def test_options_of_other_commands_are_left_out() -> None:
    Path("vidsal.toml").write_text("port = 9000\nresume = true\nflow = 'dis'\n")
    assert merged({}, RUN) == {"resume": True, "flow": "dis"}
    live = options_of(LiveOptions, Settings, without=("resume",))
    assert merged({}, live) == {"port": 9000, "flow": "dis"}


@pytest.mark.usefixtures("own_folder")
def test_a_typed_option_excludes_its_opposite_in_the_file() -> None:
    Path("vidsal.toml").write_text("overwrite = true\n")
    assert merged({"skip_existing": True}, RUN) == {"skip_existing": True}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_settings_that_differ_from_the_defaults(name: Any) -> None:
    made = Settings(**PRESETS[name])
    for option in PRESETS[name]:
        assert getattr(made, option) != getattr(Settings(), option), option
