"""Places of the weights files: EfficientNet-Lite0's in the package, ResNet50's in Keras' cache.

ResNet50's ImageNet weights are downloaded from Keras' own address if the cache lacks them. This
module does not import TensorFlow or Keras, so that missing weights are reported at once.
"""

import hashlib
import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from vidsal.errors import VidsalError, option
from vidsal.runtime import download

log = logging.getLogger(__name__)

# In the folder ``data`` of the package.
LITE0_FILE = "efficientnet_lite0.npz"


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A published weights file.

    Attributes
    ----------
    url : str
    md5 : str
        MD5 checksum of the file, as its publisher states it.
    """

    url: str
    md5: str

    @property
    def path(self) -> Path:
        """Path of the file in Keras' cache."""
        return keras_home() / "models" / self.url.rsplit("/", 1)[-1]

    def is_cached(self) -> bool:
        """Say whether Keras' cache has the file, with the right checksum."""
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
    """Return Keras' folder of files: ``KERAS_HOME``, or ``.keras`` in the home folder."""
    if folder := os.environ.get("KERAS_HOME"):
        return Path(folder)
    try:
        return Path.home() / ".keras"
    except RuntimeError:
        # Users without a home directory, as in containers. Keras chooses this folder, too.
        return Path(tempfile.gettempdir()) / ".keras"


def fetch(weights: WeightsFile, *, progress: bool = False) -> Path:
    """Return the path of a weights file, from Keras' cache or downloaded into it.

    A download is checked against the published checksum. It appears in the cache complete or
    not at all.

    Parameters
    ----------
    weights : WeightsFile
    progress : bool
        Show a progress bar on stderr.

    Raises
    ------
    VidsalError
        If the file is unavailable. The line has the cause, the expected place and the remedy.
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
            f"{option('weights', 'FILE')}, or use {option('model', 'lite0')}."
        ) from error
    return weights.path


def _why(error: Exception) -> str:
    """Return the cause of a failed download, in a few words."""
    if isinstance(error, ValueError) and "hash" in str(error):
        return "the downloaded file is not the published one: its checksum differs"
    return download.why(error)
