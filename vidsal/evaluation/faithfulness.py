"""Faithfulness: whether static maps explain the network that they come from.

A map may show what people look at and still not explain the network. Two tests measure this.
Deletion and insertion blur or restore the most salient pixels first, and the network classifies
the results. The randomisation test compares the map with that of the same network with random
weights, in all layers or in more and more of them.
"""

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from vidsal import image_ops
from vidsal.errors import UsageError, VidsalError, option
from vidsal.evaluation import deletion_insertion
from vidsal.evaluation.arguments import Progress, check_count, one_or_more, with_progress
from vidsal.evaluation.bootstrap import Interval, bootstrap
from vidsal.evaluation.deletion_insertion import PROTOCOLS, Protocol
from vidsal.evaluation.report import FaithfulnessReport, FaithfulnessRow
from vidsal.saliency.static_stage import network_picture
from vidsal.saliency.stream import SaliencyStream
from vidsal.settings import Settings, settings_of
from vidsal.settings.declaration import choice_message
from vidsal.sources import open_source
from vidsal.static import labels
from vidsal.static.models import ModelChoice, check_target, choose, open_static
from vidsal.types import Frame, Map, Request, Rgb, StaticStage

# The row that the controls are compared with.
_OURS = "vidsal"
# Shares of the layers that are random, from the last layer backwards.
_CASCADE = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
# Deletion and insertion of one picture.
Areas = tuple[float, float]


def faithfulness(
    sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    settings: Settings | None = None,
    *,
    frames_per_clip: int = 4,
    protocol: Literal["vidsal", "rise"] = "vidsal",
    cascade: bool = False,
    progress: Progress | None = None,
) -> FaithfulnessReport:
    """Measure whether the static maps of photos and video frames explain the network.

    Parameters
    ----------
    sources : path, or sequence of paths
        Photos and videos.
    settings : Settings, optional
    frames_per_clip : int
        Number of frames taken from each video, evenly spaced.
    protocol : {"vidsal", "rise"}
        ``vidsal`` goes to a blurred picture and back in 16 steps, and divides by the probability in
        the full picture. ``rise`` is that of RISE, to compare with its published figures: pictures
        of 224 x 224, deletion to the mean colour of ImageNet, insertion into a picture blurred by
        11 x 11 pixels, 28 steps of 1,792 pixels, plain probabilities.
    cascade : bool
        Also measure the correlation with networks whose last layers alone are random.
    progress : callable, optional
        Gets the sources and their number, and yields the sources.

    Returns
    -------
    FaithfulnessReport
        ``str()`` of it prints the table, `to_dict` returns the numbers.

    Raises
    ------
    UsageError
        If an argument is invalid, or the settings have no network.
    VidsalError
        If a source or the network cannot be used.

    See Also
    --------
    evaluate : Scores maps against what people look at and where objects are.

    Notes
    -----
    Deletion and insertion follow V. Petsiuk, A. Das, K. Saenko, "RISE", BMVC 2018,
    https://arxiv.org/abs/1806.07421. The randomisation test follows J. Adebayo et al., "Sanity
    checks for saliency maps", NeurIPS 2018, https://arxiv.org/abs/1810.03292.

    Examples
    --------
    >>> report = faithfulness("cat.jpg", Settings(model="lite0"))  # doctest: +SKIP
    >>> print(report)  # doctest: +SKIP
    """
    settings = _with_one_class(settings_of(settings))
    check_count("frames_per_clip", frames_per_clip)
    if protocol not in PROTOCOLS:
        raise UsageError(choice_message("protocol", protocol, PROTOCOLS))
    way = PROTOCOLS[protocol]
    if way.side_px is not None:
        settings = dataclasses.replace(settings, short_side=way.side_px)
    names = one_or_more(sources, "sources")
    if settings.model == "none":
        raise UsageError(f"{option('model', 'none')} has no static map to measure: use a network")
    for name in names:
        # Checked before the network is opened: weights may have to be downloaded.
        with open_source(name, settings):
            pass
    if settings.precision == "auto":
        # All networks that are compared need one arithmetic.
        settings = dataclasses.replace(settings, precision="float32")
    choice = choose(settings, progress=progress is not None)
    trained = open_static(choice, settings)
    assert trained is not None
    if way.side_px is not None and trained.input_size not in (None, (way.side_px, way.side_px)):
        raise UsageError(
            f"{option('protocol', protocol)} needs a network for pictures of {way.side_px}x"
            f"{way.side_px}"
        )
    randomised = _randomised(choice, settings, trained, _CASCADE if cascade else (1.0,))
    areas: dict[str, list[Areas]] = {}
    correlations: dict[float, list[float]] = {share: [] for share in randomised}
    displaced = _OtherSources()
    pictures = 0
    for name in with_progress(names, progress):
        for number, frame in enumerate(_sampled(name, settings, frames_per_clip)):
            if way.side_px is not None:
                square = image_ops.shrink(frame.rgb, (way.side_px, way.side_px))
                frame = dataclasses.replace(frame, rgb=square)
            rgb = network_picture(frame, trained, settings.short_side)
            ours = _static_map(frame, trained, settings, rgb.shape)
            others = {
                share: _static_map(frame, network, settings, rgb.shape)
                for share, network in randomised.items()
            }
            for share, other in others.items():
                correlations[share].append(deletion_insertion.rank_correlation(ours, other))
            if number == 0:
                displaced.add(ours, others[1.0])
            maps = _with_controls(ours, rgb, settings, seed=pictures)
            pictures += 1
            for kind, pair in _areas(rgb, maps, trained, way).items():
                areas.setdefault(kind, []).append(pair)
    class_id = trained.target.class_id
    return FaithfulnessReport(
        str(choice.name),
        "top class" if class_id is None else trained.names[class_id],
        pictures,
        _rows(areas),
        bootstrap(correlations[1.0]),
        displaced=displaced.interval(),
        protocol=protocol,
        cascade={share: bootstrap(each) for share, each in correlations.items() if cascade},
    )


def _randomised(
    choice: ModelChoice, settings: Settings, trained: StaticStage, shares: Sequence[float]
) -> "dict[float, _SameClass]":
    """Return networks with random weights in the last layers, by the share of these layers."""
    networks = {}
    for share in shares:
        network = open_static(choice, settings, random_share=share)
        assert network is not None
        networks[share] = _SameClass(network, trained)
    return networks


class _OtherSources:
    """Rank correlations of maps with a random network's maps of the sources before them.

    The first source is compared with the last one. Frames of one source would be too much alike.
    """

    def __init__(self) -> None:
        self._first: Map | None = None
        self._last: Map | None = None
        self._found: list[float] = []

    def add(self, ours: Map, other: Map) -> None:
        """Take the two maps of the first frame of the next source."""
        if self._last is None:
            self._first = ours
        else:
            self._found.append(_displaced_correlation(ours, self._last))
        self._last = other

    def interval(self) -> Interval | None:
        """Return the mean over all sources, or None for fewer than two."""
        if self._first is None or self._last is None or not self._found:
            return None
        return bootstrap([*self._found, _displaced_correlation(self._first, self._last)])


def _displaced_correlation(ours: Map, other: Map) -> float:
    """Return the rank correlation of maps that may differ in size."""
    resized = image_ops.shrink(other, (ours.shape[0], ours.shape[1]))
    return deletion_insertion.rank_correlation(ours, resized)


class _SameClass:
    """A network whose maps explain the class that another network predicts.

    Maps of two classes would differ even without random weights. After J. Adebayo et al., "Sanity
    checks for saliency maps", NeurIPS 2018, https://arxiv.org/abs/1810.03292.
    """

    def __init__(self, network: StaticStage, predictor: StaticStage) -> None:
        self._network, self._predictor = network, predictor
        self.names, self.target = network.names, network.target
        self.input_size = network.input_size
        self.precision, self.is_decided = network.precision, True

    def predict(self, rgb: Rgb) -> Map:
        """Return the probabilities of the other network."""
        return self._predictor.predict(rgb)

    def maps(self, rgb: Rgb, requests: Sequence[Request]) -> Map:
        """Return the network's own maps."""
        return self._network.maps(rgb, requests)


def _with_one_class(settings: Settings) -> Settings:
    """Return settings that explain one class, since the probability of one class is measured.

    Settings that explain several classes become those of the most likely class.
    """
    check_target(settings)
    if labels.summed(settings.target) is not None:
        return dataclasses.replace(settings, target="lock")
    return settings


def _with_controls(ours: Map, rgb: Rgb, settings: Settings, seed: int) -> dict[str, Map]:
    """Return the maps to compare, by their rows."""
    smooth_px = settings.smooth * max(rgb.shape[:2])
    return {_OURS: ours, **deletion_insertion.controls(rgb, smooth_px, seed=seed)}


def _rows(areas: Mapping[str, Sequence[Areas]]) -> dict[str, FaithfulnessRow]:
    """Return the rows of the report from the areas of each kind of map and picture."""
    ours = np.array(areas[_OURS])
    rows = {}
    for name, pairs in areas.items():
        deletion, insertion = np.array(pairs).T
        behind = (ours[:, 1] - ours[:, 0]) - (insertion - deletion)
        rows[name] = FaithfulnessRow(
            deletion=bootstrap(deletion),
            insertion=bootstrap(insertion),
            difference=bootstrap(insertion - deletion),
            behind=None if name == _OURS else bootstrap(behind),
        )
    return rows


def _sampled(source: Any, settings: Settings, count: int) -> Iterator[Frame]:
    """Yield up to `count` frames of a source, evenly spaced over its expected length."""
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
            raise VidsalError(f"{source} has no frame to measure: it may be empty or corrupt")


def _static_map(
    frame: Frame, static: StaticStage, settings: Settings, shape: tuple[int, ...]
) -> Map:
    """Return the static map of a single frame, at the size of the network's input."""
    (saliency,) = SaliencyStream(static, settings, batch=1).analyse([frame])
    assert saliency.static is not None
    return image_ops.shrink(saliency.static, (shape[0], shape[1]))


def _areas(
    rgb: Rgb, maps: Mapping[str, Map], static: StaticStage, protocol: Protocol
) -> dict[str, Areas]:
    """Return the areas under the deletion and the insertion curve of each map.

    If probabilities are relative, one above that of the full picture counts as equal to it, as in
    the average drop of A. Chattopadhay et al., "Grad-CAM++", WACV 2018, https://doi.org/10.1109/WACV.2018.00097.
    Without this bound the mean would depend on a few pictures with uncertain classes, whose
    shares reach 3 and 4.
    """
    empty, soft = protocol.emptied(rgb), protocol.begun(rgb)
    full, none, blurred = static.predict(np.stack([rgb, empty, soft]))
    # All maps are measured with the same class: that of the full picture, or the target.
    target = static.target.class_id
    class_id = int(full.argmax()) if target is None else target
    tiny = float(np.finfo(np.float32).tiny)
    unit = max(float(full[class_id]), tiny) if protocol.is_relative else 1.0

    def area(begin: Rgb, end: Rgb, first: Map, last: Map, ranked: Map) -> float:
        pictures = deletion_insertion.between(begin, end, ranked, protocol.steps)
        probabilities = np.stack([first, *static.predict(pictures), last])[:, class_id]
        return deletion_insertion.area(np.minimum(probabilities / unit, 1))

    ranked = {name: deletion_insertion.ranks(one) for name, one in maps.items()}
    return {
        name: (area(rgb, empty, full, none, one), area(soft, rgb, blurred, full, one))
        for name, one in ranked.items()
    }
