"""A batch on a Ray cluster: several nodes on loopback, of which one dies."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import psutil
import pytest
from conftest import MakeClip, until
from pipeline_help import decoded_video

import vidsal
from vidsal.batches import ray_cluster
from vidsal.batches.places import LocalFolder
from vidsal.batches.plan import Task
from vidsal.batches.ray_cluster import SharedFile, local_copy, on_ray
from vidsal.batches.ray_connection import RayOptions
from vidsal.batches.receipts import Result
from vidsal.batches.schedule import Schedule, Step
from vidsal.errors import VidsalError
from vidsal.settings import Settings
from vidsal.sources.resolve import parse_source
from vidsal.static.models import ModelChoice
from vidsal.types import Rgb

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("own_folder")


def _settings(**options: Any) -> Settings:
    return Settings(**{"model": "none", "working_width": 64, "annotate": False, **options})


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster with a head without CPUs, and three nodes of one CPU each."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # Ray takes no other address than that of loopback, whether it is imported already or not.
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    # A dead node is noticed within two seconds.
    monkeypatch.setenv("RAY_health_check_period_ms", "500")
    monkeypatch.setenv("RAY_health_check_failure_threshold", "3")
    ray = pytest.importorskip("ray")
    from ray._private import ray_constants
    from ray.cluster_utils import Cluster

    monkeypatch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)
    small = {"include_dashboard": False, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
    try:
        cluster.extra = [cluster.add_node(num_cpus=1, **small) for _ in range(3)]
        ray.init(address=cluster.address, namespace="vidsal", log_to_driver=False)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def _clips(make_clip: MakeClip) -> list[Path]:
    """Twelve short clips, and a broken file among them."""
    clips = [
        make_clip(f"clip{n:02}.mp4", frames=60 + n, sound="aac" if n % 2 else None)
        for n in range(12)
    ]
    broken = clips[0].with_name("clip05b.mp4")
    broken.write_text("no video")
    return [*clips[:6], broken, *clips[6:]]


def _receipts(out: Path) -> dict[str, dict[str, Any]]:
    files = (out / ".vidsal" / "receipts").iterdir()
    return {one.stem: json.loads(one.read_text()) for one in files}


def _visible(out: Path) -> set[str]:
    return {str(one.relative_to(out)) for one in out.rglob("*") if ".vidsal" not in one.parts}


def _pictures(path: Path) -> tuple[Any, list[Rgb]]:
    """Rate and pictures of a video. A Matroska file does not say the number of frames."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        return stream.average_rate, [one.to_ndarray(format="rgb24") for one in file.decode(stream)]


@pytest.mark.slow
def test_a_cluster_that_loses_a_node_gives_what_one_process_gives(
    cluster: Any, make_clip: MakeClip
) -> None:
    sources = _clips(make_clip)
    # Pictures of x264 depend on its number of threads.
    settings = _settings(codec="ffv1")
    alone = vidsal.batch(sources, "alone", settings, tables=True, progress=False)
    told: list[Result] = []

    def kill_a_node(result: Result) -> None:
        told.append(result)
        if len(told) == 3:
            # This node has done a step, so it has or soon gets another one. A node that starts
            # late may never get one.
            first = str(told[0].node).partition("/")[2]
            (node,) = [one for one in cluster.extra if one.node_id.startswith(first)]
            cluster.remove_node(node, allow_graceful=False)

    summary = vidsal.batch(
        sources, "out", settings, ray="auto", tables=True, progress=False, tell=kill_a_node
    )
    assert [one.status for one in summary.results] == [one.status for one in alone.results]
    assert summary.totals["done"] == 12 and summary.totals["failed"] == 1
    assert summary.results[6].error == alone.results[6].error
    assert summary.lost_workers >= 1
    assert max(one.attempts for one in summary.results) == 2
    assert told[0].node in summary.totals["nodes"]
    assert len(summary.totals["nodes"]) >= 2
    # Whole files under the same names, with the same pictures and rows.
    assert _visible(Path("out")) == _visible(Path("alone"))
    for one in summary.results:
        if one.output is not None:
            twin = Path("alone") / Path(one.output).name
            rate, pictures = _pictures(Path(one.output))
            other_rate, others = _pictures(twin)
            assert rate == other_rate and len(pictures) == one.frames
            assert all(np.array_equal(a, b) for a, b in zip(pictures, others, strict=True))
            table = Path(one.output).with_suffix(".csv")
            assert table.read_text() == twin.with_suffix(".csv").read_text()
    # The identity of a receipt does not depend on who did the work.
    receipts, twins = _receipts(Path("out")), _receipts(Path("alone"))
    assert receipts.keys() == twins.keys() and len(receipts) == 13
    for key, receipt in receipts.items():
        assert receipt["identity"] == twins[key]["identity"]
        assert receipt["frames"] == twins[key]["frames"]
    assert not (Path("out") / ".vidsal" / "staging").exists()

    again = vidsal.batch(sources, "out", settings, ray="auto", tables=True, progress=False)
    assert again.line() == (
        "nothing to do: 12 done before, 1 failed before (retry_failed=True tries again)"
    )


@pytest.mark.slow
def test_a_source_that_kills_its_workers_is_given_up(cluster: Any, make_clip: MakeClip) -> None:
    clip = make_clip("deadly.mp4", frames=400)
    options: dict[str, Any] = {"ray": "auto", "slots": 1, "progress": False}
    is_over = threading.Event()

    def kill() -> None:
        while not is_over.wait(0.1):
            for process in psutil.process_iter(["cmdline"]):
                # Ray names a process after the step that it is at.
                title = " ".join(process.info["cmdline"] or ())
                if title.startswith("ray::vidsal: deadly.mp4"):
                    process.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        summary = vidsal.batch(clip, "out", _settings(), **options)
    finally:
        is_over.set()
        killer.join()
    (result,) = summary.results
    assert (result.status, result.attempts) == ("failed", 3)
    assert str(result.error).startswith(f"{clip}: 3 workers were lost at it: ")
    assert summary.lost_workers == 3
    assert _visible(Path("out")) == set()
    (receipt,) = _receipts(Path("out")).values()
    assert receipt["status"] == "failed"
    assert vidsal.batch(clip, "out", _settings(), **options).failed_before == 1


@pytest.mark.slow
def test_ctrl_c_lets_running_sources_end(make_clip: MakeClip, tmp_path: Path) -> None:
    for n in range(6):
        make_clip(f"c{n}.mp4", frames=150)
    command = [
        sys.executable, "-m", "vidsal", "batch", "*.mp4", "-o", "out", "--model", "none",
        "--ray", "local", "--slots", "2",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    # A group of its own: Ctrl-C in a terminal reaches all processes of the group.
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        until(lambda: bool(list(tmp_path.glob("out/.vidsal/begun/*"))), 90)
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Ctrl-C: what runs ends first" in errors
    done = output.split()
    assert 1 <= len(done) < 6
    assert f"{len(done)} of 6 sources are done" in errors
    assert _visible(tmp_path / "out") == {Path(one).name for one in done}
    for one in done:
        assert decoded_video(tmp_path / one)[0] == 150
    assert len(_receipts(tmp_path / "out")) == len(done)
    assert not (tmp_path / "out" / ".vidsal" / "staging").exists()


@pytest.mark.slow
def test_a_request_to_end_is_one_line(make_clip: MakeClip, tmp_path: Path) -> None:
    make_clip("long.mp4", frames=2000)
    command = [
        sys.executable, "-m", "vidsal", "batch", "long.mp4", "-o", "out", "--model", "none",
        "--ray", "local",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        until(lambda: bool(list(tmp_path.glob("out/.vidsal/begun/*"))), 90)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == 130
    assert errors.startswith("vidsal: interrupted: 0 of 1 sources are done")
    assert errors.count("\n") == 1


@pytest.fixture(params=["token", "disabled"])
def other_cluster(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, str]]:
    """A cluster of another process, with or without a token: its mode and address."""
    # A token lies in this folder, whether the cluster uses it or not.
    home = tmp_path / "home"
    (home / ".ray").mkdir(parents=True)
    (home / ".ray" / "auth_token").write_text("0123456789abcdef" * 4)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    code = (
        "import ray\n"
        "made = ray.init(address='local', num_cpus=1, include_dashboard=False)\n"
        "print(made.address_info['gcs_address'], flush=True)\n"
        "input()\n"
        "ray.shutdown()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | {"RAY_AUTH_MODE": request.param},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield request.param, process.stdout.readline().strip()
    finally:
        process.communicate("\n", timeout=60)


@pytest.mark.slow
def test_an_address_is_joined_with_and_without_a_token(
    other_cluster: tuple[str, str], make_clip: MakeClip
) -> None:
    mode, address = other_cluster
    clip = make_clip("clip.mp4", frames=20)

    def run(out: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "vidsal", "batch", str(clip), "-o", out, "--model", "none",
             "--ray", address],
            env=os.environ | variables, capture_output=True, text=True, timeout=90,
        )  # fmt: skip

    done = run("out")
    assert (done.returncode, done.stdout) == (0, "out/clip_saliency.mp4\n"), done.stderr
    if mode == "token":
        done = run("refused", RAY_AUTH_TOKEN="another")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1 and "rejects the token of this machine" in done.stderr
        assert not Path("refused").exists()


def test_files_of_a_network_are_copied_once_to_a_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    there = tmp_path / "weights.h5"
    there.write_bytes(b"weights")
    fetched: list[str] = []

    def get(reference: str) -> Any:
        fetched.append(reference)
        return np.frombuffer(b"weights", np.uint8)

    shared = SharedFile("weights.h5", hashlib.sha256(b"weights").hexdigest(), "reference")
    # A shared disk has the file itself.
    assert local_copy(there, shared, get) == there and fetched == []
    # Another file of this name is not taken.
    there.write_bytes(b"others")
    copy = local_copy(there, shared, get)
    assert copy != there and copy.name == "weights.h5" and copy.read_bytes() == b"weights"
    assert local_copy(there, shared, get) == copy and fetched == ["reference"]
    # A copy that was changed is written again.
    copy.write_bytes(b"forged")
    assert local_copy(there, shared, get).read_bytes() == b"weights" and len(fetched) == 2


class _LostError(Exception):
    """What Ray reports of an actor that is lost."""


class _FakeRay:
    """Ray with actors whose starts work, fail, or never end."""

    exceptions = SimpleNamespace(RayTaskError=ZeroDivisionError, RayError=_LostError)

    def __init__(self, starts: Iterable[str], on_wait: Callable[[list[Any]], None]) -> None:
        self._starts, self._on_wait, self._waits = iter(starts), on_wait, 0
        self.started: list[str] = []

    def put(self, value: Any) -> Any:
        return value

    def kill(self, _: Any) -> None:
        pass

    def remote(self, _: Any) -> Any:
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self._actor))

    def _actor(self, *_: Any) -> Any:
        kind = next(self._starts)
        self.started.append(kind)

        def do(step: Step) -> tuple[str, str]:
            return "do", step.task.key

        return SimpleNamespace(
            ready=SimpleNamespace(remote=lambda: (kind, len(self.started))),
            do=SimpleNamespace(options=lambda **_: SimpleNamespace(remote=do)),
            close=SimpleNamespace(remote=lambda: ("works", 0)),
        )

    def wait(self, references: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        self._waits += 1
        assert self._waits < 100, "the batch does not end"
        self._on_wait(references)
        ready = [one for one in references if one[0] != "never"]
        return ready, [one for one in references if one[0] == "never"]

    def get(self, reference: Any) -> Any:
        kind, value = reference
        if kind == "fails":
            raise _LostError("no vidsal here. And more")
        if kind == "do":
            return Result(value, "done", "out", node="n", key=value), []
        return True


def _on_fake_ray(
    monkeypatch: pytest.MonkeyPatch,
    starts: Iterable[str],
    *,
    tasks: int = 3,
    slots: int = 1,
    on_wait: Callable[[Schedule, list[Any]], None] = lambda *_: None,
) -> tuple[_FakeRay, Iterator[Result]]:
    planned = [
        Task(
            parse_source(f"{n}.mp4"), Settings(model="none"), ModelChoice("none"), f"{n}.mkv", {},
            {}, f"{n}",
        )
        for n in range(tasks)
    ]  # fmt: skip
    schedule = Schedule(planned)
    ray = _FakeRay(starts, partial(on_wait, schedule))
    monkeypatch.setattr(ray_cluster, "connected", lambda _: nullcontext(ray))
    results = on_ray(
        schedule, planned, LocalFolder(Path("out")), lambda _: None,
        RayOptions("auto", slots=slots), is_overwriting=False, split_s=None,
    )  # fmt: skip
    return ray, results


def _drain_at(kind: str) -> Callable[[Schedule, list[Any]], None]:
    """Let a batch end once something of a kind is awaited."""

    def on_wait(schedule: Schedule, references: list[Any]) -> None:
        if any(one[0] == kind for one in references):
            schedule.drain()

    return on_wait


def test_a_batch_that_ends_does_not_wait_for_actors_that_never_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, results = _on_fake_ray(monkeypatch, repeat("never"), on_wait=_drain_at("never"))
    assert list(results) == []


def test_a_batch_that_ends_takes_the_results_of_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    ray, results = _on_fake_ray(
        monkeypatch, repeat("works"), tasks=5, slots=2, on_wait=_drain_at("do")
    )
    assert [one.key for one in results] == ["0", "1"]
    assert ray.started == ["works", "works"]


def test_starts_that_fail_in_turn_end_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    ray, results = _on_fake_ray(monkeypatch, repeat("fails"))
    with pytest.raises(VidsalError, match=r"workers cannot start on the cluster.*no vidsal here$"):
        list(results)
    assert ray.started == ["fails"] * 5


def test_starts_that_fail_beside_an_actor_that_works_wait_for_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ray, results = _on_fake_ray(monkeypatch, chain(["works"], repeat("fails")), tasks=30, slots=2)
    assert [one.key for one in results] == [f"{n}" for n in range(30)]
    assert ray.started == ["works", *["fails"] * 5]
    warnings = [one for one in caplog.messages if "could not start" in one]
    assert warnings == [
        "5 workers in turn could not start; the next try is in 60 s: no vidsal here"
    ]


def test_without_ray_one_line_says_what_to_install(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(VidsalError, match=r"ray='local' needs Ray: pip install \"vidsal\[ray\]\""):
        vidsal.batch(make_clip(frames=3), "out", _settings(), ray="local", progress=False)
    assert not Path("out").exists()


def test_nothing_of_ray_is_imported_without_it(make_clip: MakeClip) -> None:
    clip = make_clip(frames=3)
    code = (
        "import sys, vidsal\n"
        f"vidsal.batch({str(clip)!r}, 'out', vidsal.Settings(model='none'), progress=False)\n"
        "print(*sorted(name for name in sys.modules if name.split('.')[0] in ('ray', 'fsspec')))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
