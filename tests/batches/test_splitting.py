"""Sources in parts: where parts begin, and that the joined file is that of one run."""

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import LoadScript, MakeClip, run_ffmpeg, scene_of
from pipeline_help import table_rows
from resume_help import Voting, audio_of

import vidsal
from vidsal.batches import plan, run, splitting, work
from vidsal.batches.places import folder_at
from vidsal.batches.schedule import Schedule, Step
from vidsal.batches.splitting import Begin, UnevenPartError, clear_cuts, parts_of, placed, span
from vidsal.errors import UsageError, VidsalError
from vidsal.settings import Settings
from vidsal.static import models
from vidsal.static.models import ModelChoice
from vidsal.types import Rgb

pytestmark = pytest.mark.usefixtures("own_folder")
FPS = 10


def _settings(**options: Any) -> Settings:
    given: dict[str, Any] = {
        "model": "none", "working_width": 64, "short_side": 32, "annotate": False, "layout": "map",
        "colormap": "grey", "codec": "ffv1",
    }  # fmt: skip
    return Settings(**given | options)


def _film(path: Path, scenes: Sequence[int], load_script: LoadScript) -> Path:
    """Write scenes of so many frames each, with sound; each has other colours."""
    _, pictures = scene_of(
        load_script, width=64, height=48, frame_count=max(scenes), square_size=12,
        square_start=(20, 10), background_velocity=(1, 0),
    )  # fmt: skip
    with vidsal.VideoWriter(path.with_suffix(".silent.mkv"), FPS, Settings(codec="ffv1")) as film:
        for number, frames in enumerate(scenes):
            for rgb in pictures[:frames]:
                film.write(_recoloured(rgb, number))
    seconds = sum(scenes) / FPS
    run_ffmpeg(
        "-i", str(path.with_suffix(".silent.mkv")), "-f", "lavfi",
        "-i", f"sine=300:sample_rate=44100:duration={seconds}:beep_factor=4", "-c:v", "copy",
        "-c:a", "aac", str(path),
    )  # fmt: skip
    return path


def _recoloured(rgb: Rgb, number: int) -> Rgb:
    """Return the picture of a scene in the colours of another one."""
    return np.ascontiguousarray(255 - rgb if number % 2 else np.roll(rgb, number // 2, axis=2))


def _split(clip: Path, **options: Any) -> vidsal.BatchSummary:
    return vidsal.batch(clip, "out", _settings(**options), split=10, tables=True, progress=False)


def _use_voting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a network in place whose gradients depend on the frame and the number of samples."""
    for module in (models, plan):
        monkeypatch.setattr(module, "choose", lambda *_, **__: ModelChoice("lite0"))
    monkeypatch.setattr(models, "open_static", lambda *_: Voting())


@pytest.mark.parametrize("model", ["none", "lite0"])
def test_parts_that_begin_at_cuts_are_those_of_one_run(
    model: str, load_script: LoadScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    if model != "none":
        _use_voting(monkeypatch)
    clip = _film(Path("film.mkv"), (107, 93, 110), load_script)
    options: dict[str, Any] = {"model": model, "samples": 8}
    (result,) = _split(clip, **options).results
    assert (result.status, result.parts, result.frames, result.video_s) == ("done", 3, 310, 31.0)
    vidsal.run(clip, _settings(**options, output=Path("one.mkv"), table=Path("one.csv")))
    whole, joined = decoded_matroska(Path("one.mkv")), decoded_matroska(Path(str(result.output)))
    assert len(whole) == len(joined) == 310
    assert all(np.array_equal(a, b) for a, b in zip(whole, joined, strict=True))
    assert Path("out/film_saliency.csv").read_text() == Path("one.csv").read_text()
    assert audio_of(Path("one.mkv")) == audio_of(Path(str(result.output)))
    assert not Path("out/.vidsal/parts/").exists() or not list(Path("out/.vidsal/parts").iterdir())


def decoded_matroska(path: Path) -> list[Rgb]:
    """Pictures of a file whose header has no number of frames."""
    with vidsal.open_video(path) as video:
        return [frame.rgb for frame in video]


def test_parts_within_a_scene_are_near_to_one_run(
    load_script: LoadScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use_voting(monkeypatch)
    clip = _film(Path("film.mkv"), (45, 290), load_script)
    options: dict[str, Any] = {"model": "lite0", "static_every": 2, "predict_every": 0.0}
    (result,) = _split(clip, **options).results
    assert result.parts == 3
    vidsal.run(clip, _settings(**options, output=Path("one.mkv"), table=Path("one.csv")))
    whole, joined = decoded_matroska(Path("one.mkv")), decoded_matroska(Path(str(result.output)))
    assert len(whole) == len(joined) == 335
    for a, b in zip(whole, joined, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.99
    # Times and frames are those of the source, and the first part is exact.
    rows, others = table_rows(Path("out/film_saliency.csv")), table_rows(Path("one.csv"))
    assert rows[:100] == others[:100]
    for name in ("frame", "time_s", "camera_model", "cut", "class_1"):
        assert [row[name] for row in rows] == [row[name] for row in others]
    assert rows != others


@pytest.mark.parametrize("place", ["folder", "memory"])
def test_parts_are_joined_from_several_processes_and_from_addresses(
    place: str, load_script: LoadScript
) -> None:
    clip = _film(Path("film.mkv"), (107, 93, 110), load_script)
    vidsal.run(clip, _settings(output=Path("one.mkv"), table=Path("one.csv")))
    # Each place has what the other has not: several processes, and uploaded parts.
    out = folder_at("joined" if place == "folder" else f"memory://{uuid.uuid4().hex}")
    summary = vidsal.batch(
        clip, out.address("").rstrip("/"), _settings(), split=10, tables=True, progress=False,
        workers=2 if place == "folder" else 1,
    )  # fmt: skip
    assert (summary.results[0].status, summary.results[0].parts) == ("done", 3)
    assert out.read("film_saliency.csv") == Path("one.csv").read_bytes()
    Path("joined.mkv").write_bytes(out.read("film_saliency.mkv"))
    whole, joined = decoded_matroska(Path("one.mkv")), decoded_matroska(Path("joined.mkv"))
    assert len(whole) == len(joined) == 310
    assert all(np.array_equal(a, b) for a, b in zip(whole, joined, strict=True))
    assert out.names(".vidsal/parts") == out.names(".vidsal/begun") == []


def test_a_part_of_a_source_is_split_as_well(load_script: LoadScript) -> None:
    clip = _film(Path("film.mkv"), (107, 93, 110), load_script)
    (result,) = _split(clip, start=1.0, end=28.0).results
    assert (result.parts, result.frames) == (3, 270)
    vidsal.run(clip, _settings(start=1.0, end=28.0, output=Path("one.mkv"), table=Path("one.csv")))
    assert Path("out/film_saliency.csv").read_text() == Path("one.csv").read_text()
    assert audio_of(Path("one.mkv")) == audio_of(Path(str(result.output)))


def test_short_and_uneven_sources_are_one_run(
    make_clip: MakeClip, sample_media: Path, caplog: pytest.LogCaptureFixture
) -> None:
    short = make_clip("short.mp4", rate="10", frames=130)
    uneven = make_clip(
        "uneven.mkv", rate="10", frames=300,
        options=("-vf", "select='not(eq(mod(n,7),3))'", "-fps_mode", "vfr"),
    )  # fmt: skip
    for path in (short, uneven, sample_media / "cat.jpg"):
        assert parts_of(path, _settings(), 10.0) == ()
    with caplog.at_level("INFO", logger="vidsal.batches"):
        (result,) = _split(uneven).results
        assert (result.status, result.parts) == ("done", 1)
        _split(short)
    lines = [one.getMessage() for one in caplog.records if "one run" in one.getMessage()]
    assert lines == ["uneven.mkv is processed in one run: its frame times are uneven"]


def test_rows_with_options_that_parts_cannot_have_are_one_run(
    load_script: LoadScript, caplog: pytest.LogCaptureFixture
) -> None:
    _film(Path("film.mkv"), (107, 93, 110), load_script)
    Path("rows.csv").write_text("source,output,every\nfilm.mkv,a.mkv,2\nfilm.mkv,b.mkv,\n")
    with caplog.at_level("INFO", logger="vidsal.batches"):
        results = _split(Path("rows.csv")).results
    assert "film.mkv is processed in one run: split=10.0 is not for every=2: " in caplog.text
    assert [(one.status, one.parts, one.frames) for one in results] == [
        ("done", 1, 155), ("done", 3, 310),
    ]  # fmt: skip


def test_a_part_that_does_not_fit_makes_it_one_run(
    load_script: LoadScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = _film(Path("film.mkv"), (107, 93, 110), load_script)
    asked: list[int] = []

    def uneven(*arguments: Any) -> Any:
        asked.append(arguments[2].number)
        raise UnevenPartError

    monkeypatch.setattr(work, "write_part", uneven)
    (result,) = _split(clip).results
    assert (result.status, result.parts, result.frames, asked) == ("done", 1, 310, [0])


def test_finished_parts_are_not_done_again(
    load_script: LoadScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = _film(Path("film.mkv"), (107, 93, 110), load_script)
    real, asked = splitting.write_part, list[int]()

    def interrupted(*arguments: Any) -> Any:
        asked.append(arguments[2].number)
        if asked == [0, 1]:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(work, "write_part", interrupted)
    with pytest.raises(KeyboardInterrupt, match="0 of 1 sources"):
        _split(clip)
    assert not list(Path("out").glob("*.mkv"))
    (result,) = _split(clip).results
    assert (result.status, result.parts, asked) == ("done", 3, [0, 1, 1, 2])
    assert _split(clip).totals["skipped"] == 1


@pytest.mark.parametrize("lost", ["before its receipt", "after its receipt", "with its parts"])
def test_a_worker_that_is_lost_late_in_a_join_costs_no_source(
    lost: str, load_script: LoadScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = _film(Path("film.mkv"), (107, 93, 110), load_script)
    real, joins = work.Worker.do, list[int]()

    class Lost(Exception):
        """What `Schedule.lost` is told of."""

    def do(worker: work.Worker, step: Step, say: Any) -> Any:
        if step.kind != "join" or step.attempt > 1:
            return real(worker, step, say)
        joins.append(len(step.parts))
        if lost == "after its receipt":
            real(worker, step, say)
        else:
            worker.join(step)
            if lost == "with its parts" and len(joins) == 1:
                (part,) = [one for one, _ in step.parts if one.number == 1]
                folder = Path("out/.vidsal/parts") / step.task.key / part.name
                (folder / "part.json").unlink()
        raise Lost

    def in_turn(schedule: Schedule, make_worker: Any, say: Any) -> Any:
        worker = make_worker()
        while (step := schedule.take()) is not None:
            try:
                result = schedule.ended(step, worker.do(step, say))
            except Lost:
                result = schedule.lost(step, "it was killed")
            if result:
                yield result

    monkeypatch.setattr(work.Worker, "do", do)
    monkeypatch.setattr(run, "in_turn", in_turn)
    summary = _split(clip)
    (result,) = summary.results
    assert (result.status, result.frames, result.parts) == ("done", 310, 3)
    assert result.error is None and result.attempts >= 2
    assert len(decoded_matroska(Path(str(result.output)))) == 310
    assert list(Path("out/.vidsal/parts").iterdir()) == []
    assert _split(clip).totals["skipped"] == 1


def test_parts_of_a_source_that_fails_are_removed(
    load_script: LoadScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = _film(Path("film.mkv"), (107, 93, 110), load_script)
    real = splitting.write_part

    def broken(*arguments: Any) -> Any:
        if arguments[2].number == 1:
            raise VidsalError("broken")
        return real(*arguments)

    monkeypatch.setattr(work, "write_part", broken)
    assert _split(clip).results[0].error == "broken"
    assert list(Path("out/.vidsal/parts").iterdir()) == []


def test_a_broken_source_fails_as_in_one_run() -> None:
    Path("bad.mp4").write_text("no video")
    (result,) = _split(Path("bad.mp4")).results
    assert result.error == "bad.mp4 is not a video or picture that can be read"


def test_flashes_are_no_places_for_a_part() -> None:
    def found(*changes: tuple[int, str]) -> list[int]:
        return clear_cuts(iter([(0, "first"), (1, "same"), *changes]), 5)

    assert found((20, "cut"), (60, "cut")) == [20, 60]
    assert found((20, "cut"), (24, "return")) == []
    assert found((20, "cut"), (22, "recut"), (40, "cut")) == [40]
    assert found((20, "flash"), (26, "cut")) == [26]


def test_warm_ups_begin_where_one_run_draws_gradients() -> None:
    times_s = np.arange(1000) / 25
    parts = placed(
        [Begin(0, True), Begin(301, False), Begin(600, True)],
        times_s,
        25.0,
        # Two sizes and mirror images: the turns repeat after four gradients.
        Settings(static_every=4),
    )
    assert [part.pictures for part in parts] == [301, 299, None]
    assert [part.number for part in parts] == [0, 1, 2]

    def first_frame(time_s: float) -> int:
        return int(np.searchsorted(times_s, time_s))

    warm = round(splitting.WARM_S * 25)
    assert [first_frame(part.begin_s) for part in parts] == [0, 301, 600]
    assert first_frame(parts[1].warm_s) == 301 - warm - (301 - warm) % 16
    # One second before a cut.
    assert first_frame(parts[2].warm_s) == 600 - 25 - (600 - 25) % 16
    assert [first_frame(part.end_s) for part in parts[:2]] == [301, 600]
    assert parts[2].end_s == np.inf and parts[0].warm_s == 0.0


def test_the_span_is_that_of_the_options() -> None:
    times_s = np.arange(100) / 10
    assert span(times_s, Settings()) == (0, 100)
    assert span(times_s, Settings(start=2, end=5)) == (20, 50)
    assert span(times_s, Settings(start=2, duration=1.05)) == (20, 31)


def test_options_that_parts_cannot_have_are_refused() -> None:
    for given, options, message in (
        ({"split": 5}, {}, "split= must be 10 s or more, got 5"),
        ({"split": "0:30", "stores": True}, {}, "is not for stores=True"),
        ({"split": 30}, {"every": 2}, "is not for every=2"),
        ({"split": 30}, {"fps": 25}, "is not for fps="),
        ({"split": 30}, {"target": "lock"}, "is not for target='lock'"),
        ({"split": "x"}, {}, "a time is seconds"),
    ):
        with pytest.raises(UsageError, match=message):
            vidsal.batch("a.mp4", "out", _settings(**options), progress=False, **given)
