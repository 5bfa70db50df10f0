"""Where weights are: EfficientNet-Lite0's among vidsal's own data, ResNet50's ImageNet weights in
Keras' cache, or at the place Keras downloads them from.

Needs neither TensorFlow nor Keras, so that a machine without weights is told so at once.
"""

import hashlib
import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from vidsal.errors import VidsalError
from vidsal.runtime import download

log = logging.getLogger(__name__)

# In the package's folder ``data``.
LITE0_FILE = "efficientnet_lite0.npz"


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A published weights file.

    Attributes
    ----------
    url : str
    md5 : str
        Of the whole file, as its publisher records it.
    """

    url: str
    md5: str

    @property
    def path(self) -> Path:
        """Where Keras keeps it once it is downloaded."""
        return keras_home() / "models" / self.url.rsplit("/", 1)[-1]

    def is_cached(self) -> bool:
        """Say whether a whole file is in Keras' cache."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "md5").hexdigest() == self.md5
        except OSError:
            return False


RESNET50 = WeightsFile(
    url="https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
    "resnet50_weights_tf_dim_ordering_tf_kernels.h5",
    md5="2cb95161c43110f7111970584f804107",
)


def keras_home() -> Path:
    """Return the folder that Keras keeps its files in."""
    if folder := os.environ.get("KERAS_HOME"):
        return Path(folder)
    try:
        return Path.home() / ".keras"
    except RuntimeError:
        # Users without a home directory, as in containers. Keras chooses this folder, too.
        return Path(tempfile.gettempdir()) / ".keras"


def fetch(weights: WeightsFile, *, progress: bool = False) -> Path:
    """Return the path of a weights file, from Keras' cache or downloaded into it.

    The download is checked against the recorded checksum and appears in the cache whole or not
    at all.

    Parameters
    ----------
    weights : WeightsFile
    progress : bool
        Show a progress bar on stderr.

    Raises
    ------
    VidsalError
        If it cannot be had, saying why, where it is looked for, and what to do.
    """
    if weights.is_cached():
        return weights.path
    import pooch

    pooch.get_logger().setLevel(logging.ERROR)
    log.info("downloading %s", weights.url)
    try:
        pooch.retrieve(
            weights.url,
            known_hash=f"md5:{weights.md5}",
            fname=weights.path.name,
            path=weights.path.parent,
            downloader=pooch.HTTPDownloader(progressbar=progress, timeout=download.TIMEOUT_S),
        )
    # requests' errors are OSErrors; a wrong checksum is a ValueError.
    except (OSError, ValueError) as error:
        raise VidsalError(
            f"ResNet50's ImageNet weights are not at {weights.path} and could not be downloaded "
            f"from {weights.url} ({_why(error)}). Put the file there, give another one with "
            "--weights FILE, or use --model lite0."
        ) from error
    return weights.path


def _why(error: Exception) -> str:
    """Return the innermost reason of a failed download, in a few words."""
    if isinstance(error, ValueError) and "hash" in str(error):
        return "what came is not the published file: its checksum differs"
    return download.why(error)
