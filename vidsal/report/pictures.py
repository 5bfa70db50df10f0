"""The video and the stills of a report, drawn from a source, or from the stored maps alone."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

from vidsal.analyser import DECODED_FRAMES
from vidsal.image_ops import even, panel_size, shrink
from vidsal.render.overlay import laid_over, map_picture
from vidsal.report.summary import Scene, Summary
from vidsal.runtime.prefetch import prefetch
from vidsal.runtime.progress import Progress
from vidsal.settings import OutputOptions
from vidsal.sinks.video import video_sink
from vidsal.sources.base import Source
from vidsal.store.reader import Store
from vidsal.stored.source import check_all, with_stored
from vidsal.types import Frame, Rgb

# Width of the video in pixels, and its quality. Both are low, because the overlay is smooth and
# the files should be small enough to send. 60 is CRF 26.
VIDEO_WIDTH_PX, _VIDEO_QUALITY = 640, 60
# Widths of stills: twice their widths on the page, for displays of high resolution. A photo uses
# the whole width of the page.
MOMENT_WIDTH_PX, _STRIP_WIDTH_PX, _PHOTO_WIDTH_PX = 480, 240, 1280
_JPEG_QUALITY = 80
# Pictures of the strip of scenes: as many as fit side by side on a wide screen, but at least one
# per scene.
_STRIP = 12
# Largest number of scenes with a picture; the longest scenes have one. More pictures would be
# slivers, and the page would grow by megabytes.
_MOST_PICTURED = 150


# Position in the store, time in seconds, picture.
Drawn = tuple[int, float, Rgb]


class Still(NamedTuple):
    """A picture of a report.

    Attributes
    ----------
    place : int
        Position of its frame in the store.
    width_px : int
        Largest width.
    """

    place: int
    width_px: int


class StripCell(NamedTuple):
    """A part of a scene in the strip of scenes.

    Attributes
    ----------
    scene : int
        Number of the scene.
    begin_s, end_s : float
        Start and end of the part.
    still : Still or None
        A picture from its middle.
    """

    scene: int
    begin_s: float
    end_s: float
    still: Still | None


def strip_of(summary: Summary) -> list[StripCell]:
    """Return the strip of scenes. Each scene is one or more cells of about the same duration.

    Parameters
    ----------
    summary : Summary
    """
    span_s = summary.end_s - summary.begin_s
    by_length = sorted(summary.scenes, key=lambda one: one.begin_s - one.end_s)
    pictured = {one.number for one in by_length[:_MOST_PICTURED]}
    return [
        cell
        for scene in summary.scenes
        for cell in _cells(scene, summary, span_s, is_pictured=scene.number in pictured)
    ]


def _cells(
    scene: Scene, summary: Summary, span_s: float, *, is_pictured: bool
) -> Iterator[StripCell]:
    """Yield the cells of one scene."""
    length_s = scene.end_s - scene.begin_s
    count = min(max(1, round(_STRIP * length_s / span_s)), scene.stop - scene.first)
    for n in range(count):
        begin_s = scene.begin_s + length_s * n / count
        end_s = scene.begin_s + length_s * (n + 1) / count
        place = int(summary.curves.time_s.searchsorted((begin_s + end_s) / 2, side="right")) - 1
        # Avoid the first frame of a scene, which has no motion yet.
        place = min(max(place, scene.first + 1), scene.stop - 1)
        still = Still(place, _STRIP_WIDTH_PX) if is_pictured else None
        yield StripCell(scene.number, begin_s, end_s, still)


def stills_of(summary: Summary, strip: Sequence[StripCell]) -> set[Still]:
    """Return the stills that a page shows.

    Parameters
    ----------
    summary : Summary
    strip : sequence of StripCell
        From `strip_of`.
    """
    if summary.fps is None:
        return {Still(0, _PHOTO_WIDTH_PX)}
    moments = {Still(one.place, MOMENT_WIDTH_PX) for one in summary.moments}
    return moments | {cell.still for cell in strip if cell.still}


def cover_of(summary: Summary) -> Still:
    """Return the still that represents the whole: the strongest moment, or the middle.

    Parameters
    ----------
    summary : Summary
    """
    if summary.fps is None:
        return Still(0, _PHOTO_WIDTH_PX)
    if not summary.moments:
        return Still(len(summary.curves) // 2, MOMENT_WIDTH_PX)
    return Still(max(summary.moments, key=lambda one: one.speed_p99).place, MOMENT_WIDTH_PX)


def draw_pictures(
    store: Store,
    source: Source | None,
    stills: set[Still],
    video: Path | None,
    progress: Progress,
) -> dict[Still, bytes]:
    """Draw small overlays of all frames; write the video and return the stills.

    Parameters
    ----------
    store : Store
    source : Source or None
        Without a source, the stills show the maps alone, and there is no video.
    stills : set of Still
    video : Path or None
        The video to write, if any.
    progress : callable

    Returns
    -------
    dict of Still to bytes
        JPEG files.

    Raises
    ------
    VidsalError
        If the source does not fit the store, or the video cannot be written.
    """
    if source is None:
        maps = progress(_map_pictures(store, {one.place for one in stills}), None)
        return _jpegs(maps, stills, lambda picture, time_s: None)
    sink = _video_of(video, source) if video else nullcontext(lambda picture, time_s: None)
    with (
        sink as write,
        prefetch(source.frames(), DECODED_FRAMES) as frames,
        prefetch(_overlays(store, frames, source), DECODED_FRAMES) as pictures,
    ):
        return _jpegs(progress(pictures, len(store)), stills, write)


@contextmanager
def _video_of(path: Path, source: Source) -> Iterator[Callable[[Rgb, float], None]]:
    """Lend a function that writes the pictures of a video without sound."""
    options = OutputOptions(output=path, quality=_VIDEO_QUALITY, audio=False)
    with video_sink(path, source.info, options) as sink:
        yield sink.write


def _jpegs(
    pictures: Iterable[Drawn], stills: set[Still], write: Callable[[Rgb, float], None]
) -> dict[Still, bytes]:
    """Write pictures as they arrive; return the stills among them as JPEG files."""
    found: dict[Still, bytes] = {}
    for place, time_s, picture in pictures:
        write(picture, time_s)
        found |= {one: jpeg(picture, one.width_px) for one in stills if one.place == place}
    return found


def jpeg(picture: Rgb, width_px: int) -> bytes:
    """Return a picture as a JPEG file.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array
    width_px : int
        Wider pictures are reduced to this width.
    """
    import imageio.v3 as iio

    size = panel_size((picture.shape[0], picture.shape[1]), 1, width_px)
    return bytes(
        iio.imwrite(
            "<bytes>", shrink(picture, size), extension=".jpg", plugin="pillow",
            quality=_JPEG_QUALITY,
        )
    )  # fmt: skip


def _overlays(store: Store, frames: Iterable[Frame], source: Source) -> Iterator[Drawn]:
    """Yield position, time and small overlay of each frame."""
    settings, count = store.settings, 0
    limit_px = VIDEO_WIDTH_PX if source.info.fps else _PHOTO_WIDTH_PX
    for place, (frame, stored) in enumerate(with_stored(store, frames, without=("gradient",))):
        height, width = frame.rgb.shape[:2]
        rgb = shrink(frame.rgb, panel_size((height, width), 1, limit_px))
        drawn = laid_over(
            rgb, stored.fused, view=settings.style, colormap=settings.colormap,
            alpha=settings.alpha,
        )  # fmt: skip
        count += 1
        yield place, frame.time_s, even(drawn)
    # This check comes before any file gets its final name.
    check_all(store, source, count)


def _map_pictures(store: Store, places: set[int]) -> Iterator[Drawn]:
    """Yield position, time and map of some frames."""
    size = store.about["height_px"], store.about["width_px"]
    settings = store.settings
    limit_px = VIDEO_WIDTH_PX if store.about.get("fps") else _PHOTO_WIDTH_PX
    for place in sorted(places):
        stored = store[place]
        picture = map_picture(
            stored.fused, panel_size(size, 1, limit_px), colormap=settings.colormap
        )
        yield place, stored.time_s, picture
