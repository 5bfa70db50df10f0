"""The whole pipeline: failures, wrong calls and interrupts leave nothing behind."""

import dataclasses
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import BrightnessStage, MakeClip
from pipeline_help import names_left, pipeline_settings

import vidsal
from vidsal import analyser, pipeline, sinks, sources
from vidsal.errors import UsageError, VidsalError
from vidsal.render.draw import draw_for_video
from vidsal.settings import Settings
from vidsal.sources.video import VideoSource
from vidsal.static import models
from vidsal.static.models import ModelChoice
from vidsal.types import Findings, Frame, Map, Request, Rgb
from vidsal.yuv import Picture

# No failure may take longer than this to end a run; most take a tenth of it.
SOON_S = 5.0


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.chdir(out)
    return out


class Failing:
    """A real source that breaks after some frames and knows whether it was closed."""

    def __init__(self, source: Any, error: BaseException, after: int) -> None:
        self._source, self._error, self._after = source, error, after
        self.info = source.info
        self.closed = False

    def frames(self) -> Iterator[Frame]:
        yield from itertools.islice(self._source.frames(), self._after)
        raise self._error

    def stop(self) -> None:
        self._source.stop()

    def __enter__(self) -> "Failing":
        return self

    def __exit__(self, *error: object) -> None:
        self.closed = True
        self._source.__exit__(*error)


def _failing(real: Callable[..., Any], error: BaseException, after: int) -> Callable[..., Any]:
    """The same function, which raises once it has been called `after` times."""
    calls = itertools.count()

    def call(*args: Any) -> Any:
        if next(calls) == after:
            raise error
        return real(*args)

    return call


def _break_source(monkeypatch: pytest.MonkeyPatch, error: BaseException, after: int) -> None:
    real = sources.open_source
    monkeypatch.setattr(
        analyser, "open_source",
        lambda what, settings, **_: Failing(real(what, settings), error, after),
    )  # fmt: skip


def _break_compute(monkeypatch: pytest.MonkeyPatch, error: BaseException, after: int) -> None:
    class Breaking(BrightnessStage):
        def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
            if len(self.pictures) == after // 4:
                raise error
            return super().maps(rgb, requests)

    stage = Breaking()
    monkeypatch.setattr(models, "choose", lambda *_, **__: ModelChoice("lite0"))
    monkeypatch.setattr(models, "open_static", lambda *_: stage)


def _break_draw(monkeypatch: pytest.MonkeyPatch, error: BaseException, after: int) -> None:
    monkeypatch.setattr(analyser, "draw_for_video", _failing(draw_for_video, error, after))


def _break_sink(monkeypatch: pytest.MonkeyPatch, error: BaseException, after: int) -> None:
    real = sinks.open_sinks

    @contextmanager
    def broken(*args: Any) -> Iterator[Any]:
        with real(*args) as opened:
            opened.write = _failing(opened.write, error, after)  # type: ignore[method-assign]
            yield opened

    monkeypatch.setattr(pipeline, "open_sinks", broken)


BREAKS = {
    "source": _break_source,
    "compute": _break_compute,
    "draw": _break_draw,
    "sink": _break_sink,
}


@pytest.mark.parametrize("depth", ["ahead", "without threads"])
@pytest.mark.parametrize("after", [0, 12])
@pytest.mark.parametrize("stage", BREAKS)
def test_failure_ends_with_the_very_error_and_leaves_nothing(
    stage: str, after: int, depth: str, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough that every queue is full and every thread busy when it happens.
    clip = make_clip(frames=200, sound="aac")
    if depth == "without threads":
        monkeypatch.setattr(pipeline, "DECODED_FRAMES", 0)
        monkeypatch.setattr(pipeline, "frames_ahead", lambda *_: 0)
    error = RuntimeError(f"broken {stage}")
    BREAKS[stage](monkeypatch, error, after)
    begin_s = time.monotonic()
    with pytest.raises(RuntimeError) as caught:
        vidsal.run(clip, pipeline_settings(batch=4, table=Path("t.csv"), maps=Path("maps")))
    assert caught.value is error
    assert time.monotonic() - begin_s < SOON_S
    # The other half, no thread and no ffmpeg, is looked at after every test; see conftest.py.
    assert names_left() == []


@pytest.mark.parametrize("kind", [VidsalError, MemoryError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("stage", BREAKS)
def test_every_kind_of_error_passes(
    stage: str, kind: type[BaseException], make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = kind("of the stage's own")
    BREAKS[stage](monkeypatch, error, 4)
    with pytest.raises(kind) as caught:
        vidsal.run(make_clip(frames=30), pipeline_settings(batch=4))
    assert caught.value is error
    assert names_left() == []


@pytest.mark.parametrize("stage", ["source", "compute"])
def test_failure_in_analyse_comes_after_the_results_before_it(
    stage: str, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = RuntimeError("broken")
    BREAKS[stage](monkeypatch, error, 8)
    got: list[int] = []
    with pytest.raises(RuntimeError) as caught:
        got.extend(
            one.frame.index
            for one in vidsal.analyse(make_clip(frames=30), pipeline_settings(batch=4))
        )
    assert caught.value is error
    # `extend` keeps the items before the error. The failed call yields none.
    assert got == list(range(8 if stage == "source" else 5))


def test_source_is_closed_after_a_failure_and_after_leaving_early(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, opened = make_clip(frames=100), []
    real = sources.open_source

    def remembered(what: Any, settings: Settings, **_: Any) -> Failing:
        opened.append(Failing(real(what, settings), RuntimeError("the end"), 90))
        return opened[-1]

    monkeypatch.setattr(analyser, "open_source", remembered)
    with pytest.raises(RuntimeError, match="the end"):
        vidsal.run(clip, pipeline_settings())
    results = vidsal.analyse(clip, pipeline_settings())
    assert [next(results).frame.index for _ in range(3)] == [0, 1, 2]
    results.close()
    assert [one.closed for one in opened] == [True, True]
    assert not [one for one in threading.enumerate() if one.name == "vidsal-prefetch"]


@pytest.mark.parametrize("function", [vidsal.analyse, vidsal.run])
def test_what_is_wrong_with_a_call_is_told_at_once(
    function: Callable[..., Any], make_clip: MakeClip
) -> None:
    clip = make_clip(frames=2)
    make_clip("other.mp4", frames=2)
    for args, says in [
        ((clip, "lite0"), "settings: expected vidsal.Settings"),
        ((clip, ""), "settings: expected vidsal.Settings"),
        (
            ([clip], pipeline_settings()),
            r"frame 0: expected an array, got the name .*vidsal\.run_all takes several",
        ),
        ((clip.parent / "*.mp4", pipeline_settings()), "means 2 sources, one is expected"),
        ((clip.parent, pipeline_settings()), "means 2 sources, one is expected"),
    ]:
        with pytest.raises(UsageError, match=says):
            # `analyse` fails before its first frame is requested.
            function(*args)
    assert names_left() == []


def test_a_glob_of_one_name_is_that_file(make_clip: MakeClip) -> None:
    clip = make_clip(frames=2)
    word = str(clip.parent / "cl*.mp4")
    assert vidsal.run(word, pipeline_settings()) == Path("clip_saliency.mp4")
    assert len(list(vidsal.analyse(word, pipeline_settings(every=np.int64(2))))) == 1


def test_draw_wants_settings(make_clip: MakeClip) -> None:
    (saliency,) = vidsal.analyse(make_clip(frames=1), pipeline_settings())
    with pytest.raises(UsageError, match=r"^settings: expected vidsal\.Settings.*, got str$"):
        vidsal.draw(saliency, "quad")  # type: ignore[arg-type]


def test_a_bad_target_is_found_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a class of this network"):
        vidsal.run(tmp_path / "missing.mp4", Settings(model="lite0", target="no such thing"))
    with pytest.raises(UsageError, match="not a class of this network"):
        next(
            iter(
                vidsal.analyse(
                    tmp_path / "missing.mp4", Settings(model="lite0", target="no such thing")
                )
            )
        )


def test_an_output_in_the_way_is_found_before_the_network_is_loaded(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("o.mp4").write_text("precious")
    loaded: list[Any] = []
    monkeypatch.setattr(models, "open_static", loaded.append)
    with pytest.raises(VidsalError, match=r"o\.mp4 exists"):
        vidsal.run(make_clip(frames=2), Settings(model="lite0", output=Path("o.mp4")))
    assert not loaded
    assert Path("o.mp4").read_text() == "precious"


def test_ctrl_c_on_a_file_removes_what_was_begun(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = draw_for_video, itertools.count()

    def draw(*args: Any) -> Picture:
        if next(calls) == 10:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*args)

    monkeypatch.setattr(analyser, "draw_for_video", draw)
    with pytest.raises(KeyboardInterrupt):
        vidsal.run(make_clip(frames=400), pipeline_settings(table=Path("t.csv"), maps=Path("maps")))
    assert names_left() == []


# Frames that are lost between the source and the output.


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize(
    ("more", "message"),
    [(2, "2 of 7 decoded frames are lost without a reason"),
     (-1, "1 of 4 decoded frames are analysed twice without a reason")],
)  # fmt: skip
def test_an_unexplained_number_of_frames_is_an_error_without_an_output(
    more: int,
    message: str,
    resume: bool,
    make_clip: MakeClip,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clip = make_clip(frames=5)
    real = VideoSource.findings

    def miscounted(source: VideoSource) -> Findings:
        found = real(source)
        assert found.decoded == 5
        return dataclasses.replace(found, decoded=found.decoded + more)

    settings = pipeline_settings(model="none", resume=resume, table=Path("t.csv"))
    with monkeypatch.context() as patch:
        patch.setattr(VideoSource, "findings", miscounted)
        with pytest.raises(VidsalError, match=message):
            pipeline.run(clip, settings, progress=False)
        # A run that is resumed counts again.
        if resume:
            with pytest.raises(VidsalError, match=message):
                pipeline.run(clip, settings, progress=False)
        assert not list(Path().glob("*.mp4")) and not Path("t.csv").exists()
    written = pipeline.run(clip, settings, progress=False)
    assert names_left() == sorted([written.name, "t.csv"])
