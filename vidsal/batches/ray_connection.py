"""The connection to a Ray cluster: checks, tokens, signals. Ray is imported here, on first use."""

import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from vidsal.errors import UsageError, VidsalError, one_line, option
from vidsal.runtime.cores import usable_cores
from vidsal.runtime.interrupts import ENDING, deferred_interrupts
from vidsal.runtime.native_logs import native_stderr_logged

# Seconds within which the head node must accept a connection.
_CONNECT_S = 5.0
# Environment variable that says whether Ray sends and requires a token.
_AUTH_MODE = "RAY_AUTH_MODE"


@dataclass(frozen=True, slots=True)
class RayOptions:
    """Options of a batch on a cluster.

    Attributes
    ----------
    address : str
        ``local`` starts a cluster of this machine, ``auto`` joins the cluster that runs here, any
        other value is the address of a head node.
    cpus, gpus : float
        Resources that an actor reserves. Its libraries use as many threads as it has CPUs.
    slots : int or None
        Number of actors. By default as many as the nodes have room for; it changes when nodes
        join or leave.
    """

    address: str
    cpus: float = 1
    gpus: float = 0
    slots: int | None = None

    def __post_init__(self) -> None:
        if not self.cpus > 0:
            raise UsageError(f"{option('cpus_per_actor')} must be above 0, got {self.cpus:g}")
        if self.gpus < 0:
            raise UsageError(f"{option('gpus_per_actor')} must be 0 or more, got {self.gpus:g}")
        if self.slots is not None and self.slots < 1:
            raise UsageError(f"{option('slots')} must be 1 or more, got {self.slots}")

    @property
    def threads(self) -> int:
        """Number of threads of an actor."""
        return max(1, int(self.cpus))


def imported_ray(address: str) -> Any:
    """Import Ray, set its environment variables for an address, and return it.

    Parameters
    ----------
    address : str
        See `RayOptions`.

    Raises
    ------
    VidsalError
        If it is missing.
    """
    # vidsal sends no usage statistics. A value that the user has set stays.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address == "local":
        # With this value Ray binds only to the loopback address, on every system, and not only on
        # those that the variable names.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
    except ImportError as error:
        raise VidsalError(
            f'{option("ray", address)} needs Ray: pip install "vidsal[ray]"'
        ) from error
    return ray


def require_usable(ray: Any, options: RayOptions) -> None:
    """Check quickly, before anything is created, that a cluster can be used.

    Ray itself waits for a node that does not answer, and for CPUs that never become available.

    Parameters
    ----------
    ray : module
    options : RayOptions

    Raises
    ------
    UsageError
        If an actor needs more CPUs or GPUs than a cluster of this machine has.
    VidsalError
        If there is no cluster, its head node does not answer, or it rejects this machine's token.
    """
    if ray.is_initialized():
        return
    if options.address == "local":
        for name, wanted, count, unit in (
            ("cpus_per_actor", options.cpus, usable_cores(), "CPUs"),
            ("gpus_per_actor", options.gpus, _local_gpus() if options.gpus else 0, "GPUs"),
        ):
            if wanted > count:
                raise UsageError(
                    f"{option(name, wanted)} is more than the {count} {unit} that "
                    f"{option('ray', 'local')} has here"
                )
        return
    try:
        named = urlsplit(f"//{options.address.rpartition('//')[2]}")
        host, port = named.hostname, named.port
    except ValueError as error:
        raise UsageError(f"{option('ray', options.address)}: {error}") from error
    if host and port:
        try:
            socket.create_connection((host, port), _CONNECT_S).close()
        except OSError as error:
            raise VidsalError(
                f"{option('ray', options.address)}: nothing answers there; `ray start --head` "
                f"starts a cluster and says its address: {one_line(error)}"
            ) from error
    _auth_mode(ray, options.address)


def _local_gpus() -> int:
    """Return the number of GPUs that Ray finds on this machine."""
    from ray._private.accelerators import get_accelerator_manager_for_resource

    gpus = get_accelerator_manager_for_resource("GPU")
    if gpus is None:
        return 0
    count: int = gpus.get_current_node_num_accelerators()
    # None if the environment, such as CUDA_VISIBLE_DEVICES, hides no GPU.
    visible = gpus.get_current_process_visible_accelerator_ids()
    return count if visible is None else min(count, len(visible))


def _auth_mode(ray: Any, address: str) -> str | None:
    """Return the value of RAY_AUTH_MODE that a cluster needs; None leaves the choice to Ray.

    Ray sends this machine's token only to a cluster that it found itself, even if that one uses
    no tokens. Then the actors cannot answer. Here the cluster is asked first without the token.

    Raises
    ------
    VidsalError
        If there is no cluster, or it rejects the token.
    """
    if address == "local" or "://" in address:
        return None
    try:
        from ray._private.services import canonicalize_bootstrap_address

        tokens = ray._raylet.AuthenticationTokenLoader.instance()
        has_token = tokens.has_token(ignore_auth_mode=True)
        refused = ray.exceptions.AuthenticationError
    except (ImportError, AttributeError, TypeError):
        return None  # Older versions have no tokens.
    logging.getLogger("ray").setLevel(logging.ERROR)
    given = os.environ.get(_AUTH_MODE)
    try:
        head = canonicalize_bootstrap_address(address)
        if head is None or "://" in head:
            return None
        for mode in ("disabled", "token") if given is None else (given,):
            if mode.lower() == "token" and not has_token:
                break  # Ray would abort the process.
            # Ray logs each rejected request on stderr.
            with _auth_mode_set(ray, mode), native_stderr_logged(), suppress(refused):
                ray._raylet.GcsClient(address=head)
                return mode
    except Exception as error:
        raise _unusable(address, error) from error
    if given is not None and given.lower() != "token":
        raise VidsalError(
            f"{option('ray', address)}: this cluster needs a token, but {_AUTH_MODE} is {given!r}: "
            "unset it"
        )
    why = "rejects the token of this machine" if has_token else "needs a token, and none is here"
    raise VidsalError(
        f"{option('ray', address)}: this cluster {why}: copy ~/.ray/auth_token from its head node, "
        "or set RAY_AUTH_TOKEN_PATH to such a file"
    )


@contextmanager
def _auth_mode_set(ray: Any, mode: str | None) -> Iterator[None]:
    """Set RAY_AUTH_MODE, where a mode is given, and restore it afterwards."""
    if mode is None:
        yield
        return
    before = os.environ.get(_AUTH_MODE)
    os.environ[_AUTH_MODE] = mode
    _read_again(ray)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_AUTH_MODE, None)
        else:
            os.environ[_AUTH_MODE] = before
        _read_again(ray)


def _read_again(ray: Any) -> None:
    """Let Ray read RAY_AUTH_MODE and the token again.

    While Ray knows a token, this process rejects a cluster without one, whatever the mode.
    """
    ray._raylet.Config.initialize("")
    ray._raylet.AuthenticationTokenLoader.instance().reset_cache()


def _unusable(address: str, error: Exception) -> VidsalError:
    return VidsalError(
        f"{option('ray', address)}: there is no Ray cluster that can be used; `ray start --head` "
        f"starts one, and {option('ray', 'local')} needs none: {one_line(error)}"
    )


@contextmanager
def _own_handlers(ray: Any) -> Iterator[None]:
    """Keep the program's handlers of signals while Ray connects.

    Ray replaces the handler of SIGTERM. Its handlers end the process with exit code 1 and a stack
    trace. Without a handler of the program they stay, because they end a local cluster.
    """
    inner = ray._private
    is_own = signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, None)
    with (
        # An exception within Ray's native code makes the process crash at its end.
        deferred_interrupts(
            ENDING if is_own else ("SIGINT",), when=lambda: inner.worker._global_node is not None
        ),
        _replaced(inner.utils, "set_sigterm_handler", lambda _: None, when=is_own),
        _replaced(inner.ray_constants, "RAY_DISABLE_FAILURE_SIGNAL_HANDLER", True, when=is_own),
    ):
        yield


@contextmanager
def _replaced(owner: Any, name: str, value: object, *, when: bool) -> Iterator[None]:
    """Replace an attribute in a block, if it exists."""
    if not when or not hasattr(owner, name):
        yield
        return
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Lend Ray, connected to a cluster. An existing connection is used and stays open.

    Parameters
    ----------
    address : str
        See `RayOptions`.

    Yields
    ------
    module

    Raises
    ------
    VidsalError
        If Ray is missing, or there is no cluster.
    """
    ray = imported_ray(address)
    if ray.is_initialized():
        yield ray
        return
    given: dict[str, Any] = {
        "address": address, "namespace": "vidsal", "log_to_driver": False,
        "logging_level": logging.ERROR,
    }  # fmt: skip
    if address == "local":
        given |= {"num_cpus": usable_cores(), "include_dashboard": False}
    with _auth_mode_set(ray, _auth_mode(ray, address)):
        try:
            try:
                with _own_handlers(ray):
                    ray.init(**given)
            except Exception as error:
                raise _unusable(address, error) from error
            yield ray
        finally:
            # An interrupt while Ray connects leaves processes, too.
            ray.shutdown()
