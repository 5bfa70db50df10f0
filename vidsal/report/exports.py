"""Export of scenes and moments: chapters, tables, timelines of video editors."""

import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vidsal.errors import UsageError, VidsalError
from vidsal.report.paths import claim_result
from vidsal.report.summary import Summary, plain, summary_of
from vidsal.runtime.atomic_write import atomic_write, writing
from vidsal.store.opening import lent_store
from vidsal.store.reader import Store

# Columns of the rows of scenes and moments, in the order of the file.
_COLUMNS = (
    "kind", "number", "scene", "begin_s", "end_s", "first_frame", "last_frame", "speed_p99",
    "moving_share", "camera_speed", "concentration", "class_name", "probability",
)  # fmt: skip


def export_store(
    store: Store | str | Path,
    files: str | Path | Sequence[str | Path],
    *,
    overwrite: bool = False,
) -> list[Path]:
    """Write the scenes and the strongest moments of a stored analysis, as ``vidsal export`` does.

    Parameters
    ----------
    store : Store, str or Path
        A store (folder or zip file) that ``vidsal run --keep`` wrote, or what
        `vidsal.open_store` returns.
    files : str, Path, or sequence of them
        Their endings name the formats: ``.vtt`` (chapters as WebVTT), ``.ffmeta`` (chapters as
        ffmpeg reads them), ``.csv`` and ``.json`` (scenes and moments), ``.otio`` and ``.edl``
        (timelines of video editors).
    overwrite : bool
        Replace files that exist.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    UsageError
        If no file is given, or the ending of a file is unknown.
    VidsalError
        If the store cannot be used, OpenTimelineIO is missing, or a file cannot be written or is
        the source.
    """
    given = [files] if isinstance(files, str | os.PathLike) else files
    # A file that is named twice is written once.
    paths = list({os.path.realpath(file): Path(file) for file in given}.values())
    if not paths:
        raise UsageError(f"give at least one file to write: {', '.join(_FORMATS)}")
    for path in paths:
        if path.suffix.lower() not in _FORMATS:
            raise UsageError(f"{path}: an export is written as {', '.join(_FORMATS)}")
        if path.suffix.lower() in (".otio", ".edl"):
            _load_otio()
    with lent_store(store) as opened:
        if not opened.about.get("fps"):
            raise VidsalError(f"{opened.path} is of a photo, which has no scenes or moments")
        for path in paths:
            claim_result(opened, path, overwrite=overwrite)
        summary = summary_of(opened)
        texts = [_FORMATS[path.suffix.lower()](opened, summary) for path in paths]
    for path, text in zip(paths, texts, strict=True):
        # Keep the line ends of the format on every system.
        with atomic_write(path) as part, writing(path):
            part.write_text(text, encoding="utf-8", newline="")
    return paths


def webvtt(summary: Summary) -> str:
    """Return the scenes as chapters in WebVTT, for ``<track kind="chapters">``.

    Times count from the first frame, as in a video of the run.

    Parameters
    ----------
    summary : Summary
    """
    cues = [
        f"{scene.number}\n{_stamp(scene.begin_s - summary.begin_s)} --> "
        f"{_stamp(scene.end_s - summary.begin_s)}\n{_cue_text(scene.title)}\n"
        for scene in summary.scenes
    ]
    return "\n".join(["WEBVTT\n", *cues])


def ffmetadata(summary: Summary) -> str:
    """Return the scenes as chapters in ffmpeg's metadata format; with times as in `webvtt`.

    Parameters
    ----------
    summary : Summary
    """
    lines = [";FFMETADATA1", f"title={_escaped(summary.name)}"]
    for scene in summary.scenes:
        begin_ms, end_ms = (
            round(1000 * (time_s - summary.begin_s)) for time_s in (scene.begin_s, scene.end_s)
        )
        lines += [
            "[CHAPTER]", "TIMEBASE=1/1000", f"START={begin_ms}", f"END={end_ms}",
            f"title={_escaped(scene.title)}",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def rows_of(summary: Summary) -> list[dict[str, Any]]:
    """Return scenes, then moments, as rows, with times of the source.

    Parameters
    ----------
    summary : Summary
    """
    frames = summary.curves.frame
    scenes = [
        plain(one) | {
            "kind": "scene", "scene": one.number, "first_frame": int(frames[one.first]),
            "last_frame": int(frames[one.stop - 1]),
        }
        for one in summary.scenes
    ]  # fmt: skip
    moments = [
        row | {
            "kind": "moment", "begin_s": row["time_s"], "end_s": row["time_s"],
            "first_frame": row["frame"], "last_frame": row["frame"],
        }
        for row in map(plain, summary.moments)
    ]  # fmt: skip
    return [{name: row[name] for name in _COLUMNS} for row in scenes + moments]


def as_csv(summary: Summary) -> str:
    """Return `rows_of` as CSV.

    Parameters
    ----------
    summary : Summary
    """
    file = io.StringIO()
    table = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows_of(summary))
    return file.getvalue()


def as_json(store: Store, summary: Summary) -> str:
    """Return `rows_of` as JSON, with the name and properties of the source.

    Parameters
    ----------
    store : Store
    summary : Summary
    """
    rows = rows_of(summary)
    about = {
        "source": summary.name, "fps": str(summary.fps), "begin_s": summary.begin_s,
        "end_s": summary.end_s, "vidsal": store.about["vidsal"],
        "scenes": [row for row in rows if row["kind"] == "scene"],
        "moments": [row for row in rows if row["kind"] == "moment"],
    }  # fmt: skip
    return json.dumps(about, ensure_ascii=False, indent=2) + "\n"


def timeline(store: Store, summary: Summary) -> Any:
    """Return an OpenTimelineIO timeline: a clip per scene, a marker per moment.

    Parameters
    ----------
    store : Store
    summary : Summary

    Returns
    -------
    opentimelineio.schema.Timeline

    Raises
    ------
    VidsalError
        If OpenTimelineIO is missing.
    """
    otio = _load_otio()
    assert summary.fps is not None
    rate = float(summary.fps)

    def frame(time_s: float) -> int:
        return round(time_s * rate)

    def span(begin: int, end: int) -> Any:
        return otio.opentime.TimeRange(
            otio.opentime.RationalTime(begin, rate), otio.opentime.RationalTime(end - begin, rate)
        )

    source = otio.schema.ExternalReference(
        target_url=_address(str(store.about["source"]["name"])),
        available_range=span(0, frame(summary.end_s)),
    )
    track = otio.schema.Track(name="scenes", kind=otio.schema.TrackKind.Video)
    for scene in summary.scenes:
        clip = otio.schema.Clip(
            name=scene.title, media_reference=source.deepcopy(),
            source_range=span(frame(scene.begin_s), frame(scene.end_s)),
        )  # fmt: skip
        for moment in summary.moments:
            if moment.scene == scene.number:
                at = frame(moment.time_s)
                clip.markers.append(
                    otio.schema.Marker(
                        name=f"Moment {moment.number}", marked_range=span(at, at + 1),
                        color=otio.schema.MarkerColor.RED,
                    )
                )  # fmt: skip
        track.append(clip)
    result = otio.schema.Timeline(name=summary.name)
    result.tracks.append(track)
    return result


def _as_otio(store: Store, summary: Summary) -> str:
    otio = _load_otio()
    return str(otio.adapters.write_to_string(timeline(store, summary), "otio_json"))


def _as_edl(store: Store, summary: Summary) -> str:
    """Return the timeline as a CMX 3600 edit decision list.

    Raises
    ------
    VidsalError
        If the frame rate has no timecode.
    """
    otio = _load_otio()
    try:
        return str(
            otio.adapters.write_to_string(
                timeline(store, summary), "cmx_3600", rate=float(summary.fps or 0)
            )
        )
    except ValueError as error:
        raise VidsalError(
            f"an EDL has no timecode at {float(summary.fps or 0):.5g} frames a second: write .otio"
        ) from error


def _load_otio() -> Any:
    """Import and return OpenTimelineIO.

    Raises
    ------
    VidsalError
        If it or its adapter for EDL is missing.
    """
    try:
        import opentimelineio as otio
        import otio_cmx3600_adapter  # noqa: F401
    except ImportError as error:
        raise VidsalError(
            f".otio and .edl need OpenTimelineIO ({error}): pip install 'vidsal[edit]'"
        ) from error
    return otio


def _address(name: str) -> str:
    """Return a file as a URL, and an address unchanged."""
    path = Path(name)
    return path.as_uri() if path.is_absolute() else name


def _stamp(time_s: float) -> str:
    """Return a time in the format of WebVTT: ``HH:MM:SS.mmm``."""
    seconds, thousandths = divmod(round(1000 * time_s), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{thousandths:03d}"


def _cue_text(text: str) -> str:
    """Return a text escaped for a WebVTT cue, in one line."""
    plain_text = " ".join(text.split())
    return plain_text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _escaped(text: str) -> str:
    """Return a text escaped as a value of ffmpeg's metadata format, in one line."""
    plain_text = " ".join(text.split())
    return "".join(f"\\{one}" if one in "=;#\\" else one for one in plain_text)


# Endings of files, with the functions that return their content.
_FORMATS: dict[str, Callable[[Store, Summary], str]] = {
    ".vtt": lambda _, summary: webvtt(summary),
    ".ffmeta": lambda _, summary: ffmetadata(summary),
    ".csv": lambda _, summary: as_csv(summary),
    ".json": as_json,
    ".otio": _as_otio,
    ".edl": _as_edl,
}
