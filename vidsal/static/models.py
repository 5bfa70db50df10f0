"""The networks vidsal knows: which one is meant, and the static stage made of it."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vidsal.errors import UsageError, VidsalError
from vidsal.frames import StaticStage
from vidsal.quiet import native_stderr_logged
from vidsal.settings import Settings
from vidsal.static import labels, weights

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The network that a run will use, known before TensorFlow is loaded.

    Attributes
    ----------
    key : {"resnet50", "lite0", "none"}
    weights : Path or None
        File to load; ``None`` for what the package itself holds.
    """

    key: Literal["resnet50", "lite0", "none"]
    weights: Path | None = None

    @property
    def name(self) -> str | None:
        """The network as people call it; None for none."""
        return {"resnet50": "ResNet50", "lite0": "EfficientNet-Lite0", "none": None}[self.key]


def choose(
    settings: Settings,
    *,
    progress: bool = False,
    published: weights.WeightsFile = weights.RESNET50,
) -> ModelChoice:
    """Return the network that the settings mean, its weights at hand.

    Parameters
    ----------
    settings : Settings
    progress : bool
        Show a progress bar if weights have to be downloaded.
    published : WeightsFile
        ResNet50's weights.

    Raises
    ------
    VidsalError
        If ResNet50 is asked for by name and its weights cannot be had.
    """
    if settings.weights is not None:
        return ModelChoice("resnet50", _local(settings.weights))
    if settings.model in ("lite0", "none"):
        return ModelChoice(settings.model)
    try:
        return ModelChoice("resnet50", weights.fetch(published, progress=progress))
    except VidsalError as error:
        if settings.model == "resnet50":
            raise
        log.warning("using the bundled EfficientNet-Lite0: ResNet50's weights cannot be had here")
        log.debug("%s", error)
        return ModelChoice("lite0")


def _local(path: Path) -> Path:
    """Return a weights file given by the user, or say what is wrong with it."""
    if not path.is_file():
        raise VidsalError(f"--weights {path}: there is no such file")
    if path.suffix != ".h5":
        raise UsageError(f"--weights {path}: expected a .h5 or .weights.h5 file")
    return path


def open_static(choice: ModelChoice, settings: Settings) -> StaticStage | None:
    """Return the static stage, or None for a run without a network. Loads TensorFlow.

    Raises
    ------
    UsageError
        If the target is not a class.
    VidsalError
        If the weights are not this network's.
    """
    if choice.key == "none":
        return None
    target = labels.find_target(settings.target)
    load_tensorflow()
    from vidsal.static.gradient import Classifier, GradientMaps

    model, preprocess = _network(choice)
    classifier = Classifier(
        name=str(choice.name),
        logits=lambda rgb: model(preprocess(rgb), training=False),
        labels=tuple(one.name for one in labels.imagenet_classes()),
    )
    return GradientMaps(classifier, target=target, score=settings.score, channels=settings.channels)


def _network(choice: ModelChoice) -> tuple[Any, Callable[[Any], Any]]:
    """Return a Keras model that gives logits, and what prepares its input."""
    if choice.weights is not None:
        from vidsal.static import resnet50

        return resnet50.build(choice.weights), resnet50.preprocess
    from vidsal.static import lite0

    return lite0.build(), lite0.preprocess


def load_tensorflow() -> Any:
    """Import and return TensorFlow; on a GPU let it take memory as it needs it, not all at once."""
    # A stale choice of another backend in Keras' own configuration would break the tape.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # TensorFlow writes its first lines before it reads the variable that should keep it quiet.
    is_quiet = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0") != "0"
    with native_stderr_logged(when=is_quiet):
        import tensorflow as tf

    for device in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(device, True)
        except RuntimeError:
            log.debug("%s was already in use; its memory policy stays", device.name)
    return tf
