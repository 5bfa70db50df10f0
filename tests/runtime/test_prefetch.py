"""One thread, one bounded queue: order, bounds, errors, and that leaving always cleans up."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from conftest import until
from hypothesis import given
from hypothesis import strategies as st

from vidsal.runtime.prefetch import begin, prefetch


def _threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "vidsal-prefetch"]


class _Counted:
    """A generator that records how many items were requested and which thread closed it."""

    def __init__(self, count: int) -> None:
        self.made = 0
        self.closed_by: str | None = None
        self._count = count

    def items(self) -> Iterator[int]:
        try:
            for number in range(self._count):
                self.made += 1
                yield number
        finally:
            self.closed_by = threading.current_thread().name


@given(st.lists(st.integers(), max_size=30), st.integers(0, 5))
def test_same_items_in_the_same_order_at_any_depth(items: list[int], depth: int) -> None:
    with prefetch(iter(items), depth) as ahead:
        assert list(ahead) == items


def test_works_in_a_thread_of_its_own() -> None:
    def names() -> Iterator[str]:
        yield threading.current_thread().name

    with prefetch(names(), 1) as ahead:
        assert list(ahead) == ["vidsal-prefetch"]
    with prefetch(names(), 0) as ahead:
        assert list(ahead) == [threading.current_thread().name]


@pytest.mark.parametrize("depth", [1, 2, 8])
def test_runs_ahead_as_far_as_the_depth_and_no_further(depth: int) -> None:
    source = _Counted(100)
    with prefetch(source.items(), depth) as ahead:
        for taken in range(1, 4):
            assert next(ahead) == taken - 1
            # `depth` items wait, and one is in the thread's hand until there is room for it.
            until(lambda taken=taken: source.made == taken + depth + 1)  # type: ignore[misc]
            time.sleep(0.12)
            assert source.made == taken + depth + 1


def test_without_depth_nothing_is_made_before_it_is_asked_for() -> None:
    source = _Counted(5)
    with prefetch(source.items(), 0) as ahead:
        assert not _threads()
        assert source.made == 0
        assert next(ahead) == 0
        assert source.made == 1
    assert source.closed_by == threading.current_thread().name


def test_overlaps_the_two_sides() -> None:
    def slow() -> Iterator[int]:
        for number in range(10):
            time.sleep(0.03)
            yield number

    def seconds(depth: int) -> float:
        begin_s = time.monotonic()
        with prefetch(slow(), depth) as ahead:
            for _ in ahead:
                time.sleep(0.03)
        return time.monotonic() - begin_s

    # Half the time, but for the first item; the margin is for a busy machine.
    assert seconds(2) < 0.8 * seconds(0)


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_error_comes_as_the_same_object_after_the_items_before_it(
    depth: int, kind: type[BaseException]
) -> None:
    error = kind("broken at 3")

    def failing() -> Iterator[int]:
        yield from range(3)
        raise error

    got = []
    with pytest.raises(kind) as caught, prefetch(failing(), depth) as ahead:
        for number in ahead:
            # Give the error time to overtake what came before it, if it could.
            time.sleep(0.01)
            got.append(number)
    assert caught.value is error
    assert got == [0, 1, 2]
    assert not _threads()


@pytest.mark.parametrize("depth", [0, 1, 4])
def test_leaving_early_stops_joins_and_closes(depth: int) -> None:
    source = _Counted(10**9)
    begin_s = time.monotonic()
    with prefetch(source.items(), depth) as ahead:
        for number in ahead:
            if number == 2:
                break
    assert time.monotonic() - begin_s < 1
    assert not _threads()
    assert source.made <= 3 + depth + 1
    # The thread that used the source closes it.
    expected = "vidsal-prefetch" if depth else threading.current_thread().name
    assert source.closed_by == expected


@pytest.mark.parametrize("depth", [0, 2])
def test_an_error_in_the_block_stops_joins_and_closes(depth: int) -> None:
    source = _Counted(10**9)
    error = RuntimeError("the consumer's own")
    with pytest.raises(RuntimeError) as caught, prefetch(source.items(), depth) as ahead:
        next(ahead)
        raise error
    assert caught.value is error
    assert not _threads()
    assert source.closed_by is not None


def test_an_interrupt_while_the_thread_begins_stops_it(interrupted_start: None) -> None:
    source = _Counted(10**9)
    with pytest.raises(KeyboardInterrupt), prefetch(source.items(), 2):
        pass
    assert not _threads()
    assert source.closed_by is not None


def test_never_asked_still_ends() -> None:
    source = _Counted(10**9)
    with prefetch(source.items(), 2):
        pass
    assert not _threads()


def test_ended_source_stays_ended() -> None:
    with prefetch(iter([7]), 3) as ahead:
        assert list(ahead) == [7]
        assert list(ahead) == []


@pytest.mark.parametrize("depths", [(0, 0), (0, 2), (3, 0), (3, 2)])
def test_nested_chain_gives_the_same_and_stops_early(depths: tuple[int, int]) -> None:
    source = _Counted(1000)
    with (
        prefetch(source.items(), depths[0]) as first,
        prefetch((2 * number for number in first), depths[1]) as second,
    ):
        assert len(_threads()) == sum(depth > 0 for depth in depths)
        assert [next(second) for _ in range(4)] == [0, 2, 4, 6]
    assert not _threads()
    assert source.closed_by is not None
    assert source.made <= 4 + sum(depths) + 2


@pytest.mark.parametrize("depths", [(0, 0), (3, 2)])
def test_nested_error_passes_through_every_stage(depths: tuple[int, int]) -> None:
    error = OSError("the inner one")

    def failing() -> Iterator[int]:
        yield 1
        raise error

    got: list[int] = []
    with (
        pytest.raises(OSError, match="the inner one") as caught,
        prefetch(failing(), depths[0]) as first,
        prefetch((10 * number for number in first), depths[1]) as second,
    ):
        got.extend(iter(second.__next__, None))
    assert caught.value is error
    assert not _threads()


def test_negative_depth_is_refused() -> None:
    with (
        pytest.raises(ValueError, match="depth must be 0 or more, got -1"),
        prefetch(iter([1]), -1),
    ):
        pass
    assert not _threads()


_UNFINISHED = """
import multiprocessing.pool, threading, time
from vidsal.runtime.prefetch import prefetch

def numbers():
    try:
        yield from range(1000)
    finally:
        print("closed", flush=True)

def taken():
    with prefetch(numbers(), 2) as inner, prefetch(map(abs, inner), 2) as ahead:
        yield from ahead

def rest():
    threading.main_thread().join()
    time.sleep(0.3)
    print(sum(kept), flush=True)

kept = taken()
print(next(kept), flush=True)
"""


def _printed(program: str) -> tuple[list[str], int, str]:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    return done.stdout.split(), done.returncode, done.stderr


@pytest.mark.parametrize(
    ("last", "code"),
    [
        ("", 0), ("raise ValueError", 1), ("raise KeyboardInterrupt", 130),
        ("pool = multiprocessing.pool.ThreadPool(1); pool.apply(next, (kept,))", 0),
    ],
)  # fmt: skip
def test_a_program_that_keeps_an_unfinished_iterator_ends(last: str, code: int) -> None:
    words, returned, _ = _printed(_UNFINISHED + last)
    assert words == ["0", "closed"]
    assert abs(returned) in (code, signal.SIGINT if code == 130 else code)


@pytest.mark.parametrize(
    "start",
    [
        "threading.Thread(target=rest).start()",
        # A chain of threads, each of which begins after the one before it.
        "threading.Thread(target=lambda: threading.Timer(0.3, rest).start()).start()",
    ],
)
def test_a_thread_that_takes_over_from_the_main_thread_gets_all_items(start: str) -> None:
    words, returned, stderr = _printed(_UNFINISHED + start)
    assert (words, returned, stderr) == (["0", "closed", str(sum(range(1000)))], 0, "")


def test_a_daemon_thread_does_not_take_the_end_of_the_program_for_the_end_of_the_items() -> None:
    words, returned, _ = _printed(_UNFINISHED + (
        "def slowly():\n"
        "    for number in kept: time.sleep(0.05)\n"
        "    print('all', flush=True)\n"
        "threading.Thread(target=slowly, daemon=True).start()\n"
        "time.sleep(0.3)\n"
    ))  # fmt: skip
    assert words == ["0", "closed"] and returned == 0


def test_the_end_of_a_program_does_not_wait_for_work_that_it_began() -> None:
    program = (
        "import time\nfrom vidsal.runtime.prefetch import begin\n"
        "begin(lambda: time.sleep(600), name='long')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=60)
    assert done.returncode == 0


def test_work_that_was_begun_returns_its_result_or_its_error() -> None:
    result = begin(lambda: threading.current_thread().name, name="work")
    assert result() == result() == "vidsal-work"
    failure = begin(lambda: ""[0], name="work")
    for _ in range(2):
        with pytest.raises(IndexError):
            failure()
