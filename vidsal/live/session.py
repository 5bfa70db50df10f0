"""Live: a camera or stream on show, analysed as fast as this machine can, recorded in real time.

Three threads: one captures into a slot of one, in which the newest frame wins; one analyses what it
finds there; the main one draws, shows and records. So what is shown is as old as the work on
one frame or two, however slow that is.
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

from vidsal.errors import UsageError, VidsalError
from vidsal.live.adaptive import Adaptive
from vidsal.live.preview import Button, Preview
from vidsal.live.previews import open_preview
from vidsal.live.recording import Recording
from vidsal.live.statistics import Counting, LiveStats, Summary
from vidsal.render.draw import draw_saliency, write_line
from vidsal.render.style import Style
from vidsal.runtime.allocation import keep_freed
from vidsal.runtime.atomic_write import free_names
from vidsal.runtime.latest import Slot, newest
from vidsal.settings import Layout, LiveOptions, Settings
from vidsal.sinks.image import image_sink
from vidsal.sources.capture import capture_of
from vidsal.sources.interrupt import stopped_after, stopped_by_ctrl_c
from vidsal.sources.live import LiveSource
from vidsal.sources.resolve import SourceName, parse_live
from vidsal.static.models import Network
from vidsal.types import Frame, Rgb, Saliency, Shown, StaticStage

log = logging.getLogger(__name__)

# How long the main thread waits for a picture before it looks at the buttons again.
_TICK_S = 0.03
# How often the figures change: more often nobody can read them.
_FIGURES_S = 0.25


def live(
    address: str,
    settings: Settings,
    options: LiveOptions,
    *,
    say: Callable[[str], None] = log.info,
    open_source: Callable[[SourceName, Settings], LiveSource] | None = None,
    static: Callable[[], StaticStage | None] | None = None,
) -> Summary:
    """Do what ``vidsal live`` does, until it is quit, ``duration`` is over, or Ctrl-C.

    Parameters
    ----------
    address : str
        A camera's number or path, or a stream's address.
    settings : Settings
        ``output`` records from the start.
    options : LiveOptions
    say : callable
        Gets what the user has to know, such as the address of the page.
    open_source, static : callable
        What opens the source and the network, for whoever has others.

    Raises
    ------
    UsageError
        If `address` is neither a camera nor a stream, or a table has no video to go with.
    VidsalError
        If there is no camera, or something cannot be written.
    """
    name = parse_live(address)
    if settings.table is not None and settings.output is None:
        raise UsageError("--table goes with a recording: give -o as well")
    keep_freed()
    network = Network(settings, progress=True)
    opened = (open_source or _open_source)(name, replace(settings, duration=None))
    segment_s = options.segment_minutes and options.segment_minutes * 60
    with (
        opened as source,
        # The source first: it is there or not, while weights may have to be downloaded.
        Recording(source.info, settings, segment_s=segment_s) as recording,
        newest(source.frames()) as frames,
        stopped_after(source),
        open_preview(options.preview, host=options.host, port=options.port, say=say) as preview,
    ):
        if network.choice.name:
            # Nothing is shown, or recorded, until then.
            say(f"{network.choice.name} is being loaded, which takes some seconds")
        stage = static() if static else network.stage
        analysis = Adaptive(
            stage, settings, source.info, options.latency_target, network.choice.name
        )
        analysis.prepare()
        show = _Show(
            source, frames, analysis, preview, recording, settings, options, network.choice.name
        )
        with (
            # Until here there is nothing to keep: a plain interrupt, while a network loads.
            stopped_by_ctrl_c(source),
            newest(analysis.results(frames), drops=False) as results,
            stopped_after(source),
        ):
            show.run(results)
    if settings.output is not None and not recording.files:
        log.warning("nothing was recorded: it ended before a frame that counts was shown")
    return show.counting.summary(tuple(str(path) for path in recording.files))


def _open_source(name: SourceName, settings: Settings) -> LiveSource:
    capture = partial(capture_of, newest_only=True)
    return LiveSource(name, settings, keeps_trying=True, open_capture=capture)


@contextmanager
def _forgiven() -> Iterator[None]:
    """Say what failed, and go on: a button must not end the show."""
    try:
        yield
    except (VidsalError, OSError) as error:
        log.warning("%s", error)


class _Show:
    """The main thread's work: draw, show, record, and do what the buttons say."""

    def __init__(
        self,
        source: LiveSource,
        frames: Slot[Frame],
        analysis: Adaptive,
        preview: Preview,
        recording: Recording,
        settings: Settings,
        options: LiveOptions,
        model_name: str | None,
    ) -> None:
        self._source, self._frames, self._analysis = source, frames, analysis
        self._preview, self._recording = preview, recording
        self._settings, self._options = settings, options
        self._style, self._model_name = Style.of(settings), model_name
        self._records, self._since_s = settings.output is not None, 0.0
        # What was asked for at the start must not fail quietly; what a button began may.
        self._by_button = False
        self._paused = self._quits = self._idles = False
        self._came, self._first_s = 0, 0.0
        self._last: Saliency | None = None
        self._figures: LiveStats | None = None
        self._figured_s = 0.0
        self.counting = Counting()

    def run(self, results: Slot[Saliency]) -> None:
        """Go on until the end, whoever brings it."""
        while not self._quits and not results.is_over and not self._is_due():
            saliency = results.take(_TICK_S)
            if saliency is not None and not self._paused:
                self._take_in(saliency)
            else:
                self._wait()
            for button in self._preview.pressed():
                with _forgiven():
                    self._do(button)
        # Here and now, not when all threads have ended: a recording lasts as long as it was shown.
        self._recorded(lambda: self._recording.end(self._end_s()))

    def _is_due(self) -> bool:
        """Say whether the run has lasted as long as was asked for."""
        return self._source.now_s() >= self._due_s()

    def _due_s(self) -> float:
        """When the run is to end, on the clock of the frames."""
        duration_s = self._settings.duration
        if duration_s is None or not self.counting.has_begun:
            return math.inf
        return self.counting.began_s + duration_s

    def _end_s(self) -> float:
        return min(self._source.now_s(), self._due_s())

    def _take_in(self, saliency: Saliency) -> None:
        """Draw, show and record one analysed frame."""
        picture = self._drawn(saliency)
        now_s = self._source.now_s()
        age_s = now_s - saliency.frame.time_s
        shown = Shown(time.time(), 1000 * age_s)
        self._last = saliency
        self._count(now_s, age_s)
        self._preview.show(picture, self._marked())
        if self._records and self.counting.has_begun:
            since_s = self._since_s
            self._recorded(
                lambda: self._recording.write(saliency, picture, shown=shown, since_s=since_s)
            )

    def _drawn(self, saliency: Saliency) -> Rgb:
        """Return the picture of a frame, with the figures on it."""
        picture = draw_saliency(saliency, self._style)
        if self._figures is not None and self._settings.annotate:
            below = self._style.layout in ("side-by-side", "triptych", "quad")
            write_line(picture, self._marked().line(), below=below)
        return picture

    def _count(self, now_s: float, age_s: float) -> None:
        """Count a frame that is shown now, once the start is over."""
        self._came += 1
        if not self.counting.has_begun:
            self._first_s = self._first_s or now_s
            warmup = self._options.warmup
            is_warm = now_s - self._first_s >= warmup.seconds
            if self._came > warmup.frames and is_warm:
                self.counting.begin(now_s, self._frames.seen, self._frames.dropped)
                self._since_s = now_s
            return
        if self._idles:
            # A rate across a pause would say that this machine is slow.
            self._idles, self._figured_s = False, -math.inf
            self.counting.resume()
            self._analysis.resume()
        self.counting.after(now_s, self._frames.seen, self._frames.dropped, age_s)
        if self._figures is None or now_s - self._figured_s >= _FIGURES_S:
            self._analysis.adapt(now_s, self.counting)
            self._figures, self._figured_s = self._figured(), now_s

    def _wait(self) -> None:
        """Keep time where nothing new is to be shown."""
        now_s, is_idle = self._source.now_s(), self._paused or self._source.is_lost
        self._idles |= is_idle
        self.counting.after(now_s, self._frames.seen, self._frames.dropped, is_idle=is_idle)
        if self._last is None or not is_idle:
            return
        if now_s - self._figured_s >= _FIGURES_S:
            self._figures, self._figured_s = self._figured(), now_s
            # Drawn anew: in the layout that is wanted now, and marked as what it is.
            picture = self._drawn(self._last)
            self._preview.show(picture, self._marked())
            self._recorded(lambda: self._recording.hold(now_s, picture))

    def _figured(self) -> LiveStats:
        """Return how things go."""
        counting, analysis = self.counting, self._analysis
        seen = self._last.prediction if self._last else None
        return LiveStats(
            time_s=counting.seconds, fps_in=counting.rates[0], fps_out=counting.rates[1],
            latency_ms=counting.latency_ms, dropped_share=counting.dropped_share,
            every=analysis.every, size=str(analysis.size), model=self._model_name or "none",
            target=seen.target_name if seen and self._settings.fusion != "motion" else "motion",
            seen=f"{seen.names[0]} {seen.probabilities[0]:.0%}" if seen else "",
            layout=self._style.layout,
        )  # fmt: skip

    def _marked(self) -> LiveStats:
        """Return the figures, which change now and then, with the marks that hold at once."""
        return replace(
            self._figures or self._figured(), is_recording=self._recording.is_on,
            is_paused=self._paused, is_lost=self._source.is_lost,
        )  # fmt: skip

    def _do(self, button: Button) -> None:
        """Do what a button says."""
        if button == "quit":
            self._quits = True
        elif button == "pause":
            self._paused = not self._paused
        elif button == "layout":
            layouts: tuple[Layout, ...] = get_args(Layout)
            place = (layouts.index(self._style.layout) + 1) % len(layouts)
            self._style = self._style._replace(layout=layouts[place])
        elif button == "target":
            self._analysis.aim_next(self._last.prediction if self._last else None)
        elif button == "record":
            self._records, self._since_s = not self._records, self._source.now_s()
            if not self._records:
                self._recording.end(self._source.now_s())
            self._by_button = True
        elif self._last is not None:
            self._snapshot(self._last)

    def _recorded(self, work: Callable[[], None]) -> None:
        """Record; what a button began and cannot be written ends, and the show goes on."""
        try:
            work()
        except VidsalError as error:
            if not self._by_button:
                raise
            log.warning("%s", error)
            self._records = False
            with _forgiven():
                self._recording.end(self._source.now_s())

    def _snapshot(self, saliency: Saliency) -> None:
        (path,) = free_names(Path("snapshot.png"))
        with image_sink(path) as sink:
            sink.write(self._drawn(saliency), saliency.frame.time_s)
        log.warning("wrote %s", path)
