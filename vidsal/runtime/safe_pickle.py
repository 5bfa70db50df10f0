"""Pickled objects that can name only the classes that the reader expects.

A plain pickle may run any code. These files lie where other people can write.
"""

import io
import pickle
from collections.abc import Collection
from typing import Any, TypeVar

from vidsal.errors import VidsalError

T = TypeVar("T")

_NUMPY = {
    ("numpy", "ndarray"), ("numpy", "dtype"),
    ("numpy._core.multiarray", "_reconstruct"), ("numpy._core.numeric", "_frombuffer"),
}  # fmt: skip


def dumps(value: object) -> bytes:
    """Return an object as bytes; later changes of the object do not affect them.

    Parameters
    ----------
    value : object
        An object that `pickle` takes.
    """
    return pickle.dumps(value, protocol=5)


def loads(data: bytes, kind: type[T], classes: Collection[type]) -> T:
    """Return the object that `dumps` turned into bytes.

    Parameters
    ----------
    data : bytes
    kind : type
        The expected class.
    classes : collection of type
        The only classes that the bytes may name, apart from NumPy arrays.

    Raises
    ------
    VidsalError
        If the bytes are corrupt, hold another class, or name a class that is not allowed.
    """
    try:
        value = _Unpickler(data, classes).load()
    except VidsalError:
        raise
    except Exception as error:  # Corrupt bytes can raise any exception.
        raise VidsalError(f"the saved state is corrupt ({type(error).__name__})") from error
    if not isinstance(value, kind):
        raise VidsalError(f"a {kind.__name__} was expected, got a {type(value).__name__}")
    return value


class _Unpickler(pickle.Unpickler):
    """Finds the allowed classes and nothing else."""

    def __init__(self, data: bytes, classes: Collection[type]) -> None:
        super().__init__(io.BytesIO(data))
        self._classes = {(one.__module__, one.__qualname__): one for one in classes}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._classes:
            return self._classes[module, name]
        if (module, name) in _NUMPY:
            return super().find_class(module, name)
        raise VidsalError(f"the saved state names {module}.{name}, which is not allowed")
