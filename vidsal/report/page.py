"""The HTML of a report: one file with all its content, so that a browser fetches nothing."""

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import PureWindowsPath
from string import Template
from typing import Any, NamedTuple

from vidsal.render.overlay import colours
from vidsal.report.pictures import Still, StripCell
from vidsal.report.summary import Summary, numbers, plain
from vidsal.settings import PictureOptions
from vidsal.settings.values import is_saved
from vidsal.store.reader import Store

# A longer table is hard to read and slow to sort; `vidsal run --table` writes all frames as CSV.
_MOST_ROWS = 1500
# Options whose values are files or folders. Pages are passed on, so they contain no folder names.
_PATHS = ("weights", "labels")


class Film(NamedTuple):
    """The video of a page.

    Attributes
    ----------
    data : bytes
        An MP4 file to embed; empty if the page links one.
    url : str
        The address of a linked file, relative to the page.
    shift_s : float
        Time in the video minus time in the source.
    """

    data: bytes
    url: str
    shift_s: float


def report_html(
    store: Store,
    summary: Summary,
    strip: Sequence[StripCell],
    stills: Mapping[Still, bytes],
    film: Film | None,
    notes: Sequence[str],
) -> str:
    """Return the page of a stored analysis.

    Parameters
    ----------
    store : Store
    summary : Summary
    strip : sequence of StripCell
    stills : mapping of Still to bytes
        JPEG files.
    film : Film or None
    notes : sequence of str
        Lines that say what the page lacks, and why.
    """
    data = page_data(store, summary) | {
        "strip": [
            {
                "scene": cell.scene, "begin_s": cell.begin_s, "end_s": cell.end_s,
                "picture": _picture(stills, cell.still),
                "place": cell.still.place if cell.still else None,
            }
            for cell in strip
        ],
        "stills": {
            str(still.place): data_url(picture, "image/jpeg")
            for still, picture in stills.items()
            if not any(still == cell.still for cell in strip)
        },
        "film": film and {"url": film.url, "shift_s": film.shift_s},
        "notes": list(notes),
        "colors": _ramp(store.settings),
    }  # fmt: skip
    embedded = film.data if film else b""
    scripts = [_part("uPlot.iife.min.js"), _part("report.js")]
    styles = [_part("uPlot.min.css"), _part("common.css"), _part("report.css")]
    return _filled(
        "report.html",
        title=html.escape(summary.name),
        policy=html.escape(_policy(scripts, styles)),
        data=_in_script(data),
        film=base64.b64encode(embedded).decode(),
        **{f"style_{n}": text for n, text in enumerate(styles)},
        **{f"script_{n}": text for n, text in enumerate(scripts)},
    )


def page_data(store: Store, summary: Summary) -> dict[str, Any]:
    """Return the numbers and texts of a page, for JSON.

    Parameters
    ----------
    store : Store
    summary : Summary
    """
    curves = summary.curves
    return {
        "name": summary.name,
        "is_photo": summary.fps is None,
        "begin_s": summary.begin_s,
        "end_s": summary.end_s,
        "frame": [int(one) for one in curves.frame],
        "time_s": [round(float(one), 6) for one in curves.time_s],
        "curves": {
            "speed_p99": numbers(curves.speed_p99), "moving_share": numbers(curves.moving_share),
            "camera_speed": numbers(curves.camera_speed),
            "concentration": numbers(curves.concentration),
        },
        "classes": [
            {"name": name, "probability": numbers(values)}
            for name, values in zip(curves.classes, curves.probability.T, strict=True)
        ],
        "scenes": [plain(one) for one in summary.scenes],
        "moments": [plain(one) for one in summary.moments],
        "has_frames": summary.fps is not None and len(curves) <= _MOST_ROWS,
        "facts": list(facts(store, summary).items()),
        "settings": list(shown_settings(store.about["settings"]).items()),
        "provenance": list(provenance(store).items()),
    }  # fmt: skip


def facts(store: Store, summary: Summary) -> dict[str, str]:
    """Return the most important facts of a report, by name.

    Parameters
    ----------
    store : Store
    summary : Summary
    """
    size = f"{store.about['width_px']} x {store.about['height_px']}"
    network = store.about.get("model_name") or "motion only, no network"
    if summary.fps is None:
        return {"picture": size, "network": network}
    length_s = summary.end_s - summary.begin_s
    return {
        "duration": f"{length_s:.1f} s" if length_s >= 1 else f"{length_s:.2f} s",
        "frames": f"{_counted(len(summary.curves), 'frame')} at {float(summary.fps):.5g} fps",
        "picture": size,
        "scenes": _counted(len(summary.scenes), "scene"),
        "network": network,
    }


def shown_settings(saved: Mapping[str, Any]) -> dict[str, str]:
    """Return the options of a run that differ from their defaults, without names of folders.

    Parameters
    ----------
    saved : mapping of str
        See `vidsal.sinks.kept.saved_settings`.
    """
    shown = {}
    for name, value in saved.items():
        is_path = name in _PATHS or (name == "model" and is_saved(value))
        text = PureWindowsPath(str(value)).name if is_path else str(value)
        shown[f"--{name.replace('_', '-')}"] = text
    return shown


def provenance(store: Store) -> dict[str, str]:
    """Return the provenance of the numbers of a report, by name.

    Parameters
    ----------
    store : Store
    """
    height, width = store.size
    known = {
        "source": store.source_name,
        "checksum of the source": store.about["source"].get("checksum"),
        "network": store.about.get("model_name"),
        "arithmetic": store.about.get("precision"),
        "maps": f"{width} x {height}",
        "analysed by": f"vidsal {store.about['vidsal']}",
    }
    return {name: text for name, text in known.items() if text}


class Card(NamedTuple):
    """A report on an index page.

    Attributes
    ----------
    name : str
        Name of the source.
    store : str
        Name of the store, with its folder relative to the others.
    label : str
        Options that differ from those of other stores of the same source; empty without any.
    url : str
        Address of the report, relative to the page.
    facts : sequence of str
    picture : bytes
        A JPEG file.
    """

    name: str
    store: str
    label: str
    url: str
    facts: Sequence[str]
    picture: bytes


def index_html(title: str, cards: Sequence[Card]) -> str:
    """Return the page with links to several reports.

    Parameters
    ----------
    title : str
    cards : sequence of Card
    """
    styles = [_part("common.css"), _part("index.css")]
    return _filled(
        "index.html",
        title=html.escape(title),
        policy=html.escape(_policy([], styles)),
        count=_counted(len(cards), "report"),
        cards="\n".join(
            _filled(
                "card.html",
                url=html.escape(card.url), name=html.escape(card.name),
                store=html.escape(card.store),
                label=html.escape(card.label), facts=html.escape(" · ".join(card.facts)),
                picture=data_url(card.picture, "image/jpeg"),
            )
            for card in cards
        ),
        **{f"style_{n}": text for n, text in enumerate(styles)},
    )  # fmt: skip


def data_url(data: bytes, media_type: str) -> str:
    """Return a file as a data URL.

    Parameters
    ----------
    data : bytes
    media_type : str
        Such as "image/jpeg".
    """
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def _ramp(options: PictureOptions) -> list[str]:
    """Return nine colours of the map as CSS colours; none if the pictures have no colour map."""
    if options.style == "reveal":
        return []
    table = colours(options.colormap)
    return [f"#{bytes(table[level]).hex()}" for level in range(0, len(table), len(table) // 8)] + [
        f"#{bytes(table[-1]).hex()}"
    ]


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _picture(stills: Mapping[Still, bytes], still: Still | None) -> str | None:
    return None if still is None else data_url(stills[still], "image/jpeg")


def _in_script(data: Any) -> str:
    """Return JSON that cannot end the script element that contains it."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _policy(scripts: Iterable[str], styles: Iterable[str]) -> str:
    """Return a Content-Security-Policy: only these parts, and no request except for a video.

    A script that a file name injects into the page does not run.
    """
    script, style = (" ".join(map(_hash, texts)) for texts in (scripts, styles))
    return (
        f"default-src 'none'; script-src {script or chr(39) + 'none' + chr(39)}; "
        f"style-src {style}; img-src data:; media-src 'self' file: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _part(name: str) -> str:
    return (files("vidsal.report") / "page" / name).read_text(encoding="utf-8")


def _filled(template: str, /, **values: str) -> str:
    return Template(_part(template)).substitute(values)
