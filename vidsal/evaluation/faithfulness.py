"""Whether maps explain the network they come from, measured on pictures and videos.

A map may find what people look at and yet say nothing of the network. So the pixels it calls
salient are blurred away, or brought back, and the network is asked again; and the map is held
against that of the same network with random weights.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vidsal import image_ops
from vidsal.errors import UsageError, VidsalError
from vidsal.evaluation import deletion_insertion
from vidsal.evaluation.bootstrap import Interval, bootstrap
from vidsal.evaluation.report import counted
from vidsal.runtime.atomic_write import write_text
from vidsal.saliency.static_stage import network_picture
from vidsal.saliency.stream import SaliencyStream
from vidsal.settings import Settings
from vidsal.sources import open_source
from vidsal.static import labels
from vidsal.static.models import ModelChoice, check_target, choose, open_static
from vidsal.types import Frame, Map, Request, Rgb, StaticStage

# The row that is held against the others.
_OURS = "vidsal"


@dataclass(frozen=True, slots=True)
class Row:
    """How one kind of map fares.

    Attributes
    ----------
    deletion, insertion : Interval
        Area under the curve of the class's probability, as a share of that of the whole picture,
        at most 1; low, and high, are good.
    difference : Interval
        Insertion minus deletion of each picture.
    behind : Interval or None
        By how much the vidsal map's difference is larger, picture by picture; ``None`` for that
        map itself.
    """

    deletion: Interval
    insertion: Interval
    difference: Interval
    behind: Interval | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured.

    Attributes
    ----------
    model : str
    explained : str
        The class whose probability was watched, or "top class": that of each picture.
    pictures : int
    rows : dict of str to Row
        The map, then the controls.
    randomised : Interval
        Spearman's correlation of the map with that of the network with random weights; near 0
        is good.
    """

    model: str
    explained: str
    pictures: int
    rows: dict[str, Row]
    randomised: Interval

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON has it: of each interval ``mean``, ``low`` and ``high``."""
        rows = {
            name: {part: one and one._asdict() for part, one in dataclasses.asdict(row).items()}
            for name, row in self.rows.items()
        }
        randomised = self.randomised._asdict()
        return dataclasses.asdict(self) | {"rows": rows, "randomised": randomised}

    def lines(self) -> list[str]:
        """Return the report as a table for people."""
        head = ("map", "deletion", "insertion", "insertion - deletion", "vidsal's is larger by")
        pictures = counted(self.pictures, "picture")
        about = f"{self.model}, {pictures}, {self.explained} explained"
        lines = [f"{about}, each by itself; mean [95 % interval over pictures]", _line(head)]
        for name, row in self.rows.items():
            cells = (row.deletion, row.insertion, row.difference, row.behind)
            lines.append(
                _line((name, *(_cell(one, self.pictures) if one else "" for one in cells)))
            )
        alike = _cell(self.randomised, self.pictures)
        lines.append(f"rank correlation with the re-initialised network: {alike}")
        return lines


def _line(cells: Sequence[str]) -> str:
    return f"{cells[0]:<9}" + "".join(f"{cell:>24}" for cell in cells[1:]).rstrip()


def _cell(value: Interval, pictures: int) -> str:
    # Of one picture there is no interval.
    between = f" [{value.low:.3f}, {value.high:.3f}]" if pictures > 1 else ""
    return f"{value.mean:.3f}{between}"


def measure(
    sources: Sequence[str | Path],
    settings: Settings | None = None,
    *,
    frames: int = 4,
    choice: ModelChoice | None = None,
) -> Report:
    """Return how faithful the static maps of photos and video frames are.

    Parameters
    ----------
    sources : sequence of str or Path
        Photos and videos.
    settings : Settings, optional
    frames : int
        Frames taken from each video, evenly.
    choice : ModelChoice, optional
        The network; by default what the settings mean.

    Raises
    ------
    VidsalError
        If a source or the network cannot be used.
    UsageError
        If there is no network to be explained.
    """
    settings = _about_one_class(settings or Settings())
    if (choice.key if choice else settings.model) == "none":
        raise UsageError("--model none has no maps to be faithful: choose a network")
    for source in sources:
        # Before the network: weights may have to be downloaded.
        with open_source(source, settings):
            pass
    choice = choice or choose(settings)
    trained = open_static(choice, settings)
    initial = open_static(choice, settings, trained=False)
    assert trained is not None and initial is not None
    initial = _AboutTheSame(initial, trained)
    pictures = (frame for source in sources for frame in _sampled(source, settings, frames))
    areas: dict[str, list[tuple[float, float]]] = {}
    alike = []
    for number, picture in enumerate(pictures):
        rgb = network_picture(picture.rgb, trained, settings.short_side)
        ours, random = (
            _static_map(picture, stage, settings, rgb.shape) for stage in (trained, initial)
        )
        alike.append(deletion_insertion.rank_correlation(ours, random))
        smooth_px = settings.smooth * max(rgb.shape[:2])
        maps = {_OURS: ours, **deletion_insertion.controls(rgb, smooth_px, seed=number)}
        for name, pair in _areas(rgb, maps, trained).items():
            areas.setdefault(name, []).append(pair)
    fixed = trained.target.class_id
    explained = "top class" if fixed is None else trained.names[fixed]
    return Report(str(choice.name), explained, len(alike), _rows(areas), bootstrap(alike))


class _AboutTheSame:
    """A network whose maps explain the class that another one sees.

    With a class of its own its maps would differ for that alone. After J. Adebayo et al., "Sanity
    checks for saliency maps", NeurIPS 2018, https://arxiv.org/abs/1810.03292.
    """

    def __init__(self, network: StaticStage, seer: StaticStage) -> None:
        self._network, self._seer = network, seer
        self.names, self.target = network.names, network.target
        self.input_size = network.input_size

    def predict(self, rgb: Rgb) -> Map:
        """Return what the other one sees."""
        return self._seer.predict(rgb)

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        """Return the network's own maps."""
        return self._network.maps(rgb, requests)


def _about_one_class(settings: Settings) -> Settings:
    """Return settings that explain one class, since one class's probability is watched.

    Where they mean several, each picture's top class is explained.
    """
    check_target(settings)
    if labels.summed(settings.target) is not None:
        return dataclasses.replace(settings, target="lock")
    return settings


def _rows(areas: dict[str, list[tuple[float, float]]]) -> dict[str, Row]:
    """Return the table from the areas of each kind of map and picture."""
    ours = np.array(areas[_OURS])
    rows = {}
    for name, pairs in areas.items():
        deleted, inserted = np.array(pairs).T
        behind = (ours[:, 1] - ours[:, 0]) - (inserted - deleted)
        rows[name] = Row(
            deletion=bootstrap(deleted),
            insertion=bootstrap(inserted),
            difference=bootstrap(inserted - deleted),
            behind=None if name == _OURS else bootstrap(behind),
        )
    return rows


def _sampled(source: str | Path, settings: Settings, count: int) -> Iterator[Frame]:
    """Yield up to `count` frames of a source, evenly over what it says of its length."""
    with open_source(source, settings) as opened:
        step = max(1, (opened.info.frame_count_hint or 1) // count)
        taken = 0
        for number, frame in enumerate(opened.frames()):
            if number % step == step // 2:
                taken += 1
                yield frame
                if taken == count:
                    break
        if not taken:
            raise VidsalError(f"{source} holds no frame to measure on")


def _static_map(
    picture: Frame, static: StaticStage, settings: Settings, shape: tuple[int, ...]
) -> Map:
    """Return the static map of a picture for itself, at the size of the network's input."""
    (alone,) = SaliencyStream(static, settings, batch=1).analyse([picture])
    assert alone.static is not None
    return image_ops.shrink(alone.static, (shape[0], shape[1]))


def _areas(
    rgb: Rgb, maps: Mapping[str, Map], static: StaticStage
) -> dict[str, tuple[float, float]]:
    """Return the areas under each map's deletion and insertion curve of the explained class.

    A part that is likelier than the whole picture explains all of it and not more, as in the
    average drop of A. Chattopadhay et al., "Grad-CAM++", WACV 2018,
    https://doi.org/10.1109/WACV.2018.00097. Without that bound a few pictures of which the network
    is unsure, at shares of 3 and 4, would decide the mean.
    """
    soft = deletion_insertion.blurred(rgb)
    ends = static.predict(np.stack([rgb, soft]))
    # The class that the whole picture is taken for; every map is asked about the same one.
    fixed = static.target.class_id
    explained = int(ends[0].argmax()) if fixed is None else fixed
    full = max(float(ends[0, explained]), float(np.finfo(np.float32).tiny))

    def area(begin: Rgb, end: Rgb, ranked: Map) -> float:
        seen = static.predict(deletion_insertion.between(begin, end, ranked))
        first, last = ends if begin is rgb else ends[::-1]
        probabilities = np.stack([first, *seen, last])[:, explained]
        return deletion_insertion.area(np.minimum(probabilities / full, 1))

    ranked = {name: deletion_insertion.ranks(one) for name, one in maps.items()}
    return {name: (area(rgb, soft, one), area(soft, rgb, one)) for name, one in ranked.items()}


def write_json(report: Report, path: Path) -> None:
    """Write a report as JSON."""
    write_text(path, json.dumps(report.as_json(), indent=2) + "\n")
