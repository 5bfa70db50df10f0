"""Processes that were forked after TensorFlow ran: an error, not a hang."""

import multiprocessing
import os
import sys

import numpy as np
import pytest

import vidsal
from vidsal.errors import VidsalError
from vidsal.runtime import fork
from vidsal.runtime.fork import require_own_threads
from vidsal.settings import Settings
from vidsal.static.models import Network


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_only_a_forked_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork, "_first_users", {})
    # Nothing ran before this fork.
    assert _in_fork() == ""
    require_own_threads("a library")
    require_own_threads("a library")
    assert _in_fork() == (
        "this process was forked after a library ran, and a library does not work in such a "
        'process: start processes with multiprocessing.get_context("spawn"), or fork before the '
        "first analysis"
    )


def test_a_network_is_not_opened_in_a_forked_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork, "_first_users", {"TensorFlow": os.getpid() + 1})
    with pytest.raises(VidsalError, match="this process was forked after TensorFlow ran"):
        _ = Network(Settings(model="lite0")).stage
    # Motion alone needs no TensorFlow.
    assert Network(Settings(model="none")).stage is None


def test_an_open_network_is_not_used_in_a_forked_process(monkeypatch: pytest.MonkeyPatch) -> None:
    tf = pytest.importorskip("tensorflow")
    from vidsal.static.gradient import Classifier, GradientStage, Recipe
    from vidsal.types import Target

    def logits(pixels: object, _: object = None) -> object:
        return tf.reduce_mean(pixels, axis=(1, 2))

    classifier = Classifier("mean", logits, ("red", "green", "blue"))
    stage = GradientStage(classifier, Recipe(target=Target(top=1)))
    rgb = np.zeros((16, 16, 3), np.uint8)
    stage.predict(rgb)
    monkeypatch.setattr(fork, "_first_users", {"TensorFlow": os.getpid() + 1})
    with pytest.raises(VidsalError, match="this process was forked after TensorFlow ran"):
        stage.predict(rgb)


@pytest.mark.parametrize("name", ["run", "Analyser"])
def test_the_documentation_names_spawn(name: str) -> None:
    assert 'get_context("spawn")' in getattr(vidsal, name).__doc__


def _in_fork() -> str:
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_ask, args=(send,))
    process.start()
    assert receive.poll(30)
    answer = receive.recv()
    process.join(30)
    assert isinstance(answer, str)
    return answer


def _ask(send: object) -> None:
    message = ""
    try:
        require_own_threads("a library")
    except VidsalError as error:
        message = str(error)
    send.send(message)  # type: ignore[attr-defined]
