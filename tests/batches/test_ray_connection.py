"""The connection to a Ray cluster: wrong options, tokens and signals."""

import os
import signal
import socket
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import MakeClip

import vidsal
from vidsal.batches import ray_connection
from vidsal.batches.ray_connection import RayOptions, require_usable
from vidsal.errors import UsageError, VidsalError
from vidsal.runtime.cores import usable_cores
from vidsal.settings import Settings

pytestmark = pytest.mark.usefixtures("own_folder")
SETTINGS = Settings(model="none", working_width=64, annotate=False)


def test_wrong_options_of_a_cluster_stop_at_once() -> None:
    for options, message in (
        ({"cpus": 0}, "cpus_per_actor= must be above 0"),
        ({"gpus": -1}, "gpus_per_actor= must be 0 or more"),
        ({"slots": 0}, "slots= must be 1 or more"),
    ):
        with pytest.raises(UsageError, match=message):
            RayOptions("local", **options)
    for given, message in (
        ({"slots": 2}, "slots= needs ray="),
        ({"ray": "local", "workers": 2}, "workers= is not for ray="),
    ):
        with pytest.raises(UsageError, match=message):
            vidsal.batch("a.mp4", "out", SETTINGS, progress=False, **given)
    with pytest.raises(UsageError, match="do not share this memory"):
        vidsal.batch("a.mp4", "memory://out", SETTINGS, ray="local", progress=False)


def test_a_cluster_that_cannot_be_used_is_one_line_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ray = SimpleNamespace(is_initialized=lambda: False)
    monkeypatch.setattr(ray_connection, "_auth_mode", lambda *_: None)
    monkeypatch.setattr(ray_connection, "_local_gpus", lambda: 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        for taken in (address, f"ray://{address}", "auto", "local"):
            require_usable(ray, RayOptions(taken))
    with pytest.raises(VidsalError, match=rf"ray='{address}': nothing answers there") as caught:
        require_usable(ray, RayOptions(address))
    assert not isinstance(caught.value, UsageError) and "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="'abc'"):
        require_usable(ray, RayOptions("127.0.0.1:abc"))
    cores = usable_cores()
    require_usable(ray, RayOptions("local", cpus=cores))
    with pytest.raises(UsageError, match=f"is more than the {cores} CPUs that ray='local' has"):
        require_usable(ray, RayOptions("local", cpus=cores + 1))
    require_usable(ray, RayOptions("local", gpus=0.5))
    with pytest.raises(UsageError, match=r"gpus_per_actor=2 is more than the 1 GPUs that ray='lo"):
        require_usable(ray, RayOptions("local", gpus=2))


class _RefusedError(Exception):
    """What Ray raises if a cluster rejects the token."""


def _ray_with_tokens(*, needs_token: bool, has_token: bool, is_valid: bool = True) -> Any:
    """Ray, and a cluster that accepts requests as long as the token is right."""
    loader = SimpleNamespace(has_token=lambda **_: has_token, reset_cache=lambda: None)

    def client(*, address: str) -> None:
        assert address == "192.0.2.1:6379"
        sends_token = os.environ.get("RAY_AUTH_MODE") == "token"
        # Ray aborts the process in this case.
        assert has_token or not sends_token
        if needs_token and not (sends_token and is_valid):
            raise _RefusedError

    return SimpleNamespace(
        exceptions=SimpleNamespace(AuthenticationError=_RefusedError),
        _raylet=SimpleNamespace(
            AuthenticationTokenLoader=SimpleNamespace(instance=lambda: loader),
            Config=SimpleNamespace(initialize=lambda _: None),
            GcsClient=client,
        ),
    )


def test_a_token_is_sent_only_to_a_cluster_that_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    address = "192.0.2.1:6379"
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    for needs_token in (True, False):
        ray = _ray_with_tokens(needs_token=needs_token, has_token=True)
        expected = "token" if needs_token else "disabled"
        assert ray_connection._auth_mode(ray, address) == expected
        # The process is left as it was.
        assert "RAY_AUTH_MODE" not in os.environ
    ray = _ray_with_tokens(needs_token=False, has_token=False)
    assert ray_connection._auth_mode(ray, address) == "disabled"
    for other in ("local", f"ray://{address}"):
        assert ray_connection._auth_mode(ray, other) is None
    assert ray_connection._auth_mode(SimpleNamespace(), address) is None


def test_a_refused_token_is_one_line_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    none_here = _ray_with_tokens(needs_token=True, has_token=False)
    wrong = _ray_with_tokens(needs_token=True, has_token=True, is_valid=False)
    for mode, ray, message in (
        (
            None,
            none_here,
            r"needs a token, and none is here: copy ~/\.ray/auth_token from",
        ),
        ("token", none_here, r"needs a token, and none is here"),
        (None, wrong, r"rejects the token of this machine: copy ~/\.ray/auth_token"),
        ("disabled", wrong, r"needs a token, but RAY_AUTH_MODE is 'disabled': unset it$"),
    ):
        if mode is not None:
            monkeypatch.setenv("RAY_AUTH_MODE", mode)
        else:
            monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
        with pytest.raises(VidsalError, match=message) as caught:
            ray_connection._auth_mode(ray, "192.0.2.1:6379")
        assert "\n" not in str(caught.value)


def _ray_that_connects(init: Callable[[Any], None]) -> Any:
    """Ray with a function that is called while it connects."""

    def set_sigterm_handler(handler: Any) -> None:
        signal.signal(signal.SIGTERM, handler)

    shut: list[bool] = []
    ray = SimpleNamespace(
        is_initialized=lambda: False,
        shutdown=lambda: shut.append(True),
        shut=shut,
        _private=SimpleNamespace(
            utils=SimpleNamespace(set_sigterm_handler=set_sigterm_handler),
            worker=SimpleNamespace(_global_node=None),
            ray_constants=SimpleNamespace(RAY_DISABLE_FAILURE_SIGNAL_HANDLER=False),
        ),
    )
    ray.init = lambda **_: init(ray)
    return ray


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
def test_signals_are_handled_as_before_while_ray_connects_and_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []

    def interrupt(*_: Any) -> None:
        seen.append("signal")
        raise KeyboardInterrupt

    def replaces(ray: Any) -> None:
        ray._private.utils.set_sigterm_handler(lambda *_: sys.exit(1))
        assert ray._private.ray_constants.RAY_DISABLE_FAILURE_SIGNAL_HANDLER

    def starts(ray: Any) -> None:
        replaces(ray)
        signal.raise_signal(signal.SIGTERM)
        seen.append("started")

    def connects(ray: Any) -> None:
        # An exception here would make the process crash.
        ray._private.worker._global_node = "node"
        starts(ray)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        for init, expected in (
            (replaces, ["signal"]),
            (starts, ["signal"]),
            (connects, ["started", "signal"]),
        ):
            seen.clear()
            ray = _ray_that_connects(init)
            monkeypatch.setattr(ray_connection, "imported_ray", lambda _, ray=ray: ray)
            with pytest.raises(KeyboardInterrupt), ray_connection.connected("local"):
                assert init is replaces
                signal.raise_signal(signal.SIGTERM)
            assert seen == expected
            assert ray.shut == [True]
            assert signal.getsignal(signal.SIGTERM) is interrupt
            assert not ray._private.ray_constants.RAY_DISABLE_FAILURE_SIGNAL_HANDLER
        # Without a handler of the program, that of Ray stays: it ends a local cluster.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        ray = _ray_that_connects(
            lambda ray: ray._private.utils.set_sigterm_handler(lambda *_: None)
        )
        monkeypatch.setattr(ray_connection, "imported_ray", lambda _: ray)
        with ray_connection.connected("local"):
            assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_ctrl_c_while_a_cluster_starts_interrupts_at_once(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(frames=3)

    def init(_: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the batch goes on")

    ray = _ray_that_connects(init)
    monkeypatch.setattr(ray_connection, "imported_ray", lambda _: ray)
    with pytest.raises(KeyboardInterrupt, match="interrupted: 0 of 1 sources"):
        vidsal.batch(clip, "out", SETTINGS, ray="local", progress=False)
    assert ray.shut == [True]
