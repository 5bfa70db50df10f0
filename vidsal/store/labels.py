"""Names for stored analyses of one source, made of the settings in which they differ."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from vidsal.settings import Settings
from vidsal.store.reader import Store
from vidsal.store.schema import stem_of

# Groups of options that determine the maps, and groups that determine the motion map.
ALL_GROUPS = ("Network", "Static map", "Motion", "Scale and fusion")
MOTION_GROUPS = ("Motion",)
# Options whose value is clear without the name of the option.
_PLAIN = ("method", "precision")
# Options without effect if there is no network, besides the options of the network itself.
_OF_NETWORK = ("fusion", "gain")
# Options that change how a map is computed, but not the map.
_IGNORED = ("batch", "trust_model")


def differences_of(stores: Sequence[Store], groups: Collection[str] = ALL_GROUPS) -> list[str]:
    """Return the options of each store in which they differ.

    Parameters
    ----------
    stores : sequence of Store
    groups : collection of str
        Groups of options that matter, see `vidsal.settings.Settings`.

    Returns
    -------
    list of str
        Such as ``gradcam`` and ``smoothgrad``. Stores with the same options have equal texts. If
        all stores have the same options, all texts are empty.
    """
    settings = [one.settings for one in stores]
    differing = [
        field.name
        for field in fields(Settings)
        if field.metadata["group"] in groups
        and field.name not in _IGNORED
        and len({_value(field.name, *pair) for pair in zip(stores, settings, strict=True)}) > 1
    ]
    return [_label(differing, *pair) for pair in zip(stores, settings, strict=True)]


def labels_of(stores: Sequence[Store], groups: Collection[str] = ALL_GROUPS) -> list[str]:
    """Return a name for each store, made of the options in which they differ.

    Parameters
    ----------
    stores : sequence of Store
    groups : collection of str
        Groups of options that matter, see `vidsal.settings.Settings`.

    Returns
    -------
    list of str
        Such as ``gradcam`` and ``smoothgrad``. Stores with the same options are named after their
        folders. All names differ.
    """
    labels = differences_of(stores, groups)
    stems = [stem_of(one.path) for one in stores]
    counts = Counter(labels)
    labels = [
        label if label and counts[label] == 1 else f"{label} ({stem})" if label else stem
        for label, stem in zip(labels, stems, strict=True)
    ]
    # Two stores in different folders may have the same name, or a store may be given twice.
    counts = Counter(labels)
    return [
        label if counts[label] == 1 else f"{label} {number}"
        for number, label in enumerate(labels, start=1)
    ]


def _value(name: str, store: Store, settings: Settings) -> Any:
    """Return the value of an option, for comparison; for `model`, the network that was used."""
    return _network(store, settings) if name == "model" else getattr(settings, name)


def _network(store: Store, settings: Settings) -> str:
    """Return the name of a store's network. On the command line a network may have two names."""
    return store.about.get("model_name") or settings.model_name


def _label(differing: Sequence[str], store: Store, settings: Settings) -> str:
    """Return the values of some options of a store, without options that have no effect."""
    has_network = settings.model != "none"
    groups = {field.name: field.metadata["group"] for field in fields(Settings)}
    parts = []
    for name in differing:
        is_of_network = groups[name] in ("Network", "Static map") or name in _OF_NETWORK
        if name == "model":
            # For a saved model the name may be the path of its file.
            parts.append(Path(_network(store, settings)).name if has_network else "no network")
        elif has_network or not is_of_network:
            parts.append(_part(name, getattr(settings, name)))
    return ", ".join(parts)


def _part(name: str, value: Any) -> str:
    """Return one option with its value, in the shortest form that is clear."""
    if isinstance(value, Path):
        value = value.name
    elif isinstance(value, float):
        value = f"{value:g}"
    return str(value) if name in _PLAIN else f"{name.replace('_', ' ')} {value}"
