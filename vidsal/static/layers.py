"""The layers of a network at which a score can be differentiated, and the choice among them."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from vidsal.errors import UsageError, option
from vidsal.static.suggestions import did_you_mean, suggest

# Called with the name, output and inputs of each operation; returns the output.
Observer = Callable[[str, Any, Sequence[Any]], Any]

# The name of the picture itself.
INPUT = "input"


@dataclass(frozen=True, slots=True)
class Layer:
    """An operation whose output is a map for each channel.

    Attributes
    ----------
    name : str
    stride : int
        Rows of the picture for each row of the output: the nearest power of 2.
    channels : int
    is_cut : bool
        Whether the scores depend on the picture through this output alone, and it is not just a
        padded one. The layers within a residual block are none, because of the shortcut.
    is_merge : bool
        Whether several paths end here: a sum or a concatenation.
    """

    name: str
    stride: int
    channels: int
    is_cut: bool
    is_merge: bool = False


class _Operation(NamedTuple):
    """What `LayerList` keeps of an operation."""

    name: str
    output: Any
    is_merge: bool
    is_grown: bool


class LayerList:
    """Collects the layers of a network while it is traced.

    Parameters
    ----------
    picture : tensor
        (N, h, w, 3), the input of the first operation.
    """

    def __init__(self, picture: Any) -> None:
        # All outputs are kept, so that no two of them have the same id.
        self._operations = [_Operation(INPUT, picture, is_merge=False, is_grown=False)]
        self._numbers = {id(picture): 0}
        # The last operation that uses each output.
        self._last_use = [0]

    def observe(self, name: str, output: Any, inputs: Sequence[Any]) -> Any:
        """Add an operation; see `Observer`."""
        number = len(self._operations)
        tensors = [one for one in inputs if hasattr(one, "shape")]
        for tensor in tensors:
            self._last_use[self._numbers.get(id(tensor), 0)] = number
        rows = [_rows(tensor) for tensor in tensors if _rows(tensor)]
        is_grown = bool(rows) and _rows(output) > max(rows)
        self._operations.append(_Operation(name, output, len(rows) > 1, is_grown))
        self._last_use.append(number)
        # A layer that returns its input, such as Dropout, continues the tensor.
        self._numbers[id(output)] = number
        return output

    def layers(self) -> list[Layer]:
        """Return the layers with more than one place, in the order of the network."""
        layers, last_use = [], 0
        rows = _rows(self._operations[0].output)
        for number, operation in enumerate(self._operations):
            # No earlier output is used behind this one.
            is_cut = last_use <= number and not operation.is_grown
            last_use = max(last_use, self._last_use[number])
            shape = tuple(getattr(operation.output, "shape", ()))
            if number and len(shape) == 4 and None not in shape[1:] and shape[1] * shape[2] > 1:
                # Convolutions without padding lose some rows more.
                stride = 2 ** round(math.log2(max(1.0, rows / int(shape[1]))))
                layers.append(
                    Layer(operation.name, stride, int(shape[3]), is_cut, operation.is_merge)
                )
        return layers


def _rows(tensor: Any) -> int:
    """Return the rows of a (N, h, w, C) tensor; 0 for anything else."""
    shape = tuple(getattr(tensor, "shape", ()))
    return int(shape[1]) if len(shape) == 4 and shape[1] is not None else 0


def chosen(wanted: str, layers: Sequence[Layer], *, is_last: bool = False) -> tuple[str, ...]:
    """Return the names of the layers that an option asks for.

    Parameters
    ----------
    wanted : str
        ``input``, ``auto``, a stride such as ``/16``, a name, or several joined by commas.
    layers : sequence of Layer
        In the order of the network.
    is_last : bool
        ``auto`` means the last layer with more than one place, as class activation maps use it.

    Returns
    -------
    tuple of str
        Without repetitions.

    Raises
    ------
    UsageError
        If the network has no such layer.
    """
    names: list[str] = []
    for part in wanted.split(","):
        names += _named(part.strip(), layers, is_last=is_last)
    return tuple(dict.fromkeys(names))


def automatic(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers before the last two reductions of size, or nothing if there are none.

    At the last size the network asks what is there rather than where. If its mean is taken over
    all places, its derivative is even the same at each place. The two sizes before that find
    objects of different sizes (measured: the deeper one alone is as good in EfficientNet-Lite0 and
    worse in ResNet50).

    Parameters
    ----------
    layers : sequence of Layer
        In the order of the network.
    """
    strides = {layer.stride for layer in layers if layer.is_cut}
    inner = sorted(stride for stride in strides if 1 < stride < max(strides))
    return [layer for stride in inner[-2:] for layer in last_at(stride, layers)]


def last_at(stride: int, layers: Sequence[Layer]) -> list[Layer]:
    """Return the last complete layer of a stride, or nothing if there is none.

    That is the last one at which paths of the network end, with its activation. What follows it
    belongs to the block that reduces the size. In a network without such paths it is the last
    layer of the stride.

    Parameters
    ----------
    stride : int
    layers : sequence of Layer
        In the order of the network.
    """
    numbers = [n for n, one in enumerate(layers) if one.is_cut and one.stride == stride]
    merges = [n for n in numbers if layers[n].is_merge]
    if not merges:
        return [layers[n] for n in numbers[-1:]]
    last = merges[-1]
    while last + 1 in numbers and layers[last + 1].channels == layers[last].channels:
        last += 1
    return [layers[last]]


def _named(part: str, layers: Sequence[Layer], *, is_last: bool) -> list[str]:
    """Return the names that one part of an option stands for."""
    cuts = [layer for layer in layers if layer.is_cut]
    if part == INPUT:
        return [INPUT]
    if part == "auto":
        return [one.name for one in (cuts[-1:] if is_last else automatic(layers))] or [INPUT]
    if re.fullmatch(r"/\d+", part):
        found = [one.name for one in last_at(int(part[1:]), layers)]
        if not found:
            strides = ", ".join(f"/{one}" for one in sorted({one.stride for one in cuts}))
            raise UsageError(
                f"{option('layer', part)}: no layer of this network has this stride; it has "
                f"{strides or 'none'}"
            )
        return found
    names = [layer.name for layer in layers]
    if part not in names:
        hint = did_you_mean(suggest(part, names)) if names else ""
        raise UsageError(f"{option('layer', part)} is not a layer of this network{hint}")
    return [part]
