"""Users without a home directory, as in containers."""

import tempfile
from pathlib import Path

import pytest

from vidsal.static import weights


def test_without_a_home_directory_the_cache_is_temporary(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.delenv("KERAS_HOME", raising=False)
    assert weights.keras_home() == Path(tempfile.gettempdir()) / ".keras"
    monkeypatch.setenv("KERAS_HOME", "/some/where")
    assert weights.keras_home() == Path("/some/where")
