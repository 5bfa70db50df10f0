"""Live analysis of a camera or stream: shown as fast as possible, and recorded in real time.

Three threads work. One captures into a slot that keeps only the newest frame, one analyses the
frame in that slot, and the main thread draws, displays and records. So the latency is the work on
one or two frames, even if the analysis is slower than the camera.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

from vidsal.errors import UsageError, VidsalError, option
from vidsal.live.adaptive import Adaptive
from vidsal.live.preview import Button, Preview
from vidsal.live.previews import open_preview
from vidsal.live.recording import Recording
from vidsal.live.statistics import LiveStats, StatsCollector, Summary
from vidsal.render.draw import draw_saliency, write_line
from vidsal.render.style import Style
from vidsal.runtime.allocation import keep_freed
from vidsal.runtime.atomic_write import free_names
from vidsal.runtime.cores import half_for_opencv
from vidsal.runtime.latest import Slot, newest
from vidsal.settings import PANELS, Layout, LiveOptions, Settings
from vidsal.sinks.image import image_sink
from vidsal.sources.capture import capture_of
from vidsal.sources.interrupt import stopped_after, stopped_by_ctrl_c
from vidsal.sources.live import LiveSource
from vidsal.sources.resolve import SourceName, parse_live
from vidsal.static.models import Network
from vidsal.types import Frame, Rgb, Saliency, Shown, StaticStage

log = logging.getLogger(__name__)

# How long the main thread waits for a result before it checks the buttons again.
_POLL_S = 0.03
# Interval at which the displayed statistics change, slow enough to be read.
_STATS_S = 0.25


def live(
    address: str,
    settings: Settings,
    options: LiveOptions,
    *,
    say: Callable[[str], None] = log.info,
    open_source: Callable[[SourceName, Settings], LiveSource] | None = None,
    static: Callable[[], StaticStage | None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
    unix_time: Callable[[], float] = time.time,
) -> Summary:
    """Analyse a live source as ``vidsal live`` does, until "quit", ``duration`` or Ctrl-C.

    Parameters
    ----------
    address : str
        Number or path of a camera, or URL of a stream.
    settings : Settings
        ``output`` starts the recording at once.
    options : LiveOptions
    say : callable
        Gets messages for the user, such as the URL of the page.
    open_source : callable, optional
        Opens the source; by default a camera or stream.
    static : callable, optional
        Returns the network; by default the one that the settings name.
    clock : callable
        Returns seconds; the analysis measures its speed with it. Frames are timed by the clock of
        the source.
    unix_time : callable
        Returns seconds since 1970, for the table.

    Returns
    -------
    Summary

    Raises
    ------
    UsageError
        If `address` is neither a camera nor a stream, or a table is requested without a video.
    VidsalError
        If the source cannot be opened, or a file cannot be written.
    """
    name = parse_live(address)
    if settings.table is not None and settings.output is None:
        raise UsageError(f"{option('table')} needs a recording: give {option('output')} as well")
    keep_freed()
    network = Network(settings, progress=True)
    opened = (open_source or _open_source)(name, replace(settings, duration=None))
    segment_s = options.segment_minutes and options.segment_minutes * 60
    with (
        half_for_opencv(),
        opened as source,
        # The source is opened first: it fails at once, while weights may need a download.
        Recording(source.info, settings, segment_s=segment_s) as recording,
        # A gradient takes longer than a frame lasts: the one that comes meanwhile can wait.
        newest(source.frames(), spare=True) as frames,
        stopped_after(source),
        open_preview(options.preview, host=options.host, port=options.port, say=say) as preview,
    ):
        model_name = network.choice.name
        if model_name:
            # Nothing is displayed or recorded until then.
            say(f"{model_name} is being loaded, which takes some seconds")
        stage = static() if static else network.stage
        analysis = Adaptive(
            stage, settings, source.info, options.latency_target, model_name, clock=clock
        )
        analysis.prepare()
        loop = _LiveLoop(
            source, frames, analysis, preview, recording, settings, options,
            model_name=model_name, clock=clock, unix_time=unix_time,
        )  # fmt: skip
        with (
            # Before this, there is nothing to keep: Ctrl-C interrupts the loading of the network.
            stopped_by_ctrl_c(source),
            newest(analysis.results(frames), drops=False) as results,
            stopped_after(source),
        ):
            loop.run(results)
    if settings.output is not None and not recording.files:
        log.warning("nothing was recorded: the run ended before the first frame after the warm-up")
    return loop.stats.summary(tuple(str(path) for path in recording.files))


def _open_source(name: SourceName, settings: Settings) -> LiveSource:
    capture = partial(capture_of, newest_only=True)
    return LiveSource(name, settings, keeps_trying=True, open_capture=capture)


@contextmanager
def _errors_as_warnings() -> Iterator[None]:
    """Log an error and continue: a failed button must not end the run."""
    try:
        yield
    except (VidsalError, OSError) as error:
        log.warning("%s", error)


class _LiveLoop:
    """The work of the main thread: draw, display, record, and handle buttons."""

    def __init__(
        self,
        source: LiveSource,
        frames: Slot[Frame],
        analysis: Adaptive,
        preview: Preview,
        recording: Recording,
        settings: Settings,
        options: LiveOptions,
        *,
        model_name: str | None,
        clock: Callable[[], float],
        unix_time: Callable[[], float],
    ) -> None:
        self._source, self._frames, self._analysis = source, frames, analysis
        self._preview, self._recording = preview, recording
        # Captions leave the line of the statistics free.
        has_status = options.stats or preview.draws_stats
        self._settings = settings
        self._style = Style.of(settings)._replace(has_status=has_status)
        self._fps = float(source.info.fps or 1)
        self._warmup, self._records_stats = options.warmup, options.stats
        self._model_name, self._clock, self._unix_time = model_name, clock, unix_time
        self._records, self._record_since_s = settings.output is not None, 0.0
        # Errors of a recording that a button started are warnings.
        self._started_by_button = False
        self._is_paused = self._has_quit = self._is_idle = False
        self._warmup_frames, self._first_shown_s = 0, 0.0
        self._last: Saliency | None = None
        self._displayed: LiveStats | None = None
        self._displayed_since_s = 0.0
        self.stats = StatsCollector()

    def run(self, results: Slot[Saliency]) -> None:
        """Run until the user quits, the results end, or the duration is over."""
        began_s = self._clock()
        while not self._has_quit and not results.is_over and not self._is_due(began_s):
            saliency = results.take(_POLL_S)
            if saliency is None or self._is_paused:
                self.stats.unshown += saliency is not None and self.stats.has_begun
                self._wait()
            elif saliency.frame.time_s < self._due_s():
                self._process(saliency)
            for button in self._preview.pressed():
                with _errors_as_warnings():
                    self._handle(button)
        # Before the threads end: the recording lasts as long as the display.
        end_s = min(self._source.now_s(), self._due_s())
        self._record(lambda: self._recording.end(end_s))

    def _is_due(self, began_s: float) -> bool:
        """Return whether the requested duration is over.

        A source that is lost before the warm-up ends does not delay the end of the run.
        """
        duration_s = self._settings.duration
        if duration_s is not None and not self.stats.has_begun and self._source.is_lost:
            warmup_s = max(self._warmup.seconds, self._warmup.frames / self._fps)
            return self._clock() - began_s >= warmup_s + duration_s
        return self._source.now_s() >= self._due_s()

    def _due_s(self) -> float:
        """Return the end of the requested duration, on the clock of the frames."""
        duration_s = self._settings.duration
        if duration_s is None or not self.stats.has_begun:
            return math.inf
        return self.stats.began_s + duration_s

    def _process(self, saliency: Saliency) -> None:
        """Draw, display and record one analysed frame."""
        picture = draw_saliency(saliency, self._style)
        now_s = self._source.now_s()
        age_s = now_s - saliency.frame.time_s
        shown = Shown(self._unix_time(), 1000 * age_s)
        self._last = saliency
        self._count(now_s, age_s)
        recorded = self._show(picture)
        if self._records and self.stats.has_begun:
            since_s = self._record_since_s
            self._record(
                lambda: self._recording.write(saliency, recorded, shown=shown, since_s=since_s)
            )

    def _show(self, picture: Rgb) -> Rgb:
        """Display a picture; return the one to record, with the statistics only on request."""
        stats = self._stats_with_state()
        is_displayed = self._preview.draws_stats and self._settings.annotate
        if self._displayed is None or not (is_displayed or self._records_stats):
            self._preview.show(picture, stats)
            return picture
        with_stats = self._with_stats(picture, stats)
        self._preview.show(with_stats if is_displayed else picture, stats)
        return with_stats if self._records_stats else picture

    def _with_stats(self, picture: Rgb, stats: LiveStats) -> Rgb:
        """Return a copy of a picture with the statistics on it."""
        copy = picture.copy()
        below = PANELS[self._style.layout] != (1, 1)
        write_line(copy, stats.line(), below=below)
        return copy

    def _count(self, now_s: float, age_s: float) -> None:
        """Count a frame that is displayed now, after the warm-up."""
        if not self.stats.has_begun:
            self._warmup_frames += 1
            self._first_shown_s = self._first_shown_s or now_s
            is_warm = now_s - self._first_shown_s >= self._warmup.seconds
            if self._warmup_frames > self._warmup.frames and is_warm:
                dropped = self._dropped()
                self.stats.begin(now_s, self._warmup_frames + dropped, dropped)
                self._record_since_s = now_s
            return
        if self._is_idle:
            # Rates that include a pause would make the machine look slow.
            self._is_idle, self._displayed_since_s = False, -math.inf
            self.stats.resume()
            self._analysis.resume()
        self.stats.update(min(now_s, self._due_s()), self._seen(), self._dropped(), age_s)
        if self._displayed is None or now_s - self._displayed_since_s >= _STATS_S:
            self._analysis.adapt(now_s, self.stats)
            self._displayed, self._displayed_since_s = self._current_stats(), now_s

    def _wait(self) -> None:
        """Update time, display and recording while there is no new frame."""
        now_s = min(self._source.now_s(), self._due_s())
        is_idle = self._is_paused or self._source.is_lost
        self._is_idle |= is_idle
        self.stats.update(now_s, self._seen(), self._dropped(), is_idle=is_idle)
        if self._last is None or not is_idle:
            return
        if now_s - self._displayed_since_s >= _STATS_S:
            self._displayed, self._displayed_since_s = self._current_stats(), now_s
            # Drawn again: the layout may have changed, and the state is marked.
            picture = self._show(draw_saliency(self._last, self._style))
            self._record(lambda: self._recording.hold(now_s, picture))

    def _seen(self) -> int:
        """Return the number of frames that arrived, also of those that the source left out."""
        return self._frames.seen + self._source.late

    def _dropped(self) -> int:
        """Return the number of frames that arrived and are not analysed."""
        return self._frames.dropped + self._source.late

    def _current_stats(self) -> LiveStats:
        """Return the statistics of this moment."""
        stats, analysis = self.stats, self._analysis
        return LiveStats(
            time_s=stats.seconds, fps_in=stats.rates[0], fps_out=stats.rates[1],
            latency_ms=stats.latency_ms, dropped_share=stats.dropped_share,
            every=analysis.every, size=str(analysis.size), model=self._model_name or "none",
            target="", top_class="", layout=self._style.layout,
        )  # fmt: skip

    def _stats_with_state(self) -> LiveStats:
        """Return the displayed statistics, which change slowly, with the state of this moment.

        Classes are those of the displayed frame, as in its caption.
        """
        prediction = self._last.prediction if self._last else None
        target = top_class = ""
        if prediction:
            target = prediction.target_name
            top_class = f"{prediction.names[0]} {prediction.probabilities[0]:.0%}"
        if prediction is None or self._settings.fusion == "motion":
            target = "motion"
        return replace(
            self._displayed or self._current_stats(), target=target, top_class=top_class,
            layout=self._style.layout, is_captioned=self._settings.annotate,
            is_recording=self._recording.is_on, is_paused=self._is_paused,
            is_lost=self._source.is_lost,
        )  # fmt: skip

    def _handle(self, button: Button) -> None:
        """Carry out what a button stands for."""
        if button == "quit":
            self._has_quit = True
        elif button == "pause":
            self._is_paused = not self._is_paused
        elif button == "layout":
            layouts: tuple[Layout, ...] = get_args(Layout)
            index = (layouts.index(self._style.layout) + 1) % len(layouts)
            self._style = self._style._replace(layout=layouts[index])
        elif button == "target":
            self._analysis.next_target(self._last.prediction if self._last else None)
        elif button == "record":
            self._records, self._record_since_s = not self._records, self._source.now_s()
            if not self._records:
                self._recording.end(self._source.now_s())
            self._started_by_button = True
        elif self._last is not None:
            self._snapshot(self._last)

    def _record(self, action: Callable[[], None]) -> None:
        """Record; after an error, end a recording that a button started, and continue the run."""
        try:
            action()
        except VidsalError as error:
            if not self._started_by_button:
                raise
            log.warning("%s", error)
            self._records = False
            with _errors_as_warnings():
                self._recording.end(self._source.now_s())

    def _snapshot(self, saliency: Saliency) -> None:
        """Write the picture of a frame to a new file."""
        (path,) = free_names(Path("snapshot.png"))
        with image_sink(path) as sink:
            sink.write(draw_saliency(saliency, self._style), saliency.frame.time_s)
        log.warning("wrote %s", path)
