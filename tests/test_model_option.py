"""A Keras model object as the option `model`."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vidsal.errors import UsageError
from vidsal.jobs import run_all
from vidsal.settings import Settings
from vidsal.settings.values import is_model_object, is_saved


def model(**attributes: Any) -> Any:
    """An object that looks like a Keras model."""
    return SimpleNamespace(layers=[], inputs=[], **attributes)


def test_a_model_object_stays_as_it_is() -> None:
    given = model(name="mine")
    made = Settings(model=given)
    assert made.model is given
    assert dataclasses.replace(made, gain=1.0).model is given
    assert made == Settings(model=given) and made != Settings(model=model(name="other"))
    assert made.changed(("Network",)) == {"model": given}
    assert "mine" in repr(made)


def test_a_model_object_is_no_file_and_no_name() -> None:
    assert not is_saved(model())
    assert is_saved("a.keras") and is_saved("a.h5") and not is_saved("lite0")
    assert is_model_object(model())
    for other in ("lite0", Path("a.keras"), None, 5):
        assert not is_model_object(other)


def test_names_of_networks() -> None:
    assert Settings(model=model(name="mine")).model_name == "mine"
    assert Settings(model=model()).model_name == "SimpleNamespace"
    assert Settings(model="lite0").model_name == "lite0"


def test_options_that_a_model_object_has_no_use_for() -> None:
    with pytest.raises(UsageError, match=r"^weights= is not for model='mine'$"):
        Settings(model=model(name="mine"), weights=Path("w.h5"))
    given = Settings(model=model(name="mine"), preprocess="tf", trust_model=True)
    assert list(given.idle(["preprocess", "trust_model"])) == [
        "trust_model=: without effect with model='mine'"
    ]
    saved = Settings(model="a.keras", preprocess="tf", trust_model=True)
    assert list(saved.idle(["preprocess", "trust_model"])) == []


def test_workers_cannot_take_a_model_object() -> None:
    with pytest.raises(UsageError, match="save the model, and give its path"):
        run_all(["a.mp4"], Settings(model=model(name="mine")), workers=2)
