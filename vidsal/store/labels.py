"""Names for stored analyses of one source: what their settings differ in."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from vidsal.settings import Settings
from vidsal.store.reader import Store
from vidsal.store.schema import stem_of

# Groups of options that decide the maps, and those that decide the motion map.
ALL_GROUPS = ("Network", "Static map", "Motion", "Scale and fusion")
MOTION_GROUPS = ("Motion",)
# Options whose value says by itself what it is of.
_PLAIN = ("method", "precision")
# Options that change nothing without a network, beside those of the network itself.
_OF_NETWORK = ("fusion", "gain")
# Options that change how a map is computed, not what it is.
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
        Such as ``gradcam`` and ``smoothgrad``. Stores with the same options have equal texts, and
        empty ones if all are the same.
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
        Such as ``gradcam`` and ``smoothgrad``. Stores with the same options have the names of
        their folders. No two are equal.
    """
    labels = differences_of(stores, groups)
    stems = [stem_of(one.path) for one in stores]
    counts = Counter(labels)
    labels = [
        label if label and counts[label] == 1 else f"{label} ({stem})" if label else stem
        for label, stem in zip(labels, stems, strict=True)
    ]
    # Stores of one name in two folders, or one store that is given twice.
    counts = Counter(labels)
    return [
        label if counts[label] == 1 else f"{label} {number}"
        for number, label in enumerate(labels, start=1)
    ]


def _value(name: str, store: Store, settings: Settings) -> Any:
    """Return the value of an option, for comparison; that of the network is what it came to."""
    return _network(store, settings) if name == "model" else getattr(settings, name)


def _network(store: Store, settings: Settings) -> str:
    """Return the name of a store's network: two names on the command line may mean one."""
    return store.about.get("model_name") or settings.model_name


def _label(differing: Sequence[str], store: Store, settings: Settings) -> str:
    """Return the values of some options of a store, without those that have no effect."""
    has_network = settings.model != "none"
    groups = {field.name: field.metadata["group"] for field in fields(Settings)}
    parts = []
    for name in differing:
        is_of_network = groups[name] in ("Network", "Static map") or name in _OF_NETWORK
        if name == "model":
            # The name of a saved model may be the path of its file.
            parts.append(Path(_network(store, settings)).name if has_network else "no network")
        elif has_network or not is_of_network:
            parts.append(_part(name, getattr(settings, name)))
    return ", ".join(parts)


def _part(name: str, value: Any) -> str:
    """Return one option with its value, as short as it can be understood."""
    if isinstance(value, Path):
        value = value.name
    elif isinstance(value, float):
        value = f"{value:g}"
    return str(value) if name in _PLAIN else f"{name.replace('_', ' ')} {value}"
