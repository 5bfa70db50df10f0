"""--resume: an interrupted run that goes on writes what one in one go writes."""

import dataclasses
import itertools
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from conftest import BrightnessStage, LoadScript, MakeClip
from PIL import Image

import vidsal
from vidsal import analyser, cli, pipeline, sources
from vidsal.errors import UsageError, VidsalError
from vidsal.render.draw import draw_saliency
from vidsal.settings import Settings
from vidsal.sinks import disk_space, fingerprint, segments, table
from vidsal.sinks.checkpoint import Parts
from vidsal.static import models
from vidsal.static.models import ModelChoice
from vidsal.types import Frame, Map, Request, Rgb, SourceInfo, Target

PARTS = Path("o.mp4.parts")


class Voting(BrightnessStage):
    """Its top class depends on the picture, its maps on who asks."""

    def __init__(self) -> None:
        super().__init__(tuple("abcde"), target=Target(is_locked=True))

    def predict(self, rgb: Rgb) -> Map:
        super().predict(rgb)
        return np.asarray(np.eye(5)[rgb.sum(axis=(1, 2, 3)) // 1000 % 5], np.float32)

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        noise = [np.random.default_rng((one.frame, one.samples)) for one in requests]
        drawn = np.stack([one.random(rgb.shape[1:3], np.float32) for one in noise])
        return np.asarray(super().maps(rgb, requests) * (0.5 + drawn), np.float32)


@pytest.fixture(autouse=True)
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Voting:
    """Run in a folder of its own, in segments of four frames, with a fake of a network."""
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    stage = Voting()
    monkeypatch.setattr(pipeline, "_SEGMENT_S", Fraction(4, 25))
    monkeypatch.setattr(models, "choose", lambda *_, **__: ModelChoice("lite0"))
    monkeypatch.setattr(models, "open_static", lambda *_: stage)
    return stage


def _settings(output: str = "o.mp4", **options: Any) -> Settings:
    stem = Path(output).stem
    given: dict[str, Any] = {
        "resume": True, "batch": 4, "working_width": 64, "short_side": 32, "output": Path(output),
        "table": Path(f"{stem}.csv"), "maps": Path(f"{stem} maps"),
    }  # fmt: skip
    return Settings(**given | options)


def _left() -> set[str]:
    return {one.name for one in Path().iterdir()}


def _pictures(path: Path) -> list[tuple[float, Rgb]]:
    with av.open(str(path)) as file:
        return [(one.time, one.to_ndarray(format="rgb24")) for one in file.decode(video=0)]


def _sound(path: Path) -> list[tuple[int, bytes]]:
    with av.open(str(path)) as file:
        return [(one.pts, one.to_ndarray().tobytes()) for one in file.decode(audio=0)]


def _assert_equal(one: str, other: str) -> None:
    """See that two runs wrote the same: video, table and maps."""
    pictures, others = _pictures(Path(one)), _pictures(Path(other))
    assert [time for time, _ in pictures] == [time for time, _ in others]
    assert all((a == b).all() for (_, a), (_, b) in zip(pictures, others, strict=True))
    stems = Path(one).stem, Path(other).stem
    tables = [Path(f"{stem}.csv").read_text() for stem in stems]
    assert tables[0] == tables[1]
    maps = [sorted(Path(f"{stem} maps").rglob("*.png")) for stem in stems]
    assert len(maps[0]) == 3 * (tables[0].count("\n") - 1)
    for path, twin in zip(*maps, strict=True):
        assert (path.parent.name, path.name) == (twin.parent.name, twin.name)
        with Image.open(path) as image, Image.open(twin) as again:
            assert (np.asarray(image) == np.asarray(again)).all()


@contextmanager
def _broken(
    monkeypatch: pytest.MonkeyPatch, after: int, error: BaseException | None = None
) -> Iterator[None]:
    """Let drawing fail once it was done so often."""
    calls, real = itertools.count(), draw_saliency

    def draw(*words: Any) -> Rgb:
        if next(calls) == after:
            raise error or RuntimeError("broken")
        return real(*words)

    with monkeypatch.context() as patch:
        patch.setattr(analyser, "draw_saliency", draw)
        yield


def _interrupted(
    clip: Path, settings: Settings, after: Sequence[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run until it breaks after so many frames, again and again, and at last to the end."""
    for frames in after:
        with _broken(monkeypatch, frames), pytest.raises(RuntimeError, match="broken"):
            vidsal.run(clip, settings)
    vidsal.run(clip, settings)


@pytest.mark.parametrize("after", [[0], [3, 2], [5, 7, 1, 4], [4], [20], [9, 0, 0, 9]])
def test_an_interrupted_run_writes_what_one_in_one_go_writes(
    after: list[int], make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(frames=22, sound="aac")
    vidsal.run(clip, _settings("whole.mp4"))
    assert _left() == {"whole.mp4", "whole.csv", "whole maps"}
    _interrupted(clip, _settings(), after, monkeypatch)
    assert _left() == {"whole.mp4", "whole.csv", "whole maps", "o.mp4", "o.csv", "o maps"}
    _assert_equal("whole.mp4", "o.mp4")
    assert len(_pictures(Path("o.mp4"))) == 22
    assert _sound(Path("whole.mp4")) == _sound(Path("o.mp4"))
    # The same as ever but for where pictures are encoded anew.
    vidsal.run(clip, _settings("plain.mp4", resume=False))
    assert Path("plain.csv").read_text() == Path("o.csv").read_text()
    for (at_s, one), (time_s, other) in zip(
        _pictures(Path("plain.mp4")), _pictures(Path("o.mp4")), strict=True
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
    vidsal.run(clip, _settings(f"whole{suffix}", codec=codec))
    _interrupted(clip, _settings(f"o{suffix}", codec=codec), [6, 6], monkeypatch)
    _assert_equal(f"whole{suffix}", f"o{suffix}")
    times = [time for time, _ in _pictures(Path(f"o{suffix}"))]
    tick = {".gif": 0.0101, ".mkv": 0.00101, ".webm": 0.00101}.get(suffix, 1e-6)
    assert times == pytest.approx([float(n / Fraction(rate)) for n in range(18)], abs=tick)


@pytest.mark.skipif(os.name == "nt", reason="such names are none there")
@pytest.mark.parametrize(
    "name", ["two\nlines.mp4", "a%03d b'q\"[x]{1}\\.mp4", "it's:here.mp4", "A #1 a?b=c&d.mp4"]
)
def test_segments_are_joined_whatever_the_output_is_called(name: str, make_clip: MakeClip) -> None:
    vidsal.run(make_clip(frames=10), _settings(name, table=None, maps=None))
    assert _left() == {name}
    assert len(_pictures(Path(name).rename("plain.mp4"))) == 10


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

    monkeypatch.setattr(pipeline, "open_source", open_source)
    vidsal.run(clip, _settings("whole.mp4"))
    shown = []
    for after in (5, 13, 1, 4):
        with _broken(monkeypatch, after), pytest.raises(RuntimeError, match="broken"):
            vidsal.run(clip, _settings())
        records = sorted(PARTS.glob("*/segment.json"))
        shown = [json.loads(one.read_text())["about"]["shown"] for one in records]
    assert (min(shown) == 0) == (rate == 3)
    vidsal.run(clip, _settings())
    _assert_equal("whole.mp4", "o.mp4")
    vidsal.run(clip, _settings("plain.mp4", resume=False))
    times = [time for time, _ in _pictures(Path("plain.mp4"))]
    assert times == [time for time, _ in _pictures(Path("o.mp4"))]
    # 52 steps of 1/25 s and a little, where 30 frames came.
    assert times[-1] == pytest.approx(2.05, abs=0.2) and len(times) == round(times[-1] * rate) + 1


def test_a_part_of_a_source_goes_on(make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(frames=40)
    part: dict[str, Any] = {"start": 0.3, "end": 1.5, "every": 2}
    vidsal.run(clip, _settings("whole.mp4", **part))
    _interrupted(clip, _settings(**part), [5, 1, 4], monkeypatch)
    _assert_equal("whole.mp4", "o.mp4")
    assert len(Path("o.csv").read_text().splitlines()) == 1 + 15


def test_nothing_that_is_done_is_asked_again(
    make_clip: MakeClip, stage: Voting, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(frames=16)
    with _broken(monkeypatch, 13), pytest.raises(RuntimeError):
        vidsal.run(clip, _settings())
    assert {one.name for one in PARTS.iterdir()} == {
        "000000", "000001", "000002", "lock", "manifest.json"
    }  # fmt: skip
    stage.requests.clear()
    vidsal.run(clip, _settings())
    assert [one.frame for one in stage.asked] == [12, 13, 14, 15]


def test_the_progress_is_of_what_is_left(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, totals = make_clip(frames=16), []
    with _broken(monkeypatch, 9), pytest.raises(RuntimeError):
        vidsal.run(clip, _settings())

    def progress(items: Any, total: int | None) -> Any:
        totals.append(total)
        return items

    vidsal.run(clip, _settings(), progress=progress)
    assert totals == [8]


# What is in the way of going on


def test_ctrl_c_says_how_to_go_on(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip(frames=16)
    words = ["run", str(clip), "--resume", "--batch", "4", "--working-width", "64", "-o", "o.mp4"]
    with _broken(monkeypatch, 9, KeyboardInterrupt()), pytest.raises(SystemExit) as left:
        cli.main(words)
    assert left.value.code == 130
    assert capsys.readouterr().err == (
        "vidsal: interrupted: the same command goes on after the 8 frames that are done\n"
    )
    with _broken(monkeypatch, 0, KeyboardInterrupt()), pytest.raises(SystemExit):
        cli.main([*words[:-1], "other.mp4"])
    # Nothing was done, so there is nothing to go on with.
    assert capsys.readouterr().err == "vidsal: interrupted\n"
    assert _left() == {"o.mp4.parts"}
    with pytest.raises(SystemExit) as left:
        cli.main(words)
    assert left.value.code == 0
    assert "going on after the 8 frames that are done" in capsys.readouterr().err
    assert _left() == {"o.mp4"}


def test_names_that_are_no_text_are_no_hindrance(make_clip: MakeClip) -> None:
    clip = make_clip(frames=8)
    odd = clip.rename(clip.with_name(os.fsdecode(b"caf\xe9.mp4")))
    vidsal.run(odd, _settings())
    assert len(_pictures(Path("o.mp4"))) == 8


def test_a_changed_input_is_refused(make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(frames=16)
    # A box that no reader looks into.
    with clip.open("ab") as file:
        file.write(b"\0\0\0\x10free12345678")
    stat = clip.stat()
    with _broken(monkeypatch, 9), pytest.raises(RuntimeError):
        vidsal.run(clip, _settings())
    kept = clip.read_bytes()
    clip.write_bytes(kept[:-1] + b"9")
    os.utime(clip, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(VidsalError) as caught:
        vidsal.run(clip, _settings())
    assert "the input's checksum was" in str(caught.value) and "time" not in str(caught.value)
    clip.write_bytes(kept)
    with pytest.raises(VidsalError, match=r"the input's time of change was .* the folder"):
        vidsal.run(clip, _settings())
    os.utime(clip, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    vidsal.run(clip, _settings())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layout": "quad"}, "--layout was overlay and is quad"),
        ({"batch": 8}, "--batch was 4 and is 8"),
        ({"table": None}, "--table was .*/o.csv and is not given"),
        ({"seed": 1}, "--seed was 0 and is 1"),
    ],
)
def test_changed_settings_are_refused_before_the_network_is_loaded(
    options: dict[str, Any], words: str, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(frames=16)
    with _broken(monkeypatch, 9), pytest.raises(RuntimeError):
        vidsal.run(clip, _settings())
    with monkeypatch.context() as patch:
        patch.setattr(models, "open_static", lambda *_: pytest.fail("was loaded"))
        with pytest.raises(VidsalError, match=f"{words}.*run as before, or remove the folder"):
            vidsal.run(clip, _settings(**options))
    vidsal.run(clip, _settings())


def test_a_changed_network_or_version_is_refused(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clip = make_clip(frames=16)
    with _broken(monkeypatch, 9), pytest.raises(RuntimeError):
        vidsal.run(clip, _settings())
    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "__version__", "0.0.1")
        with pytest.raises(VidsalError, match=r"vidsal was 0\.1\.0 \(\w+\) and is 0\.0\.1 \("):
            vidsal.run(clip, _settings())
    with monkeypatch.context() as patch:
        # One of its modules is another, as between two versions.
        patch.setattr(fingerprint, "__file__", str(tmp_path / "sinks" / "__init__.py"))
        (tmp_path / "__init__.py").write_text("# other words")
        with pytest.raises(VidsalError, match=r"vidsal was 0\.1\.0 \(\w+\) and is 0\.1\.0 \("):
            vidsal.run(clip, _settings())
    weights = tmp_path / "w.h5"
    weights.write_bytes(b"123")
    with monkeypatch.context() as patch:
        patch.setattr(models, "choose", lambda *_, **__: ModelChoice("resnet50", weights))
        wanted = r"the network was EfficientNet-Lite0 and is ResNet50; .*w\.h5 \([0-9a-f]{16}\)"
        with pytest.raises(VidsalError, match=wanted):
            vidsal.run(clip, _settings())


def test_a_damaged_last_segment_is_done_again(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clip = make_clip(frames=16)
    vidsal.run(clip, _settings("whole.mp4"))
    with _broken(monkeypatch, 13), pytest.raises(RuntimeError):
        vidsal.run(clip, _settings())
    video = PARTS / "000002" / "video.mp4"
    os.truncate(video, video.stat().st_size // 2)
    with caplog.at_level(logging.WARNING):
        vidsal.run(clip, _settings())
    assert "1 finished segments were damaged" in caplog.text
    assert "going on after the 8 frames that are done" in caplog.text
    _assert_equal("whole.mp4", "o.mp4")


def test_a_full_disk_keeps_what_is_done(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(frames=16)
    vidsal.run(clip, _settings("whole.mp4"))
    calls, real = itertools.count(), table.table_sink

    def table_sink(*words: Any) -> Any:
        if next(calls) == 2:
            raise VidsalError("cannot write: no space left on the disk")
        return real(*words)

    with monkeypatch.context() as patch:
        patch.setattr(segments, "table_sink", table_sink)
        with pytest.raises(VidsalError, match="no space left"):
            vidsal.run(clip, _settings())
    assert sorted(one.name for one in PARTS.glob("*0*")) == ["000000", "000001"]
    vidsal.run(clip, _settings())
    _assert_equal("whole.mp4", "o.mp4")


def test_room_is_needed_for_the_segments_that_are_not_there(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, settings = make_clip(frames=16), _settings(maps=None)
    with sources.open_source(clip, settings) as opened:
        plain = dataclasses.replace(settings, resume=False)
        needed = disk_space.video_bytes(Path("o.mp4"), opened.info, settings)
        assert needed == 2 * disk_space.video_bytes(Path("o.mp4"), opened.info, plain) > 0
    free = needed - 1
    usage = shutil.disk_usage(".")._replace(free=free)
    with _broken(monkeypatch, 13), pytest.raises(RuntimeError):
        vidsal.run(clip, settings)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(VidsalError, match="make room"):
        vidsal.run(clip, _settings("other.mp4", maps=None))
    assert vidsal.run(clip, settings) == Path("o.mp4")


# The end


def _fails_once(real: Callable[..., Any], at: int) -> Callable[..., Any]:
    calls = itertools.count()

    def call(*words: Any, **options: Any) -> Any:
        if next(calls) == at:
            raise RuntimeError("broken")
        return real(*words, **options)

    return call


@pytest.mark.parametrize(
    ("owner", "name", "at"),
    [
        (segments, "_join", 0), (segments, "finish", 0), (segments, "_join_tables", 0),
        (segments, "_deliver_maps", 0), (segments, "put_maps", 0), (segments, "put_maps", 2),
        (segments, "staged", 0), (Parts, "finish_result", 0), (Parts, "drop", 0),
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
    vidsal.run(clip, _settings("whole.mp4"))
    for old in ("whole maps", "o maps"):
        (Path(old) / "static").mkdir(parents=True, exist_ok=True)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, _fails_once(getattr(owner, name), at))
        with pytest.raises(RuntimeError, match="broken"):
            vidsal.run(clip, _settings())
    stage.requests.clear()
    # What was written before counts as well.
    assert pipeline.process(clip, _settings()).frames == 14
    assert stage.asked == []
    assert _left() == {"whole.mp4", "whole.csv", "whole maps", "o.mp4", "o.csv", "o maps"}
    _assert_equal("whole.mp4", "o.mp4")


def test_an_output_that_is_there_is_kept_and_one_to_replace_is_replaced(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(frames=10)
    Path("o.mp4").write_text("precious")
    with pytest.raises(VidsalError, match="exists: give another name"):
        vidsal.run(clip, _settings())
    assert _left() == {"o.mp4"}
    _interrupted(clip, _settings(overwrite=True), [5], monkeypatch)
    assert len(_pictures(Path("o.mp4"))) == 10
    # Maps of a longer run before this one do not stay.
    vidsal.run(clip, _settings(overwrite=True, end=0.2))
    assert len(list(Path("o maps").rglob("*.png"))) == 3 * 5
    assert _left() == {"o.mp4", "o.csv", "o maps"}


# What cannot go on


def test_a_photo_is_done_at_once(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "photo.png")
    out = vidsal.run(tmp_path / "photo.png", _settings("p.png"))
    assert out == Path("p.png") and _left() == {"p.png", "p.csv", "p maps"}


def test_what_is_live_cannot_go_on(make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch) -> None:
    class Live:
        info = SourceInfo("camera 0", 48, 64, Fraction(25), is_live=True)

        def frames(self) -> Iterator[Frame]:
            yield from ()

        def stop(self) -> None: ...

        def __enter__(self) -> "Live":
            return self

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(pipeline, "open_source", lambda *_, **__: Live())
    with pytest.raises(UsageError, match="--resume is not for camera 0"):
        vidsal.run(0, _settings())
    assert _left() == set()


def test_a_pace_by_the_clock_cannot_go_on() -> None:
    with pytest.raises(UsageError, match="--resume is not for --static-every auto"):
        Settings(resume=True, static_every="auto")


@pytest.mark.slow
def test_runs_that_are_killed_go_on(
    make_clip: MakeClip, load_script: LoadScript, capsys: pytest.CaptureFixture[str]
) -> None:
    # Few frames a second are many segments.
    clip = make_clip(frames=90, rate="5", sound="aac", size=(180, 320))
    script = load_script("kill_and_resume")
    words = [str(clip), "--kills", "4", "--model", "none", "--batch", "1", "--layout", "quad"]
    assert script.main(words) == 0
    out = capsys.readouterr().out
    assert "90 pictures, 272 items to compare" in out
    assert "complete, 0 differences" in out
    assert out.count("left behind: 0") == out.count("complete, ")
