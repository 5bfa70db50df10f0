"""Log lines of native libraries: silenced before import, otherwise captured."""

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from vidsal.runtime import native_logs
from vidsal.runtime.native_logs import native_stderr_logged, quiet_opencv, quiet_tensorflow

NAMES = ("TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS", "OPENCV_LOG_LEVEL")


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable is set, no TensorFlow imported, and both are put back afterwards."""
    for name in (*native_logs._TENSORFLOW, *native_logs._OPENCV):
        # Set first, so that variables set by a test are restored, too.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)


def _asked() -> list[str | None]:
    return [os.environ.get(name) for name in NAMES]


@pytest.mark.usefixtures("unset")
def test_each_library_is_asked_by_itself() -> None:
    quiet_tensorflow()
    assert _asked() == ["3", "1", None]
    quiet_opencv()
    assert _asked() == ["3", "1", "SILENT"]


@pytest.mark.usefixtures("unset")
def test_a_users_own_wish_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    monkeypatch.setenv("OPENCV_LOG_LEVEL", "DEBUG")
    quiet_tensorflow()
    quiet_opencv()
    assert _asked() == ["0", "1", "DEBUG"]


@pytest.mark.usefixtures("unset")
def test_a_program_that_has_tensorflow_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", native_logs)
    quiet_tensorflow()
    assert _asked() == [None, None, None]


def test_what_is_said_all_the_same_is_in_the_log(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "vidsal")
    with native_stderr_logged():
        os.write(2, b"I0000 port.cc\ncaf\xe9\n")
    os.write(2, b"after\n")
    assert caplog.messages == ["I0000 port.cc", "caf\ufffd"]
    assert capfd.readouterr().err == "after\n"


def test_without_room_stderr_is_as_it_was(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> Any:
        raise OSError("no room")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with native_stderr_logged():
        os.write(2, b"within\n")
    assert capfd.readouterr().err == "within\n"


def _python(code: str, *args: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run some code as that of a person who has set no variables but these."""
    kept = {name: value for name, value in os.environ.items() if name not in NAMES}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        env=kept | variables, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "variables", "said"),
    [
        ("", {}, ""),
        ("", {"TF_CPP_MIN_LOG_LEVEL": "0"}, "chatter\n"),
        # TensorFlow has logged by then, and is not silenced afterwards.
        ("import tensorflow; ", {}, "chatter\n"),
    ],
)
def test_the_library_imports_tensorflow_quietly_unless_asked_otherwise(
    before: str, variables: dict[str, str], said: str, tmp_path: Path
) -> None:
    # Something that talks on whatever machine.
    (tmp_path / "tensorflow.py").write_text(
        "import os, types\n"
        "os.write(2, b'chatter\\n')\n"
        "config = types.SimpleNamespace(list_physical_devices=lambda kind: [])\n"
    )
    code = (
        f"import sys; sys.path.insert(0, sys.argv[1]); {before}"
        "import os, vidsal.static.models as m; "
        "print(m.load_tensorflow().__file__, os.environ.get('TF_CPP_MIN_LOG_LEVEL'))"
    )
    done = _python(code, tmp_path, **variables)
    asked = None if before else variables.get("TF_CPP_MIN_LOG_LEVEL", "3")
    assert done.stdout == f"{tmp_path / 'tensorflow.py'} {asked}\n"
    assert done.stderr == said


def test_nothing_is_said_of_a_photo(sample_media: Path) -> None:
    code = (
        "import sys, vidsal; settings = vidsal.Settings(model='lite0', samples=1, short_side=64); "
        "print([one.prediction.model_name for one in vidsal.analyse(sys.argv[1], settings)])"
    )
    done = _python(code, sample_media / "cat.jpg")
    assert (done.stdout, done.stderr) == ("['EfficientNet-Lite0']\n", "")
