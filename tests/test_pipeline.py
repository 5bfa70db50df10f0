"""The whole programme: what comes out, and that any failure ends it at once and leaves nothing."""

import csv
import functools
import itertools
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from vidsal import pipeline, sinks, sources
from vidsal.errors import UsageError, VidsalError
from vidsal.render.draw import draw_saliency
from vidsal.render.style import Style
from vidsal.settings import Settings
from vidsal.sinks.maps import sixteen_bit
from vidsal.sources import interrupt
from vidsal.sources.capture import CameraCapture
from vidsal.sources.live import LiveSource
from vidsal.static import models
from vidsal.static.models import ModelChoice
from vidsal.types import Frame, Map, Request, Rgb, Saliency

# No failure may take longer than this to end a run; most take a tenth of it.
SOON_S = 5.0


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.chdir(out)
    return out


def _settings(**options: Any) -> Settings:
    given: dict[str, Any] = {"model": "none", "working_width": 64}
    return Settings(**given | options)


def _left() -> list[str]:
    """All that is in the run's folder, hidden or not."""
    return sorted(str(path) for path in Path().rglob("*"))


def _video(path: Path) -> tuple[int, Fraction, tuple[int, int], list[Rgb]]:
    """Frames, rate, size and pictures of a video as PyAV has them."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(stream)]
        assert stream.frames == len(pictures)
        return stream.frames, stream.average_rate, (stream.height, stream.width), pictures


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def brightness(monkeypatch: pytest.MonkeyPatch) -> BrightnessStage:
    """Put a stage whose map is the picture's own brightness where the network would be."""
    stage = BrightnessStage()
    monkeypatch.setattr(models, "choose", lambda *_, **__: ModelChoice("lite0"))
    monkeypatch.setattr(models, "open_static", lambda *_: stage)
    return stage


# What comes out.


@pytest.mark.parametrize(
    ("layout", "size"),
    [("overlay", (180, 320)), ("side-by-side", (180, 640)), ("quad", (360, 640))],
)
def test_synthetic_clip_keeps_count_rate_and_size(
    layout: str, size: tuple[int, int], sample_media: Path
) -> None:
    out = vidsal.run(sample_media / "moving_square.mp4", _settings(layout=layout))
    assert out == Path("moving_square_saliency.mp4")
    count, rate, found, _ = _video(out)
    assert (count, rate, found) == (90, Fraction(30), size)
    assert _left() == ["moving_square_saliency.mp4"]


def test_what_stands_out_is_the_square(sample_media: Path, load_script: LoadScript) -> None:
    truth = load_script("make_synthetic_clip")
    clip = sample_media / "moving_square.mp4"
    vidsal.run(clip, _settings(table=Path("t.csv"), working_width=320))
    rows = _table(Path("t.csv"))
    assert [int(row["index"]) for row in rows] == list(range(90))
    assert [float(row["time_s"]) for row in rows] == pytest.approx(
        [n / 30 for n in range(90)], abs=1e-6
    )
    # The first frame has nothing before it to have moved from.
    assert (rows[0]["speed_p95"], rows[0]["motion_high"]) == ("0", "0.03")
    assert rows[0]["camera_model"] == "none"
    assert rows[0]["peak_row_px"] == ""
    inside = 0
    # The square's own movement over the pan, in diagonals a second.
    speed = np.hypot(4, 2) * 30 / np.hypot(180, 320)
    for row in rows[1:]:
        left, top, right, bottom = truth.square_box(int(row["index"]))
        x, y = float(row["peak_column_px"]), float(row["peak_row_px"])
        inside += left - 6 <= x <= right + 6 and top - 6 <= y <= bottom + 6
        # The background moves by (2, -1): that is the camera.
        assert float(row["camera_column_px"]) == pytest.approx(2, abs=0.3)
        assert float(row["camera_row_px"]) == pytest.approx(-1, abs=0.3)
        assert row["camera_model"] == "similarity"
        assert float(row["motion_high"]) == pytest.approx(speed, rel=0.08)
        assert row["fused_high"] == row["motion_high"]
        assert float(row["speed_median"]) < 0.05 * speed
    assert inside >= 0.95 * 89


def test_analyse_is_what_run_writes(sample_media: Path, brightness: BrightnessStage) -> None:
    clip, part = sample_media / "moving_square.mp4", {"start": 0.5, "end": 1.0, "every": 2}
    vidsal.run(clip, _settings(maps=Path("maps"), **part))
    results = list(vidsal.analyse(clip, _settings(**part)))
    assert [one.frame.index for one in results] == list(range(15, 30, 2))
    for one in results:
        for kind in ("static", "motion", "fused"):
            with Image.open(Path("maps") / kind / f"{one.frame.index:06d}.png") as image:
                assert (np.asarray(image) == sixteen_bit(getattr(one, kind))).all()
    assert max(float(one.motion.max()) for one in results) == 1
    assert len(list(Path("maps").rglob("*.png"))) == 3 * len(results)


def test_output_is_the_same_without_threads(
    make_clip: MakeClip, brightness: BrightnessStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(frames=40)
    options = {"layout": "quad", "batch": 7}
    vidsal.run(clip, _settings(output="ahead.mp4", table="ahead.csv", **options))
    monkeypatch.setattr(pipeline, "_DECODED", 0)
    monkeypatch.setattr(pipeline, "_ANALYSED", 0)
    threads = set()
    real = draw_saliency

    def draw(*words: Any) -> Rgb:
        threads.add(threading.current_thread().name)
        return real(*words)

    monkeypatch.setattr(pipeline, "draw_saliency", draw)
    vidsal.run(clip, _settings(output="alone.mp4", table="alone.csv", **options))
    assert threads == {threading.current_thread().name}
    ahead, alone = _video(Path("ahead.mp4")), _video(Path("alone.mp4"))
    assert ahead[:3] == alone[:3]
    assert (np.stack(ahead[3]) == np.stack(alone[3])).all()
    assert Path("ahead.csv").read_text() == Path("alone.csv").read_text()


def test_frames_are_batched_and_none_is_lost(
    make_clip: MakeClip, brightness: BrightnessStage
) -> None:
    results = list(vidsal.analyse(make_clip(frames=20), _settings(batch=8)))
    # All samples of the first frame are a call by themselves.
    assert [len(pictures) for pictures in brightness.pictures] == [1, 8, 8, 3]
    assert [one.frame.index for one in results] == list(range(20))
    assert all(one.prediction and one.prediction.target_name == "bright" for one in results)


def test_photo_is_the_one_frame_case(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (61, 83, 3), np.uint8)
    Image.fromarray(rgb).save(tmp_path / "photo.png")
    out = vidsal.run(tmp_path / "photo.png", _settings(annotate=False, table=Path("t.csv")))
    assert out == Path("photo_saliency.png")
    # Nothing moves in a still and no network looks: the picture itself, its odd sides padded.
    with Image.open(out) as image:
        assert (np.asarray(image) == np.pad(rgb, ((0, 1), (0, 1), (0, 0)), mode="edge")).all()
    (row,) = _table(Path("t.csv"))
    assert (row["index"], row["time_s"], row["cut"]) == ("0", "0.000000", "0")
    assert _left() == ["photo_saliency.png", "t.csv"]


def test_draw_is_the_picture_that_run_writes(
    make_clip: MakeClip, tmp_path: Path, brightness: BrightnessStage
) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (121, 160, 3), np.uint8)
    Image.fromarray(rgb).save(tmp_path / "photo.png")
    settings = _settings(layout="side-by-side", colormap="viridis", boxes=0.5)
    out = vidsal.run(tmp_path / "photo.png", settings)
    (saliency,) = vidsal.analyse(tmp_path / "photo.png", settings)
    # The network's name stands there, though the settings do not have it, and no time.
    assert (saliency.model_name, saliency.has_time) == ("EfficientNet-Lite0", False)
    picture = vidsal.draw(saliency, settings)
    assert picture.shape == (122, 320, 3) and picture.dtype == np.uint8
    with Image.open(out) as image:
        assert (picture == np.asarray(image)).all()
    # As the options are where nothing is said of them.
    assert vidsal.draw(saliency).shape == (122, 160, 3)
    assert (vidsal.draw(saliency) == vidsal.draw(saliency, Settings())).all()
    (frame,) = vidsal.analyse(make_clip(frames=1), settings)
    assert frame.has_time


def test_photo_is_told_no_time(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    styles = []

    def draw(saliency: Saliency, style: Style) -> Rgb:
        styles.append(style)
        return saliency.frame.rgb

    monkeypatch.setattr(pipeline, "draw_saliency", draw)
    Image.new("RGB", (64, 48)).save(tmp_path / "photo.png")
    vidsal.run(tmp_path / "photo.png", _settings())
    vidsal.run(make_clip("a.mp4", frames=1), _settings())
    assert [style.has_time for style in styles] == [False, True]


def test_photo_shows_where_the_static_map_is(tmp_path: Path, brightness: BrightnessStage) -> None:
    rgb = np.full((120, 160, 3), 20, np.uint8)
    rgb[30:50, 100:130] = 240
    Image.fromarray(rgb).save(tmp_path / "photo.png")
    vidsal.run(tmp_path / "photo.png", _settings(annotate=False, table=Path("t.csv"), smooth=0.0))
    with Image.open("photo_saliency.png") as image:
        changed = np.abs(np.asarray(image).astype(int) - rgb).max(axis=-1)
    assert changed[35:45, 105:125].min() > 10
    assert changed[80:, :60].max() <= 2
    (row,) = _table(Path("t.csv"))
    assert 30 <= float(row["peak_row_px"]) <= 50
    assert 100 <= float(row["peak_column_px"]) <= 130
    assert row["class_1"] == "bright"
    assert (row["fusion"], row["gain"], row["centre_prior"]) == ("gain", "4", "0")
    assert (row["static_share"], row["motion_share"], row["boxes"]) == ("1", "0", "")
    assert float(row["fused_high"]) == pytest.approx(float(row["static_high"]), rel=1e-3)


def test_boxes_are_in_the_picture_and_in_the_table(
    tmp_path: Path, brightness: BrightnessStage
) -> None:
    rgb = np.full((120, 160, 3), 20, np.uint8)
    rgb[30:50, 100:130] = 200
    Image.fromarray(rgb).save(tmp_path / "photo.png")
    options: dict[str, Any] = {"annotate": False, "smooth": 0.0, "alpha": 0.0, "working_width": 160}
    vidsal.run(tmp_path / "photo.png", _settings(table=Path("t.csv"), boxes=0.5, **options))
    (row,) = _table(Path("t.csv"))
    (box,) = json.loads(row["boxes"])
    sides = [box["top"], box["left"], box["bottom"], box["right"]]
    assert sides == pytest.approx([30, 100, 50, 130], abs=2)
    assert 0.5 < box["saliency"] <= 1
    with Image.open("photo_saliency.png") as image:
        rows, columns = np.nonzero((np.asarray(image) == 255).all(axis=-1))
    # White where the table says, and nowhere else.
    assert [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1] == sides
    assert len(rows) == 2 * (sides[2] - sides[0] + sides[3] - sides[1]) - 4


def test_flicker_is_told_at_the_end(
    make_clip: MakeClip, brightness: BrightnessStage, caplog: pytest.LogCaptureFixture
) -> None:
    clip = make_clip(frames=14, options=["-vf", "negate=enable='gte(n,7)'"])
    with caplog.at_level(logging.INFO, logger="vidsal"):
        vidsal.run(clip, _settings(table=Path("t.csv"), scale="frame"))
    rows = _table(Path("t.csv"))
    assert [row["cut"] for row in rows] == ["0"] * 7 + ["1"] + ["0"] * 6
    highs = np.array([float(row["fused_high"]) for row in rows])
    changes = np.abs(np.diff(highs)) / highs[:-1]
    # What a cut changes is no flicker, nor what the first motion after a start does.
    flicker = 100 * np.delete(changes, [0, 6, 7]).mean()
    assert abs(flicker - 100 * changes.mean()) > 0.1
    (said,) = [one.getMessage() for one in caplog.records if "flicker" in one.getMessage()]
    assert said.startswith("flicker: the display's scale changed by ")
    # The table has five digits of each.
    assert float(said.split()[-4]) == pytest.approx(flicker, abs=0.02)


def test_the_bundled_network_sees_the_cat(sample_media: Path) -> None:
    settings = Settings(model="lite0", target="top1", table=Path("t.csv"))
    vidsal.run(sample_media / "cat.jpg", settings)
    (row,) = _table(Path("t.csv"))
    assert row["model"] == "EfficientNet-Lite0"
    assert row["class_1"] == row["target"] == "Egyptian cat"
    assert row["probability_1"] == row["target_probability"]
    assert 0.3 < float(row["probability_1"]) < 1
    with Image.open("cat_saliency.png") as image:
        assert image.size == (452, 300)


@pytest.mark.slow
def test_same_seed_same_output_and_batches_do_not_matter(sample_media: Path) -> None:
    clip = sample_media / "moving_square.mp4"

    def maps(**options: Any) -> Any:
        settings = Settings(
            model="lite0", short_side=64, samples=4, end=0.25, working_width=160, **options
        )
        return np.stack(
            [one.static for one in vidsal.analyse(clip, settings) if one.static is not None]
        )

    whole = maps()
    assert len(whole) == 8 and whole.max() == 1
    assert np.array_equal(maps(), whole)
    assert maps(batch=3) == pytest.approx(whole, abs=1e-4)
    # Another seed is another noise, and the same picture.
    other = maps(seed=1)
    assert np.abs(other - whole).max() > 0.02
    assert np.corrcoef(other.ravel(), whole.ravel())[0, 1] > 0.5


def test_progress_gets_every_result_and_the_number_of_them(make_clip: MakeClip) -> None:
    told: list[Any] = []

    def progress(items: Iterable[Any], total: int | None) -> Iterator[Any]:
        told.append(total)
        for item in items:
            told.append(item.frame.index)
            yield item

    vidsal.run(make_clip(frames=6), _settings(), progress=progress)
    assert told == [6, 0, 1, 2, 3, 4, 5]


# What goes wrong: injected in each stage.


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

    def call(*words: Any) -> Any:
        if next(calls) == after:
            raise error
        return real(*words)

    return call


def _break_source(monkeypatch: pytest.MonkeyPatch, error: BaseException, after: int) -> None:
    real = sources.open_source
    monkeypatch.setattr(
        pipeline, "open_source",
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
    monkeypatch.setattr(pipeline, "draw_saliency", _failing(draw_saliency, error, after))


def _break_sink(monkeypatch: pytest.MonkeyPatch, error: BaseException, after: int) -> None:
    real = sinks.open_sinks

    @contextmanager
    def broken(*words: Any) -> Iterator[Any]:
        with real(*words) as write:
            yield _failing(write, error, after)

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
        monkeypatch.setattr(pipeline, "_DECODED", 0)
        monkeypatch.setattr(pipeline, "_ANALYSED", 0)
    error = RuntimeError(f"broken {stage}")
    BREAKS[stage](monkeypatch, error, after)
    begin_s = time.monotonic()
    with pytest.raises(RuntimeError) as caught:
        vidsal.run(clip, _settings(batch=4, table=Path("t.csv"), maps=Path("maps")))
    assert caught.value is error
    assert time.monotonic() - begin_s < SOON_S
    # The other half, no thread and no ffmpeg, is looked at after every test; see conftest.py.
    assert _left() == []


@pytest.mark.parametrize("kind", [VidsalError, MemoryError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("stage", BREAKS)
def test_every_kind_of_error_passes(
    stage: str, kind: type[BaseException], make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = kind("of the stage's own")
    BREAKS[stage](monkeypatch, error, 4)
    with pytest.raises(kind) as caught:
        vidsal.run(make_clip(frames=30), _settings(batch=4))
    assert caught.value is error
    assert _left() == []


@pytest.mark.parametrize("stage", ["source", "compute"])
def test_failure_in_analyse_comes_after_the_results_before_it(
    stage: str, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = RuntimeError("broken")
    BREAKS[stage](monkeypatch, error, 8)
    got: list[int] = []
    with pytest.raises(RuntimeError) as caught:
        got.extend(
            one.frame.index for one in vidsal.analyse(make_clip(frames=30), _settings(batch=4))
        )
    assert caught.value is error
    # `extend` keeps what came before the error: of the call that fails nothing comes.
    assert got == list(range(8 if stage == "source" else 5))


def test_source_is_closed_after_a_failure_and_after_leaving_early(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, opened = make_clip(frames=100), []
    real = sources.open_source

    def remembered(what: Any, settings: Settings, **_: Any) -> Failing:
        opened.append(Failing(real(what, settings), RuntimeError("the end"), 90))
        return opened[-1]

    monkeypatch.setattr(pipeline, "open_source", remembered)
    with pytest.raises(RuntimeError, match="the end"):
        vidsal.run(clip, _settings())
    results = vidsal.analyse(clip, _settings())
    assert [next(results).frame.index for _ in range(3)] == [0, 1, 2]
    results.close()  # type: ignore[attr-defined]
    assert [one.closed for one in opened] == [True, True]
    assert not [one for one in threading.enumerate() if one.name == "vidsal-prefetch"]


@pytest.mark.parametrize("function", [vidsal.analyse, vidsal.run])
def test_what_is_wrong_with_a_call_is_told_at_once(
    function: Callable[..., Any], make_clip: MakeClip
) -> None:
    clip = make_clip(frames=2)
    make_clip("other.mp4", frames=2)
    for words, says in [
        ((clip, "lite0"), "settings: expected vidsal.Settings"),
        ((clip, ""), "settings: expected vidsal.Settings"),
        (([clip], _settings()), "got list; run_all of vidsal.jobs takes a list of sources"),
        ((clip.parent / "*.mp4", _settings()), "means 2 sources, one is expected"),
        ((clip.parent, _settings()), "means 2 sources, one is expected"),
    ]:
        with pytest.raises(UsageError, match=says):
            # Of `analyse` not even the first frame is asked for.
            function(*words)
    assert _left() == []


def test_a_glob_of_one_name_is_that_file(make_clip: MakeClip) -> None:
    clip = make_clip(frames=2)
    word = str(clip.parent / "cl*.mp4")
    assert vidsal.run(word, _settings()) == Path("clip_saliency.mp4")
    assert len(list(vidsal.analyse(word, _settings(every=np.int64(2))))) == 1


def test_draw_wants_settings(make_clip: MakeClip) -> None:
    (saliency,) = vidsal.analyse(make_clip(frames=1), _settings())
    with pytest.raises(UsageError, match=r"^settings: expected vidsal\.Settings.*, got str$"):
        vidsal.draw(saliency, "quad")  # type: ignore[arg-type]


def test_a_bad_target_is_found_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a class of this network"):
        vidsal.run(tmp_path / "missing.mp4", _settings(target="no such thing"))
    with pytest.raises(UsageError, match="not a class of this network"):
        next(iter(vidsal.analyse(tmp_path / "missing.mp4", _settings(target="no such thing"))))


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
    real, calls = draw_saliency, itertools.count()

    def draw(*words: Any) -> Rgb:
        if next(calls) == 10:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*words)

    monkeypatch.setattr(pipeline, "draw_saliency", draw)
    with pytest.raises(KeyboardInterrupt):
        vidsal.run(make_clip(frames=400), _settings(table=Path("t.csv"), maps=Path("maps")))
    assert _left() == []


# A camera.


class FakeCamera:
    """Looks like cv2.VideoCapture; frame n is grey of level 2 n and arrives at n / 20 s."""

    def __init__(self, count: int, *, at: dict[int, Callable[[], None]] | None = None) -> None:
        self.released = False
        self.reads = 0
        self._count, self._at = count, at or {}

    def isOpened(self) -> bool:
        return True

    def read(self) -> tuple[bool, Any]:
        # The first is read to learn the size, before the recording begins.
        self.reads += 1
        number = self.reads - 2
        if number in self._at:
            self._at[number]()
            time.sleep(0.2)
        if number >= self._count:
            return False, None
        return True, np.full((96, 128, 3), 2 * max(0, number), np.uint8)

    def get(self, _: int) -> float:
        return 20.0

    def set(self, *_: Any) -> bool:
        return False

    def release(self) -> None:
        self.released = True

    def clock(self) -> float:
        return 1000 + (self.reads - 2) / 20


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeCamera], None]:
    """Connect a camera as number 0."""

    def plug(camera: FakeCamera) -> None:
        source = functools.partial(
            LiveSource,
            open_capture=lambda name: CameraCapture(name.address, open_capture=lambda _: camera),
            clock=camera.clock,
        )
        monkeypatch.setattr("vidsal.sources.LiveSource", source)

    return plug


def _interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def _levels(path: Path) -> list[int]:
    return [round(float(picture.mean())) for picture in _video(path)[3]]


PlugIn = Callable[[FakeCamera], None]


def test_camera_is_recorded_for_as_long_as_asked(
    plug_in: PlugIn, brightness: BrightnessStage
) -> None:
    camera = FakeCamera(10_000)
    plug_in(camera)
    out = vidsal.run("0", _settings(duration=2.0, layout="side-by-side", annotate=False))
    assert out == Path("camera0_saliency.mp4")
    count, rate, size, pictures = _video(out)
    assert (count, rate, size) == (40, Fraction(20), (96, 256))
    inputs = [round(float(picture[:, :120].mean())) for picture in pictures]
    assert inputs == pytest.approx([2 * n for n in range(40)], abs=2)
    # A camera does not wait until a batch is full.
    assert {len(pictures) for pictures in brightness.pictures} == {1}
    assert camera.released


def test_ctrl_c_on_a_camera_is_the_end_of_a_recording_that_is_kept(plug_in: PlugIn) -> None:
    camera = FakeCamera(10_000, at={30: _interrupt})
    plug_in(camera)
    before = signal.getsignal(signal.SIGINT)
    out = vidsal.run(0, _settings(annotate=False, table=Path("t.csv")))
    levels = _levels(out)
    # Frame 30 was being read; what was read until the signal arrived is there, and all in order.
    assert 30 <= len(levels) <= 32
    assert levels == pytest.approx([2 * n for n in range(len(levels))], abs=2)
    assert len(_table(Path("t.csv"))) == len(levels)
    assert signal.getsignal(signal.SIGINT) is before
    assert camera.released
    assert _left() == ["camera0_saliency.mp4", "t.csv"]


def test_a_later_ctrl_c_is_an_interrupt(plug_in: PlugIn, monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(FakeCamera(10_000))
    monkeypatch.setattr(interrupt, "_REPEAT_S", 0.2)
    real, calls = draw_saliency, itertools.count()

    def draw(*words: Any) -> Rgb:
        if next(calls) in (3, 4):
            _interrupt()
            time.sleep(0.3)
        return real(*words)

    monkeypatch.setattr(pipeline, "draw_saliency", draw)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        vidsal.run(0, _settings())
    assert signal.getsignal(signal.SIGINT) is before
    assert _left() == []


def test_a_pulled_cable_keeps_the_recording(plug_in: PlugIn) -> None:
    plug_in(FakeCamera(25))
    assert len(_levels(vidsal.run(0, _settings(annotate=False)))) == 25


def test_a_camera_off_the_main_thread_is_recorded_too(plug_in: PlugIn) -> None:
    plug_in(FakeCamera(5))
    done: list[Path] = []
    # Signals are the main thread's; without them the recording ends by itself.
    worker = threading.Thread(target=lambda: done.append(vidsal.run(0, _settings())))
    worker.start()
    worker.join(30)
    assert done == [Path("camera0_saliency.mp4")]
    assert _video(done[0])[0] == 5


def test_analyse_of_a_camera_can_be_left_at_any_time(plug_in: PlugIn) -> None:
    camera = FakeCamera(10_000)
    plug_in(camera)
    results = vidsal.analyse(0, _settings())
    seen = [next(results) for _ in range(5)]
    results.close()  # type: ignore[attr-defined]
    assert [one.frame.index for one in seen] == [0, 1, 2, 3, 4]
    assert [one.frame.time_s for one in seen] == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    assert camera.released
