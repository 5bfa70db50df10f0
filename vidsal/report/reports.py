"""Reports of stored analyses: one page for a store, and an index for a folder of stores."""

import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from vidsal.errors import UsageError, VidsalError, one_line, option
from vidsal.media import probe
from vidsal.report.page import Card, Film, facts, index_html, report_html
from vidsal.report.paths import address, claim_result, page_of, pages_of, quoted
from vidsal.report.pictures import cover_of, draw_pictures, stills_of, strip_of
from vidsal.report.summary import Summary, summary_of
from vidsal.runtime.atomic_write import (
    beside,
    claim,
    free_names,
    temporary_sibling,
    write_text,
    writing,
)
from vidsal.runtime.progress import Progress, choose_progress, phase
from vidsal.sinks import require_apart
from vidsal.sources.base import Source
from vidsal.store.labels import differences_of
from vidsal.store.location import is_store
from vidsal.store.opening import lent_store
from vidsal.store.reader import Store
from vidsal.store.schema import is_store_name, stem_of
from vidsal.stored.source import source_of
from vidsal.types import SourceInfo

log = logging.getLogger(__name__)

# A larger video is written beside its report. Base64 makes it a third larger, and many mail servers
# accept no more than 25 MB.
_LARGEST_EMBEDDED = 16 * 1024 * 1024
# A linked video may be this much shorter or longer than the analysed part, because its sound ends
# later, or its last frame has another length.
_TOLERANCE_S = 0.5
_NO_SOURCE = "The source was not at hand when this page was written: pictures show the maps alone."


class Written(NamedTuple):
    """A report that was written.

    Attributes
    ----------
    path : Path
    summary : Summary
    store : Store
    picture : bytes
        A JPEG file that represents the report.
    """

    path: Path
    summary: Summary
    store: Store
    picture: bytes


def report_store(
    store: Store | str | Path,
    output: str | Path | None = None,
    *,
    source: Any = None,
    video: str | Path | None = None,
    embed: bool = True,
    overwrite: bool = False,
    progress: bool | Progress = True,
) -> Path:
    """Write an HTML page of a stored analysis, as ``vidsal report`` does.

    TensorFlow is not loaded.

    Parameters
    ----------
    store : Store, str or Path
        A store (folder or zip file) that ``vidsal run --keep`` wrote, or what
        `vidsal.open_store` returns, or a folder of several stores: each gets a report, and an
        index links the reports.
    output : str or Path, optional
        The HTML file. By default ``<name>_report.html`` in the current folder, and for several
        stores ``index.html`` in their folder.
    source : str or path-like, optional
        The source, if it was moved. Without a source, the report shows the maps alone.
    video : str or Path, optional
        A video to link, such as the one of the run; by default a small one is drawn.
    embed : bool
        Put the small video into the page if it has up to 16 MB. Otherwise it is written beside
        the page.
    overwrite : bool
        Replace files that exist.
    progress : bool or callable
        As for `vidsal.run`.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    UsageError
        If an argument is invalid, or does not match the store.
    VidsalError
        If the store, the given source or the given video cannot be used, or a file cannot be
        written. With several stores, the reports of the others are written nevertheless.
    """
    path = store.path if isinstance(store, Store) else Path(store)
    page = None if output is None else Path(output)
    if isinstance(store, Store) or is_store(path) or not path.is_dir():
        page = page_of(path, page)
        return _report(
            store, page, source=source, video=video, embed=embed, overwrite=overwrite,
            progress=progress,
        ).path  # fmt: skip
    for name, value in (("source", source), ("video", video)):
        if value is not None:
            raise UsageError(f"{option(name)} is for one store, and {path} is a folder of stores")
    return _index(path, page, embed=embed, overwrite=overwrite, progress=progress)


def _report(
    given: Store | str | Path,
    page: Path,
    *,
    source: Any,
    video: str | Path | None,
    embed: bool,
    overwrite: bool,
    progress: bool | Progress,
) -> Written:
    """Write the page of one store."""
    with ExitStack() as stack:
        store = stack.enter_context(lent_store(given))
        claim_result(store, page, overwrite=overwrite)
        shown = choose_progress(progress, label=store.source_name) or (lambda items, _: items)
        # Open the source first, so that a wrong source is rejected at once.
        opened, notes = _opened(store, source, stack)
        clip = None
        if opened is not None:
            # The source may have moved since the analysis.
            require_apart(opened.info.name, page, opened.info.files)
            if video is None and opened.info.fps:
                clip = _clip_of(store, page, opened.info, embed=embed, overwrite=overwrite)
        with phase("reading the maps") if progress else nullcontext():
            summary = summary_of(store)
        strip, cover = strip_of(summary), cover_of(summary)
        film = None if video is None else _linked(Path(video), page, summary)
        part = stack.enter_context(temporary_sibling(clip, ".mp4")) if clip else None
        stills = stills_of(summary, strip) | {cover}
        pictures = draw_pictures(store, opened, stills, part, shown)
        if clip and part:
            film = _film(part, clip, summary, embed=embed)
        text = report_html(store, summary, strip, pictures, film, notes)
        if clip and part and film and not film.data:
            with writing(clip):
                part.replace(clip)
        write_text(page, text)
    return Written(page, summary, store, pictures[cover])


def _clip_of(store: Store, page: Path, info: SourceInfo, *, embed: bool, overwrite: bool) -> Path:
    """Return the path of the drawn video for the case that it is not embedded.

    Raises
    ------
    UsageError, VidsalError
        If the video must be written beside the page, and cannot be.
    """
    clip = beside(page, "_video.mp4")
    try:
        claim_result(store, clip, overwrite=overwrite)
        require_apart(info.name, clip, info.files)
    except VidsalError:
        if not embed:
            raise
        # Most videos fit into the page. If this one does not, the existing file stays.
        return free_names(clip)[0]
    return clip


def _opened(store: Store, source: Any, stack: ExitStack) -> tuple[Source | None, list[str]]:
    """Return the open source of a store, if it is available, and notes on what is missing."""
    try:
        return stack.enter_context(source_of(store, store.settings, source)), []
    except VidsalError as error:
        if source is not None:
            raise
        log.warning("%s; the report shows the maps alone", one_line(error))
        return None, [_NO_SOURCE]


def _film(part: Path, clip: Path, summary: Summary, *, embed: bool) -> Film:
    """Return the drawn video of a report, embedded if this is allowed and it is small enough."""
    size = part.stat().st_size
    if embed and size <= _LARGEST_EMBEDDED:
        return Film(part.read_bytes(), "", -summary.begin_s)
    if embed:
        log.warning(
            "the video has %.0f MB, more than %.0f MB: it is written beside the report, as %s",
            size / 1e6, _LARGEST_EMBEDDED / 1e6, clip,
        )  # fmt: skip
    return Film(b"", quoted(clip.name), -summary.begin_s)


def _linked(video: Path, page: Path, summary: Summary) -> Film:
    """Return the link to a video that exists.

    Raises
    ------
    UsageError
        If the store contains a photo.
    VidsalError
        If the file is not a video, or its duration differs from that of the analysed part.
    """
    if summary.fps is None:
        raise UsageError(f"{option('video', str(video))}: {summary.name} is a photo")
    if not video.is_file():
        raise VidsalError(f"{option('video', str(video))}: there is no such file")
    picture = probe.inspect(video).picture
    if picture is None:
        raise VidsalError(f"{option('video', str(video))}: it has no video stream")
    first_s = float(picture.times_s[0])
    length_s, analysed_s = picture.end_s - first_s, summary.end_s - summary.begin_s
    if abs(length_s - analysed_s) <= _TOLERANCE_S:
        shift_s = first_s - summary.begin_s
    elif length_s >= summary.end_s - _TOLERANCE_S:
        # The video shows the whole source, and only a part was analysed.
        shift_s = first_s
    else:
        raise VidsalError(
            f"{option('video', str(video))} lasts {length_s:.1f} s, and {analysed_s:.1f} s were "
            "analysed: give the video of that run, or leave the option out"
        )
    return Film(b"", address(video, page), shift_s)


def _index(
    folder: Path,
    output: Path | None,
    *,
    embed: bool,
    overwrite: bool,
    progress: bool | Progress,
) -> Path:
    """Write the reports of the stores in a folder, and the index with links to them."""
    stores = sorted(_stores_in(folder))
    if not stores:
        raise VidsalError(f"{folder} has no stores: vidsal run --keep NAME.vidsal writes one")
    index = folder / "index.html" if output is None else output
    index = index / "index.html" if index.is_dir() else page_of(folder, index)
    claim(index, overwrite=overwrite)
    written: dict[Path, Written] = {}
    for store, page in pages_of(stores, folder, index).items():
        try:
            written[store] = _report(
                store, page, source=None, video=None, embed=embed, overwrite=overwrite,
                progress=progress,
            )  # fmt: skip
        except VidsalError as error:
            log.warning("%s", one_line(error))
    if written:
        cards = _cards({store.relative_to(folder): one for store, one in written.items()}, index)
        write_text(index, index_html(folder.resolve().name or "Reports", cards))
    if missing := len(stores) - len(written):
        raise VidsalError(f"{missing} of {len(stores)} stores in {folder} have no report")
    return index


def _cards(written: Mapping[Path, Written], index: Path) -> list[Card]:
    """Return the cards of reports, by the paths of their stores relative to a folder."""
    # A folder may contain a store twice, as a folder and as a zip file.
    stems = Counter(path.with_name(stem_of(path)) for path in written)
    labels = _differences([one.store for one in written.values()])
    cards = []
    for (path, one), label in zip(written.items(), labels, strict=True):
        name = path.with_name(stem_of(path))
        cards.append(
            Card(
                name=one.summary.name, store=(name if stems[name] == 1 else path).as_posix(),
                label=label, url=address(one.path, index),
                facts=tuple(facts(one.store, one.summary).values()), picture=one.picture,
            )
        )  # fmt: skip
    return cards


def _differences(stores: Sequence[Store]) -> list[str]:
    """Return, for each store, the options that differ between the stores of its source."""
    by_source: dict[str, list[int]] = {}
    for n, store in enumerate(stores):
        source = store.about["source"]
        by_source.setdefault(source.get("checksum") or source["name"], []).append(n)
    found = [""] * len(stores)
    for places in by_source.values():
        for n, text in zip(places, differences_of([stores[n] for n in places]), strict=True):
            found[n] = text
    return found


def _stores_in(folder: Path) -> Iterator[Path]:
    """Yield the stores in a folder and its subfolders, without a search inside of stores."""
    for root, folders, files in os.walk(folder):
        paths = [Path(root, name) for name in (*folders, *files)]
        # A file with such a name is a damaged store if it is not a complete zip file.
        stores = {
            path for path in paths if is_store_name(path) and (path.is_file() or is_store(path))
        }
        yield from stores
        folders[:] = [name for name in folders if Path(root, name) not in stores]
