"""Formats of model files that vidsal cannot open, and how to convert each to Keras' own format."""

from pathlib import Path

from vidsal.errors import UsageError, option

_ONNX = "onnx2tf -i {name} -okv3"
_SAVE = "model.save('{stem}.keras')"
# Name of the format and advice, by the suffix of the file.
_FORMATS = {
    ".onnx": ("an ONNX file", f"convert it to .keras, for example with {_ONNX}"),
    ".pt": ("a PyTorch file", f"export it with torch.onnx.export, then {_ONNX}"),
    ".pth": ("a PyTorch file", f"export it with torch.onnx.export, then {_ONNX}"),
    ".tflite": (
        "a TensorFlow Lite file, which has no gradients",
        f"save the Keras model that it was made from with {_SAVE}",
    ),
    ".hdf5": ("an HDF5 file with another suffix", "rename it to {stem}.h5"),
    ".pb": ("a TensorFlow graph", f"save the Keras model that it was made from with {_SAVE}"),
}
_SAVED_MODEL = (
    "a TensorFlow SavedModel folder",
    f"load it with the Keras version that wrote it and save it with {_SAVE}",
)


def refuse_other_formats(model: str) -> None:
    """Raise `UsageError` where a model's name is that of a file that vidsal cannot open.

    The line names the format and says how to convert it. The file need not exist.

    Parameters
    ----------
    model : str
        The option ``model``.

    Raises
    ------
    UsageError
        If the name ends as an ONNX, PyTorch, TensorFlow Lite, HDF5 or TensorFlow file, or is a
        folder with a TensorFlow SavedModel.
    """
    path = Path(model)
    known = _FORMATS.get(path.suffix.lower())
    if (path / "saved_model.pb").is_file() or path.name == "saved_model.pb":
        known = _SAVED_MODEL
        path = path.parent if path.name == "saved_model.pb" else path
    if known is None:
        return
    what, remedy = known
    # Only one converter reads ONNX; a PyTorch file becomes an ONNX file first.
    name = path.name if path.suffix.lower() == ".onnx" else f"{path.stem}.onnx"
    raise UsageError(
        f"{option('model', model)} is {what}; vidsal opens .keras and .h5: "
        f"{remedy.format(name=name, stem=path.stem)}"
    )
