"""The networks vidsal knows: which one is meant, and the static stage made of it."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsal.errors import UsageError, VidsalError
from vidsal.runtime.allocation import gc_paused
from vidsal.runtime.fork import require_own_threads
from vidsal.runtime.native_logs import native_stderr_logged, quiet_tensorflow
from vidsal.runtime.progress import phase
from vidsal.settings import Settings, is_saved
from vidsal.static import labels, weights
from vidsal.static.suggestions import did_you_mean, suggest
from vidsal.types import StaticStage

if TYPE_CHECKING:
    from vidsal.static.gradient import Classifier

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The network that a run will use, known before TensorFlow is loaded.

    Attributes
    ----------
    key : str
        ``resnet50``, ``lite0``, ``none``, a name in ``keras.applications``, or the path of a
        saved model.
    weights : Path or None
        File to load; ``None`` for what the package itself or Keras provides.
    """

    key: str
    weights: Path | None = None

    @property
    def name(self) -> str | None:
        """The network as people call it; None for none."""
        known = {"resnet50": "ResNet50", "lite0": "EfficientNet-Lite0", "none": None}
        return known.get(self.key, Path(self.key).name)


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
        If ResNet50 is asked for by name and its weights cannot be had, or a file is missing.
    """
    key = settings.model
    if settings.weights is not None:
        return ModelChoice("resnet50" if key == "auto" else key, _local(settings.weights))
    if is_saved(key):
        if not Path(key).is_file():
            raise VidsalError(f"--model {key}: there is no such file")
        return ModelChoice(key)
    if key not in ("auto", "resnet50"):
        if not key.isidentifier():
            raise UsageError(
                f"--model {key!r} is neither auto, resnet50, lite0, none, a name in "
                "keras.applications, nor a file that ends in .keras or .h5"
            )
        return ModelChoice(key)
    try:
        return ModelChoice("resnet50", weights.fetch(published, progress=progress))
    except VidsalError as error:
        if key == "resnet50":
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


def check_target(settings: Settings) -> None:
    """Raise `UsageError` where the target can be seen to be wrong before anything is loaded."""
    if settings.labels is not None:
        labels.find_target(settings.target, labels.read_labels(settings.labels))
    elif not is_saved(settings.model):
        labels.find_target(settings.target)


def open_static(
    choice: ModelChoice, settings: Settings, *, trained: bool = True
) -> StaticStage | None:
    """Return the static stage, or None for a run without a network. Loads TensorFlow.

    Parameters
    ----------
    choice : ModelChoice
    settings : Settings
    trained : bool
        With False the weights are thrown away for random ones, seeded: what such a network's
        maps show, the picture shows by itself.

    Raises
    ------
    UsageError
        If the target is not a class, or the network is not one.
    VidsalError
        If the weights or the model cannot be used.
    """
    if choice.key == "none":
        return None
    require_own_threads("TensorFlow")
    load_tensorflow()
    from vidsal.static.gradient import GradientStage, Recipe

    with gc_paused():
        classifier, classes = open_classifier(choice, settings, trained=trained)
    # Of a network that is opened once more with random weights it is known already.
    if trained:
        _tell_of(classifier, settings)
    recipe = Recipe(
        target=labels.find_target(settings.target, classes), score=settings.score,
        channels=settings.channels, method=settings.method, noise=settings.noise,
        seed=settings.seed,
    )  # fmt: skip
    return GradientStage(classifier, recipe, rows=settings.batch)


def _tell_of(classifier: "Classifier", settings: Settings) -> None:
    """Log what a user who chose a network or its arithmetic may not know of them."""
    from vidsal.static.precision import is_clearly_slower

    if size := classifier.input_size:
        log.warning(
            "%s takes pictures of %dx%d only: others are squashed to that, whatever --short-side",
            classifier.name, size[1], size[0],
        )  # fmt: skip
    if is_clearly_slower(settings.precision):
        log.warning(
            "--precision %s is slower than float32 here: this machine has no such arithmetic",
            settings.precision,
        )


def open_classifier(
    choice: ModelChoice, settings: Settings, *, trained: bool = True
) -> "tuple[Classifier, Sequence[labels.NamedClass]]":
    """Return a network ready to be differentiated, and its classes. TensorFlow must be loaded.

    Raises
    ------
    UsageError
        If there is no such network.
    VidsalError
        If the weights or the model cannot be used.
    """
    from vidsal.static.gradient import Classifier

    logits, count, input_size = _logits(choice, settings, trained=trained)
    classes = _classes(settings, count)
    if len(classes) != count:
        raise VidsalError(
            f"--labels {settings.labels} names {len(classes)} classes, {choice.name} has {count}"
        )
    names = tuple(one.name for one in classes)
    return Classifier(str(choice.name), logits, names, input_size), classes


def _logits(
    choice: ModelChoice, settings: Settings, *, trained: bool
) -> tuple[Callable[[Any], Any], int, tuple[int, int] | None]:
    """Return what turns pixels into logits, how many these are, and the only input size."""
    if choice.key == "resnet50" and choice.weights is not None and trained:
        from vidsal.static import resnet50

        written_down = resnet50.open_logits(choice.weights, settings.precision)
        if written_down is not None:
            return written_down, resnet50.CLASSES, None
    from vidsal.static import keras_models

    model, preprocess = _network(choice, settings)
    if not trained:
        model = keras_models.reinitialised(model, settings.seed)
    model = keras_models.prepared(
        model, precision=settings.precision, is_tried=is_saved(choice.key)
    )

    def logits(rgb: Any) -> Any:
        import tensorflow as tf

        return tf.cast(model(preprocess(rgb), training=False), tf.float32)

    return logits, int(model.output.shape[-1]), keras_models.fixed_size(model)


def _classes(settings: Settings, count: int) -> Sequence[labels.NamedClass]:
    if settings.labels is not None:
        return labels.read_labels(settings.labels)
    return labels.imagenet_classes() if count == 1000 else labels.numbered(count)


def _network(choice: ModelChoice, settings: Settings) -> tuple[Any, Callable[[Any], Any]]:
    """Return a Keras model that gives logits, and what prepares its input."""
    from vidsal.static import keras_models, lite0

    if choice.key == "lite0":
        return lite0.build(), lite0.preprocess
    if is_saved(choice.key):
        return keras_models.saved(Path(choice.key)), keras_models.preprocessing(settings.preprocess)
    known = keras_models.application_names()
    names = {name.lower(): name for name in known}
    if choice.key.lower() not in names:
        hint = did_you_mean(suggest(choice.key, ["lite0", *known]))
        raise UsageError(f"--model {choice.key!r} is not in keras.applications{hint}")
    return keras_models.application(names[choice.key.lower()], choice.weights)


def load_tensorflow() -> Any:
    """Import and return TensorFlow; on a GPU let it take memory as it needs it, not all at once."""
    # A stale choice of another backend in Keras' own configuration would break the tape.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    is_first = "tensorflow" not in sys.modules
    quiet_tensorflow()
    # TensorFlow writes its first lines before it reads the variable that should keep it quiet.
    is_quiet = is_first and os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0") != "0"
    with native_stderr_logged(when=is_quiet), gc_paused(for_good=is_first):
        import tensorflow as tf

    for device in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(device, True)
        except RuntimeError:
            log.debug("%s was already in use; its memory policy stays", device.name)
    return tf


class Network:
    """The network of some settings, opened when it is first asked for, and then kept.

    A wrong path is to be told before TensorFlow is loaded, and many photos need it only once.
    """

    def __init__(self, settings: Settings, *, progress: bool = False) -> None:
        self._settings, self._progress = settings, progress
        check_target(settings)

    @cached_property
    def choice(self) -> ModelChoice:
        """Which network it is."""
        return choose(self._settings, progress=self._progress)

    @cached_property
    def stage(self) -> StaticStage | None:
        """The static half; ``None`` for motion alone."""
        if not self._progress or self.choice.name is None:
            return open_static(self.choice, self._settings)
        with phase(f"loading {self.choice.name}"):
            return open_static(self.choice, self._settings)
