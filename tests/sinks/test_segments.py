"""Resumed runs write what uninterrupted runs write."""

import dataclasses
import itertools
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import LoadScript, MakeClip
from PIL import Image
from resume_help import (
    CHECKPOINT,
    Voting,
    assert_equal_outputs,
    audio_of,
    broken_drawing,
    names_here,
    pictures_of,
    resumable,
    run_interrupted,
    use_voting_stage,
)

import vidsal
from vidsal import analyser, cli, errors, pipeline, sources
from vidsal.errors import UsageError, VidsalError
from vidsal.settings import Settings
from vidsal.sinks import disk_space, segments, table
from vidsal.sinks.checkpoint import Checkpoint
from vidsal.types import Frame, SourceInfo


@pytest.fixture(autouse=True)
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Voting:
    """Run in an own folder, in short segments, with a fake network."""
    return use_voting_stage(tmp_path, monkeypatch)


@pytest.mark.parametrize("after", [[0], [3, 2], [5, 7, 1, 4], [4], [20], [9, 0, 0, 9]])
def test_an_interrupted_run_writes_what_one_in_one_go_writes(
    after: list[int], make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(frames=22, sound="aac")
    vidsal.run(clip, resumable("whole.mp4"))
    assert names_here() == {"whole.mp4", "whole.csv", "whole maps"}
    run_interrupted(clip, resumable(), after, monkeypatch)
    assert names_here() == {"whole.mp4", "whole.csv", "whole maps", "o.mp4", "o.csv", "o maps"}
    assert_equal_outputs("whole.mp4", "o.mp4")
    assert len(pictures_of(Path("o.mp4"))) == 22
    assert audio_of(Path("whole.mp4")) == audio_of(Path("o.mp4"))
    # The same as ever but for where pictures are encoded anew.
    vidsal.run(clip, resumable("plain.mp4", resume=False))
    assert Path("plain.csv").read_text() == Path("o.csv").read_text()
    for (at_s, one), (time_s, other) in zip(
        pictures_of(Path("plain.mp4")), pictures_of(Path("o.mp4")), strict=True
    ):
        assert at_s == time_s
        assert np.abs(one.astype(int) - other).mean() < 6


@pytest.mark.parametrize(
    ("suffix", "codec", "rate"),
    [
        (".mp4", "hevc", "30000/1001"), (".mov", "prores", "25"), (".mkv", "h264", "24000/1001"),
        (".mkv", "ffv1", "25"), (".webm", "vp9", "30000/1001"), (".gif", None, "25"),
    ],
)  # fmt: skip
def test_every_kind_of_file_is_joined_whole(
    suffix: str, codec: str | None, rate: str, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(frames=18, rate=rate)
    vidsal.run(clip, resumable(f"whole{suffix}", codec=codec))
    run_interrupted(clip, resumable(f"o{suffix}", codec=codec), [6, 6], monkeypatch)
    assert_equal_outputs(f"whole{suffix}", f"o{suffix}")
    times = [time for time, _ in pictures_of(Path(f"o{suffix}"))]
    tick = {".gif": 0.0101, ".mkv": 0.00101, ".webm": 0.00101}.get(suffix, 1e-6)
    assert times == pytest.approx([float(n / Fraction(rate)) for n in range(18)], abs=tick)


def test_an_interrupted_run_writes_a_parquet_table(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    clip = make_clip(frames=14)
    vidsal.run(clip, resumable("whole.mp4", table=Path("whole.parquet"), resume=False))
    run_interrupted(clip, resumable(table=Path("o.parquet")), [6], monkeypatch)
    whole, resumed = (parquet.read_table(name) for name in ("whole.parquet", "o.parquet"))
    assert whole.num_rows == 14 and resumed.schema == whole.schema and resumed.equals(whole)


@pytest.mark.skipif(os.name == "nt", reason="such names are none there")
@pytest.mark.parametrize(
    "name", ["two\nlines.mp4", "a%03d b'q\"[x]{1}\\.mp4", "it's:here.mp4", "A #1 a?b=c&d.mp4"]
)
def test_segments_are_joined_whatever_the_output_is_called(name: str, make_clip: MakeClip) -> None:
    vidsal.run(make_clip(frames=10), resumable(name, table=None, maps=None))
    assert names_here() == {name}
    assert len(pictures_of(Path(name).rename("plain.mp4"))) == 10


@pytest.mark.parametrize("rate", [3, 25, 40])
def test_time_goes_on_across_segments(
    rate: int, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    # At uneven times, and with a pause; at 3 a second some segments show nothing.
    uneven = "setpts='(N+2*gt(N\\,9)+3*mod(N\\,2)/10+20*gt(N\\,20))/25/TB'"
    clip = make_clip("clip.mkv", frames=30, options=["-vf", uneven, "-fps_mode", "passthrough"])
    real = sources.open_source

    def open_source(what: Any, settings: Settings, **_: Any) -> Any:
        source = real(what, settings)
        source.info = dataclasses.replace(source.info, fps=Fraction(rate))  # type: ignore[misc]
        return source

    monkeypatch.setattr(analyser, "open_source", open_source)
    vidsal.run(clip, resumable("whole.mp4"))
    shown = []
    for after in (5, 13, 1, 4):
        with broken_drawing(monkeypatch, after), pytest.raises(RuntimeError, match="broken"):
            vidsal.run(clip, resumable())
        records = sorted(CHECKPOINT.glob("*/segment.json"))
        shown = [json.loads(one.read_text())["metadata"]["encoded"] for one in records]
    assert (min(shown) == 0) == (rate == 3)
    vidsal.run(clip, resumable())
    assert_equal_outputs("whole.mp4", "o.mp4")
    vidsal.run(clip, resumable("plain.mp4", resume=False))
    times = [time for time, _ in pictures_of(Path("plain.mp4"))]
    assert times == [time for time, _ in pictures_of(Path("o.mp4"))]
    # The 30 frames last for slightly more than 52 steps of 1/25 s.
    assert times[-1] == pytest.approx(2.05, abs=0.2) and len(times) == round(times[-1] * rate) + 1


def test_a_part_of_a_source_goes_on(make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(frames=40)
    part: dict[str, Any] = {"start": 0.3, "end": 1.5, "every": 2}
    vidsal.run(clip, resumable("whole.mp4", **part))
    run_interrupted(clip, resumable(**part), [5, 1, 4], monkeypatch)
    assert_equal_outputs("whole.mp4", "o.mp4")
    assert len(Path("o.csv").read_text().splitlines()) == 1 + 15


def test_nothing_that_is_done_is_asked_again(
    make_clip: MakeClip, stage: Voting, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(frames=16)
    with broken_drawing(monkeypatch, 13), pytest.raises(RuntimeError):
        vidsal.run(clip, resumable())
    assert {one.name for one in CHECKPOINT.iterdir()} == {
        "000000", "000001", "000002", "lock", "manifest.json"
    }  # fmt: skip
    stage.requests.clear()
    vidsal.run(clip, resumable())
    assert [one.frame for one in stage.asked] == [12, 13, 14, 15]


def test_the_progress_is_of_what_is_left(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, totals = make_clip(frames=16), []
    with broken_drawing(monkeypatch, 9), pytest.raises(RuntimeError):
        vidsal.run(clip, resumable())

    def progress(items: Any, total: int | None) -> Any:
        totals.append(total)
        return items

    vidsal.run(clip, resumable(), progress=progress)
    assert totals == [8]


# Refusals to resume


def test_ctrl_c_says_how_to_go_on(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Restored afterwards: the command line lets messages name options as flags.
    monkeypatch.setattr(errors, "_names_flags", False)
    clip = make_clip(frames=16)
    args = ["run", str(clip), "--resume", "--batch", "4", "--working-width", "64", "-o", "o.mp4"]
    with broken_drawing(monkeypatch, 9, KeyboardInterrupt()), pytest.raises(SystemExit) as left:
        cli.main(args)
    assert left.value.code == 130
    assert capsys.readouterr().err == (
        "vidsal: interrupted: the same command continues after the 8 frames that are done\n"
    )
    with broken_drawing(monkeypatch, 0, KeyboardInterrupt()), pytest.raises(SystemExit):
        cli.main([*args[:-1], "other.mp4"])
    # Nothing was done, so there is nothing to go on with.
    assert capsys.readouterr().err == "vidsal: interrupted\n"
    assert names_here() == {"o.mp4.parts"}
    with pytest.raises(SystemExit) as left:
        cli.main(args)
    assert left.value.code == 0
    assert "continuing after the 8 frames that are done" in capsys.readouterr().err
    assert names_here() == {"o.mp4"}


def test_a_damaged_last_segment_is_done_again(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clip = make_clip(frames=16)
    vidsal.run(clip, resumable("whole.mp4"))
    with broken_drawing(monkeypatch, 13), pytest.raises(RuntimeError):
        vidsal.run(clip, resumable())
    video = CHECKPOINT / "000002" / "video.mp4"
    os.truncate(video, video.stat().st_size // 2)
    with caplog.at_level(logging.WARNING):
        vidsal.run(clip, resumable())
    assert "1 finished segments are damaged" in caplog.text
    assert "continuing after the 8 frames that are done" in caplog.text
    assert_equal_outputs("whole.mp4", "o.mp4")


def test_a_full_disk_keeps_what_is_done(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(frames=16)
    vidsal.run(clip, resumable("whole.mp4"))
    calls, real = itertools.count(), table.table_sink

    def table_sink(*args: Any) -> Any:
        if next(calls) == 2:
            raise VidsalError("cannot write: no space left on the disk")
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(segments, "table_sink", table_sink)
        with pytest.raises(VidsalError, match="no space left"):
            vidsal.run(clip, resumable())
    assert sorted(one.name for one in CHECKPOINT.glob("*0*")) == ["000000", "000001"]
    vidsal.run(clip, resumable())
    assert_equal_outputs("whole.mp4", "o.mp4")


def test_room_is_needed_for_the_segments_that_are_not_there(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, settings = make_clip(frames=16), resumable(maps=None)
    with sources.open_source(clip, settings) as opened:
        plain = dataclasses.replace(settings, resume=False)
        needed = disk_space.video_bytes(Path("o.mp4"), opened.info, settings)
        assert needed == 2 * disk_space.video_bytes(Path("o.mp4"), opened.info, plain) > 0
    free = needed - 1
    usage = shutil.disk_usage(".")._replace(free=free)
    with broken_drawing(monkeypatch, 13), pytest.raises(RuntimeError):
        vidsal.run(clip, settings)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(VidsalError, match="make room"):
        vidsal.run(clip, resumable("other.mp4", maps=None))
    assert vidsal.run(clip, settings) == Path("o.mp4")


# The end


def _fails_once(real: Callable[..., Any], at: int) -> Callable[..., Any]:
    calls = itertools.count()

    def call(*args: Any, **options: Any) -> Any:
        if next(calls) == at:
            raise RuntimeError("broken")
        return real(*args, **options)

    return call


@pytest.mark.parametrize(
    ("owner", "name", "at"),
    [
        (segments, "join_videos", 0), (segments, "finish", 0), (segments, "join_tables", 0),
        (segments, "_deliver_maps", 0), (segments, "move_maps", 0), (segments, "move_maps", 2),
        (segments, "deliver_table", 0), (Checkpoint, "finish_result", 0),
        (Checkpoint, "remove_all", 0),
    ],
)  # fmt: skip
def test_an_interrupted_end_is_gone_on_with(
    owner: Any,
    name: str,
    at: int,
    make_clip: MakeClip,
    stage: Voting,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clip = make_clip(frames=14, sound="aac")
    vidsal.run(clip, resumable("whole.mp4"))
    for old in ("whole maps", "o maps"):
        (Path(old) / "static").mkdir(parents=True, exist_ok=True)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, _fails_once(getattr(owner, name), at))
        with pytest.raises(RuntimeError, match="broken"):
            vidsal.run(clip, resumable())
    stage.requests.clear()
    # Frames of the earlier run count, too.
    assert pipeline.process(clip, resumable()).frames == 14
    assert stage.asked == []
    assert names_here() == {"whole.mp4", "whole.csv", "whole maps", "o.mp4", "o.csv", "o maps"}
    assert_equal_outputs("whole.mp4", "o.mp4")


def test_an_output_that_is_there_is_kept_and_one_to_replace_is_replaced(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(frames=10)
    Path("o.mp4").write_text("precious")
    with pytest.raises(VidsalError, match="exists: give another name"):
        vidsal.run(clip, resumable())
    assert names_here() == {"o.mp4"}
    run_interrupted(clip, resumable(overwrite=True), [5], monkeypatch)
    assert len(pictures_of(Path("o.mp4"))) == 10
    # Maps of a longer run before this one do not stay.
    vidsal.run(clip, resumable(overwrite=True, end=0.2))
    assert len(list(Path("o maps").rglob("*.png"))) == 3 * 5
    assert names_here() == {"o.mp4", "o.csv", "o maps"}


# Runs that are not resumed


def test_a_photo_is_done_at_once(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "photo.png")
    out = vidsal.run(tmp_path / "photo.png", resumable("p.png"))
    assert out == Path("p.png") and names_here() == {"p.png", "p.csv", "p maps"}


def test_what_is_live_cannot_go_on(make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch) -> None:
    class Live:
        info = SourceInfo("camera 0", 48, 64, Fraction(25), is_live=True)

        def frames(self) -> Iterator[Frame]:
            yield from ()

        def stop(self) -> None: ...

        def __enter__(self) -> "Live":
            return self

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(analyser, "open_source", lambda *_, **__: Live())
    with pytest.raises(UsageError, match="resume=True is not for camera 0"):
        vidsal.run(0, resumable())
    assert names_here() == set()


def test_a_pace_by_the_clock_cannot_go_on() -> None:
    with pytest.raises(UsageError, match="resume=True is not for static_every='auto'"):
        Settings(resume=True, static_every="auto")


@pytest.mark.slow
def test_runs_that_are_killed_go_on(
    make_clip: MakeClip, load_script: LoadScript, capsys: pytest.CaptureFixture[str]
) -> None:
    # Few frames a second are many segments.
    clip = make_clip(frames=90, rate="5", sound="aac", size=(180, 320))
    script = load_script("kill_and_resume")
    pytest.importorskip("zarr")
    args = [str(clip), "--kills", "4", "--model", "none", "--batch", "1", "--layout", "quad"]
    args.append("--keep")
    assert script.main(args) == 0
    out = capsys.readouterr().out
    found = re.search(r"90 pictures, (\d+) items to compare", out)
    # With the sound, the table, two maps a frame, and two files of each array of the store.
    assert found and int(found[1]) > 90 * 3 + 2 + 2 * 15
    assert "complete, 0 differences" in out
    assert out.count("left behind: 0") == out.count("complete, ")
