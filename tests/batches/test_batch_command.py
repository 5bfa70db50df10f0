"""`vidsal batch` as it is typed, its progress and its summary line."""

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_help import clean_environment, messages, vidsal
from conftest import MakeClip, until
from pipeline_help import decoded_video

from vidsal.batches.progress import BatchProgress, Counts, clock_text
from vidsal.batches.receipts import Result
from vidsal.batches.summary import BatchSummary

FAST = ("--model", "none", "--working-width", "64")


def test_a_batch_prints_outputs_and_says_what_became_of_the_rest(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    make_clip("a.mp4", frames=5)
    (tmp_path / "bad.mp4").write_text("no video")
    (tmp_path / "list.csv").write_text("source,layout\na.mp4,quad\nbad.mp4,\n")
    command = ("batch", "list.csv", "-o", "out", *FAST, "--tables")
    done = vidsal(*command, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.split() == [os.path.join("out", "a_saliency.mp4")]  # noqa: PTH118
    failure, totals, summary = messages(done.stderr)
    assert failure == "vidsal: bad.mp4 is not a video or picture that can be read"
    assert totals.startswith("vidsal: 2 sources: 1 done, 1 failed; 0:00 of video in ")
    assert summary == f"vidsal: summary: {Path('out', '.vidsal', 'summary.json')}"
    again = vidsal(*command, cwd=tmp_path)
    assert (again.returncode, again.stdout) == (1, "")
    assert messages(again.stderr)[0] == (
        "vidsal: nothing to do: 1 done before, 1 failed before (--retry-failed tries again)"
    )
    (tmp_path / "bad.mp4").unlink()
    (tmp_path / "list.csv").write_text("source,layout\na.mp4,quad\n")
    assert vidsal(*command, cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give at least one video, photo, folder, address or manifest"),
        (("a.mp4", "--workers", "0"), "--workers must be 1 or more, got 0"),
        (("a.mp4", "--slots", "2"), "--slots needs --ray"),
        (("a.mp4", "--split", "3"), "--split must be 10 s or more, got 3"),
        (("a.mp4", "--precision", "auto"), "--precision auto (a part of the preset fast) depends"),
        (("list.csv",), "list.csv: column 'lay-out' is not an option; did you mean 'layout'?"),
    ],
)
def test_wrong_usage_is_one_line(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("source,lay-out\na.mp4,quad\n")
    done = vidsal("batch", *arguments, "-o", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert messages(done.stderr)[0].startswith(f"vidsal: {message}")
    assert not (tmp_path / "out").exists()


def test_the_table_of_a_preset_is_a_table_beside_each_output(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    make_clip("a.mp4", frames=5)
    done = vidsal("batch", "a.mp4", "-o", "out", *FAST, "--preset", "report", cwd=tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "out" / "a_saliency.csv").is_file()


def _begun_batch(folder: Path, *options: str) -> "subprocess.Popen[str]":
    """Return a batch of all clips of a folder, once it has begun to write."""
    process = subprocess.Popen(
        [sys.executable, "-m", "vidsal", "batch", "*.mp4", "-o", "out", *FAST, *options],
        cwd=folder, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    until(lambda: bool(list(folder.glob("out/.vidsal/staging/*/*"))), 60)
    return process


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_ctrl_c_lets_running_sources_end(
    workers: int, make_clip: MakeClip, tmp_path: Path
) -> None:
    for n in range(5):
        make_clip(f"c{n}.mp4", frames=400)
    process = _begun_batch(tmp_path, "--workers", str(workers))
    # As a terminal does it: to the whole group.
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    done = output.split()
    assert 1 <= len(done) < 5
    begun, end = messages(errors)
    assert begun == (
        "vidsal: Ctrl-C: what runs ends first, nothing else begins; Ctrl-C again drops it"
    )
    assert end.startswith(f"vidsal: interrupted: {len(done)} of 5 sources are done or failed")
    assert {one.name for one in (tmp_path / "out").iterdir()} == {
        ".vidsal", *(Path(one).name for one in done)
    }  # fmt: skip
    for one in done:
        assert decoded_video(tmp_path / one)[0] == 400
    again = vidsal("batch", "*.mp4", "-o", "out", *FAST, cwd=tmp_path)
    assert (again.returncode, len(again.stdout.split())) == (0, 5 - len(done))


def test_a_later_ctrl_c_drops_what_runs(make_clip: MakeClip, tmp_path: Path) -> None:
    make_clip("a.mp4", frames=20_000)
    process = _begun_batch(tmp_path)
    process.send_signal(signal.SIGINT)
    time.sleep(2.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted: 0 of 1 sources are done or failed, no other left a file" in errors
    assert [one.name for one in (tmp_path / "out").iterdir()] == [".vidsal"]
    assert not (tmp_path / "out" / ".vidsal" / "staging").exists()


def test_a_request_to_end_drops_what_runs(make_clip: MakeClip, tmp_path: Path) -> None:
    make_clip("a.mp4", frames=20_000)
    process = _begun_batch(tmp_path)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, len(messages(errors))) == (130, 1)
    assert [one.name for one in (tmp_path / "out").iterdir()] == [".vidsal"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3723, "1:02:03"), (math.inf, "?")],
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


def test_progress_has_files_video_rate_time_left_and_failures() -> None:
    counts = Counts(10)
    assert counts.text(0.0) == ("0 of 10 files, 0 failed, 0:00 of video, 0.00 x real time, ? left")
    for status in ("skipped", "skipped", "done", "failed"):
        counts.end(Result("a", status))
    counts.video_s = 90.0
    # Two files took a minute, six are left; skipped ones took no time.
    assert counts.text(60.0) == (
        "4 of 10 files, 1 failed, 1:30 of video, 1.50 x real time, 3:00 left"
    )


def test_lines_come_now_and_then_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines: list[str] = []
    now_s = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    progress = BatchProgress(2, is_wanted=True, say=lines.append)
    progress.add(10.0)
    assert lines == []
    now_s[0] += 61
    progress.add(51.0)
    assert lines == ["0 of 2 files, 0 failed, 1:01 of video, 1.00 x real time, ? left"]
    progress.end(Result("a", "done"))
    assert len(lines) == 1


def test_the_last_line_counts_workers_that_were_lost() -> None:
    results = (Result("a", "done", video_s=30.0), Result("b", "skipped"))
    summary = BatchSummary(results, 15.0, lost_workers=2)
    assert summary.line() == (
        "2 sources: 1 done, 0 failed, 1 done before, 2 workers lost; 0:30 of video in 0:15 "
        "(2.00 x real time)"
    )
