"""What the first and the second Ctrl-C do."""

import signal

import pytest

from vidsal.runtime.interrupts import on_first_interrupt


def test_only_a_later_ctrl_c_interrupts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidsal.runtime.interrupts._REPEAT_S", 0.0)
    acts: list[str] = []
    before = signal.getsignal(signal.SIGINT)
    with on_first_interrupt(lambda: acts.append("act")):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert acts == ["act"] and signal.getsignal(signal.SIGINT) == before


def test_the_first_ctrl_c_interrupts_while_nothing_has_begun() -> None:
    acts: list[str] = []
    before = signal.getsignal(signal.SIGINT)
    interrupts = on_first_interrupt(lambda: acts.append("act"), when=lambda: False)
    with interrupts, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert acts == [] and signal.getsignal(signal.SIGINT) == before
