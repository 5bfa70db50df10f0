"""Saliency maps of other programs, or of earlier runs, read from PNG files."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from vidsal import image_ops
from vidsal.errors import UsageError, VidsalError
from vidsal.evaluation.datasets import Clip, read_map
from vidsal.types import Map

# Names that the rows of vidsal's own maps begin with.
OWN_ROWS = ("centre prior", "raw flow", "compensated flow", "static", "fused")
# Folders that ``vidsal run --maps`` writes.
_OWN_KINDS = ("static", "motion", "fused")


def external_folders(against: Mapping[str, str | os.PathLike[str]]) -> dict[str, Path]:
    """Return the folders of other programs' maps, by the names of their rows.

    Parameters
    ----------
    against : mapping of str to path

    Raises
    ------
    UsageError
        If a name is that of a row of vidsal's own, or a folder does not exist.
    """
    folders = {name: Path(folder) for name, folder in against.items()}
    for name, folder in folders.items():
        if name.startswith(tuple(f"{row} " for row in OWN_ROWS)) or name in OWN_ROWS:
            raise UsageError(f"{name} is a row of vidsal's own: give {folder} another name")
        if not folder.is_dir():
            raise UsageError(f"{name}: {folder} is not a folder")
    return folders


def find_maps(
    folders: Mapping[str, Path], clip: Clip, number: int, *, is_only_clip: bool = False
) -> dict[str, Path]:
    """Return the files with the maps of one frame, by the names of their rows.

    Maps of other programs have the number or name of their frame. Maps that ``vidsal run --maps``
    wrote have the position of their frame, counted from 0: its folders are recognised by their
    ``static``, ``motion`` and ``fused``.

    Parameters
    ----------
    folders : mapping of str to Path
    clip : Clip
    number : int
        The position of the frame.
    is_only_clip : bool
        Whether there is no other clip: then a folder that vidsal wrote need not name the clip.

    Raises
    ------
    VidsalError
        If a folder does not have exactly one map for the frame, or its maps may be numbered by
        position or by name.
    """
    return {
        name: _map_of_frame(name, folder, clip, number, is_only_clip=is_only_clip)
        for name, folder in folders.items()
    }


def _map_of_frame(name: str, folder: Path, clip: Clip, number: int, *, is_only_clip: bool) -> Path:
    """Return the file with the map of one frame in a folder of maps."""
    inside = folder if clip.is_photo else folder / clip.name
    stem = _stem_of(clip, number)
    files = [path for path in inside.glob("*.png") if _is_same_frame(path.stem, stem)]
    own = _own_fused(folder, clip, is_only_clip=is_only_clip)
    if own is None:
        _require_unambiguous(name, inside, clip)
        if len(files) != 1:
            raise VidsalError(
                f"{name}: {len(files)} maps for frame {stem} of {clip.name} in {inside}, "
                "expected one PNG file with the number or name of the frame, or the folders that "
                "vidsal run writes with --maps"
            )
        return files[0]
    if own != inside and files:
        raise VidsalError(
            f"{name}: {own} and {files[0]} may both be the maps of {clip.name}: remove one of them"
        )
    positions = {int(path.stem): path for path in own.glob("*.png") if path.stem.isdecimal()}
    frames = len(clip.stems) if clip.stems else None
    if frames and max(positions, default=0) >= frames:
        raise VidsalError(
            f"{name}: {own} has a map of frame {max(positions)}, and {clip.name} has {frames} "
            "frames: give the maps of this clip"
        )
    if number not in positions:
        raise VidsalError(
            f"{name}: {own} has no map of frame {number} of {clip.name} ({stem}), counted from 0: "
            "write the maps of all frames"
        )
    return positions[number]


def _own_fused(folder: Path, clip: Clip, *, is_only_clip: bool) -> Path | None:
    """Return the folder of the maps of a clip that vidsal wrote; None if there is none."""
    for one in (folder / clip.name, folder):
        if one == folder and not is_only_clip:
            break
        if any((one / kind).is_dir() for kind in _OWN_KINDS):
            return one / "fused"
        if one.name in _OWN_KINDS and one.is_dir() and _is_numbered_as_own(one):
            return one
    return None


def _is_numbered_as_own(folder: Path) -> bool:
    """Say whether all maps of a folder are named as vidsal names them."""
    stems = [path.stem for path in folder.glob("*.png")]
    return bool(stems) and all(stem.isdecimal() and len(stem) >= 6 for stem in stems)


def _require_unambiguous(name: str, inside: Path, clip: Clip) -> None:
    """Raise `VidsalError` if maps are numbered from 0, and frames are not.

    Some of the numbers are those of both a position and the name of another frame.
    """
    stems = [path.stem for path in inside.glob("*.png")]
    wanted = clip.stems or [_stem_of(clip, number) for number in clip.numbers]
    if clip.is_photo or not stems or not all(stem.isdecimal() for stem in (*stems, *wanted)):
        return
    numbers, frames = {int(stem) for stem in stems}, {int(stem) for stem in wanted}
    are_maps_from_0 = numbers == set(range(len(numbers)))
    if clip.stems:
        is_ambiguous = frames != set(range(len(frames))) and not frames <= numbers
    else:
        is_ambiguous = clip.first > 0
    if are_maps_from_0 and is_ambiguous:
        raise VidsalError(
            f"{name}: the maps in {inside} are numbered 0 to {max(numbers)}, and the frames of "
            f"{clip.name} {min(frames)} to {max(frames)}: name each map as its frame, or keep the "
            f"maps of vidsal in {inside / 'fused'}"
        )


def _stem_of(clip: Clip, number: int) -> str:
    """Return the name of a frame, without suffix, or its number in files of other programs."""
    return clip.stems[number] if clip.stems else str(number + clip.first)


def read_maps(files: Mapping[str, Path], size: tuple[int, ...]) -> Iterator[tuple[str, Map]]:
    """Yield maps at the working size, with the names of their rows.

    Parameters
    ----------
    files : mapping of str to Path
    size : (int, int)
        Height and width.

    Yields
    ------
    (str, (h, w) float32 array)

    Raises
    ------
    VidsalError
        If a file cannot be read.
    """
    for name, path in files.items():
        yield name, image_ops.shrink(read_map(path), (size[0], size[1]))


def _is_same_frame(stem: str, other: str) -> bool:
    """Say whether two file names mean the same frame: equal texts, or equal numbers."""
    return stem == other or (stem.isdecimal() and other.isdecimal() and int(stem) == int(other))
