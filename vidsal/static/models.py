"""The networks vidsal knows: choosing one, and building the static stage from it."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vidsal.errors import UsageError, VidsalError, option
from vidsal.runtime.allocation import gc_paused
from vidsal.runtime.fork import require_own_threads
from vidsal.runtime.native_logs import native_stderr_logged, quiet_tensorflow
from vidsal.runtime.progress import phase
from vidsal.settings import Arithmetic, NetworkOptions, Settings
from vidsal.settings.values import is_saved
from vidsal.static import labels, weights
from vidsal.static.formats import refuse_other_formats
from vidsal.static.suggestions import did_you_mean, suggest
from vidsal.types import StaticStage

if TYPE_CHECKING:
    from vidsal.static.gradient import Classifier, GradientStage
    from vidsal.static.layers import Layer, Observer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The network that a run will use, known before TensorFlow is loaded.

    Attributes
    ----------
    key : str
        ``resnet50``, ``lite0``, ``none``, a name in ``keras.applications``, the path of a
        saved model, or ``keras:NAME`` for a model object.
    weights : Path or None
        File to load; ``None`` for the weights that the package or Keras provides.
    model : keras.Model or None
        A model object that the caller built. It stays in memory and is not changed.
    """

    key: str
    weights: Path | None = None
    model: Any = None

    @property
    def name(self) -> str | None:
        """The network's name as shown to people; ``None`` for a run without a network."""
        if self.model is not None:
            return str(self.model.name)
        known = {"resnet50": "ResNet50", "lite0": "EfficientNet-Lite0", "none": None}
        return known.get(self.key, Path(self.key).name)

    @property
    def is_own(self) -> bool:
        """Whether the network is the user's own: a saved model or a model object."""
        return self.model is not None or is_saved(self.key)


def choose(
    settings: NetworkOptions,
    *,
    progress: bool = False,
    published: weights.WeightsFile = weights.RESNET50,
) -> ModelChoice:
    """Return the network that the settings name, with its weights on disk or in memory.

    Parameters
    ----------
    settings : NetworkOptions
        ``settings.model`` is a name, the path of a ``.keras`` or ``.h5`` file, or a Keras model
        object.
    progress : bool
        Show a progress bar if weights have to be downloaded.
    published : WeightsFile
        ResNet50's weights.

    Raises
    ------
    UsageError
        If the name is unknown, or that of a file that vidsal cannot open.
    VidsalError
        If ResNet50 is asked for by name and its weights are unavailable, or a file is missing.
    """
    model: Any = settings.model
    if not isinstance(model, str):
        if settings.weights is not None:
            raise UsageError(f"{option('weights')} is not for a Keras model object")
        return ModelChoice(f"keras:{getattr(model, 'name', type(model).__name__)}", model=model)
    if settings.weights is not None:
        key = "resnet50" if model == "auto" else model
        return ModelChoice(key, _local_weights(settings.weights))
    if is_saved(model):
        if not Path(model).is_file():
            raise VidsalError(f"{option('model', model)}: there is no such file")
        return ModelChoice(model)
    if model in ("auto", "resnet50"):
        return _resnet50(published, progress=progress, is_required=model == "resnet50")
    refuse_other_formats(model)
    if not model.isidentifier():
        raise UsageError(
            f"{option('model', model)} is not a network: expected auto, resnet50, lite0, "
            "none, a name in keras.applications, or a file that ends in .keras or .h5"
        )
    return ModelChoice(model)


def _resnet50(published: weights.WeightsFile, *, progress: bool, is_required: bool) -> ModelChoice:
    """Return ResNet50; the bundled network where its weights are unavailable and not required."""
    try:
        return ModelChoice("resnet50", weights.fetch(published, progress=progress))
    except VidsalError as error:
        if is_required:
            raise
        log.warning("using the bundled EfficientNet-Lite0: ResNet50's weights are unavailable")
        log.debug("%s", error)
        return ModelChoice("lite0")


def _local_weights(path: Path) -> Path:
    """Return the user's weights file, or raise an error that says what is wrong with it."""
    if not path.is_file():
        raise VidsalError(f"{option('weights', str(path))}: there is no such file")
    if path.suffix != ".h5":
        raise UsageError(f"{option('weights', str(path))} must end in .h5 or .weights.h5")
    return path


def check_target(settings: Settings) -> None:
    """Check the target, and the format of the model's file, before anything is loaded.

    Without a network, both are without effect and are not checked.

    Parameters
    ----------
    settings : Settings

    Raises
    ------
    UsageError
        If the target is not a class, as far as the class names are known, or vidsal cannot open
        the model's format.
    VidsalError
        If the file of class names cannot be read.
    """
    model: Any = settings.model
    if model == "none":
        return
    is_named = isinstance(model, str) and not is_saved(model)
    if is_named:
        refuse_other_formats(model)
    if settings.labels is not None:
        classes = labels.read_labels(settings.labels)
        # One name is that of the only output of a binary network.
        one_output = labels.with_negative(classes[0]) if len(classes) == 1 else classes
        labels.find_target(settings.target, one_output)
    elif is_named:
        labels.find_target(settings.target)


def open_static(
    choice: ModelChoice, settings: Settings, *, random_share: float = 0.0
) -> StaticStage | None:
    """Return the static stage, or None for a run without a network. Load TensorFlow.

    With ``precision="auto"`` the stage finds out which arithmetic is quicker, see
    `vidsal.static.precision.QuickerStage`.

    Parameters
    ----------
    choice : ModelChoice
    settings : Settings
    random_share : float
        Share of the layers whose weights are replaced by random ones, seeded with
        ``settings.seed``, from the last layer backwards. With 1, maps show what comes from the
        picture alone.

    Raises
    ------
    UsageError
        If the target is not a class, or the network's name is unknown.
    VidsalError
        If the weights or the model cannot be used.
    """
    if choice.key == "none":
        return None
    require_own_threads("TensorFlow")
    load_tensorflow()
    open_in = partial(_gradient_stage, choice, settings, random_share)
    if settings.precision != "auto":
        return open_in(settings.precision)
    from vidsal.static.precision import QuickerStage

    is_mean = settings.method in ("smoothgrad", "integrated")
    samples = settings.samples if is_mean else 1
    return QuickerStage(open_in, samples=samples)


def _gradient_stage(
    choice: ModelChoice, settings: Settings, random_share: float, precision: Arithmetic
) -> "GradientStage":
    """Return the static stage in an arithmetic."""
    from vidsal.static.gradient import GradientStage, Recipe

    with gc_paused():
        classifier, classes = open_classifier(
            choice, settings, precision, random_share=random_share, seed=settings.seed
        )
    is_tried = settings.precision == "auto" and precision != "float32"
    # Skip these warnings for the randomised copy, and for an arithmetic that is only tried.
    if not random_share and not is_tried:
        _warn_of_limits(classifier, precision)
    recipe = Recipe(
        target=labels.find_target(settings.target, classes), score=settings.score,
        layer=settings.differentiated_by, reduce=settings.reduce, method=settings.method,
        noise=settings.noise, mirror=settings.mirror, seed=settings.seed,
    )  # fmt: skip
    return GradientStage(classifier, recipe, rows=settings.batch)


def network_layers(settings: Settings) -> "tuple[list[Layer], dict[str, list[str]]]":
    """Return the layers by which a network's scores can be differentiated. Load TensorFlow.

    A network that is known by its name is built with random weights, so that nothing is downloaded.

    Parameters
    ----------
    settings : Settings
        ``model`` and ``short_side`` are used.

    Returns
    -------
    layers : list of Layer
        In the order of the network.
    marks : dict of str to list of str
        What else stands for a layer, by its name: ``auto``, a stride, or the methods that use it.

    Raises
    ------
    UsageError, VidsalError
        See `choose` and `open_static`.
    """
    if settings.model_name == "auto":
        raise UsageError("auto is resnet50 or lite0: name one of them")
    settings = replace(settings, precision="float32")
    is_named = settings.model_name == "resnet50"
    choice = ModelChoice("resnet50") if is_named else choose(settings)
    has_weights = choice.is_own or choice.key == "lite0"
    stage: Any = open_static(choice, settings, random_share=0.0 if has_weights else 1.0)
    if stage is None:
        raise UsageError(f"{option('model', 'none')} has no layers")
    from vidsal.static.layers import INPUT, chosen

    layers = stage.layers(*(stage.input_size or (settings.short_side, settings.short_side)))
    strides = sorted({layer.stride for layer in layers if layer.is_cut})
    marks: dict[str, list[str]] = {}
    for word in ("auto", *(f"/{stride}" for stride in strides)):
        for name in chosen(word, layers):
            marks.setdefault(name, []).append(word)
    for name in chosen("auto", layers, is_last=True):
        marks.setdefault(name, []).append("gradcam")
    marks.pop(INPUT, None)
    return layers, marks


def _warn_of_limits(classifier: "Classifier", precision: Arithmetic) -> None:
    """Log a fixed input size, and an arithmetic that is slow on this machine."""
    from vidsal.static.precision import is_clearly_slower

    if size := classifier.input_size:
        log.warning(
            "%s takes pictures of %dx%d only: other sizes are squashed to that, and %s has no "
            "effect", classifier.name, size[1], size[0], option("short_side"),
        )  # fmt: skip
    if is_clearly_slower(precision):
        log.warning(
            "%s is slower than float32 here: this machine has no such arithmetic",
            option("precision", precision),
        )


def open_classifier(
    choice: ModelChoice,
    settings: NetworkOptions,
    precision: Arithmetic = "float32",
    *,
    random_share: float = 0.0,
    seed: int = 0,
) -> "tuple[Classifier, Sequence[labels.NamedClass]]":
    """Return a network ready to be differentiated, and its classes. TensorFlow must be loaded.

    A network with a sigmoid at its end, or with one output, is multi-label: each class has a
    probability of its own. One output z becomes two classes, "no" with the score -z and "yes"
    with z, so that their probabilities sum to 1.

    Parameters
    ----------
    choice : ModelChoice
    settings : NetworkOptions
    precision : {"float32", "bfloat16"}
    random_share : float
        See `open_static`.
    seed : int
        Seed of the random weights.

    Raises
    ------
    UsageError
        If there is no such network.
    VidsalError
        If the weights or the model cannot be used, or the number of class names is wrong.
    """
    from vidsal.static.gradient import Classifier

    network = _opened(choice, settings, precision, random_share, seed)
    classes = _classes(settings.labels, network.outputs)
    count = max(2, network.outputs)
    if len(classes) != count:
        raise VidsalError(
            f"{option('labels', str(settings.labels))} names {len(classes)} classes, "
            f"{choice.name} has {count}"
        )
    names = tuple(one.name for one in classes)
    classifier = Classifier(
        str(choice.name),
        network.logits,
        names,
        network.input_size,
        network.is_multi_label,
        precision,
    )
    return classifier, classes


class _Opened(NamedTuple):
    """A network before its classes have names.

    `logits` shows each layer to an `Observer`, if there is one. `outputs` is the number of the
    network's own outputs; with one, `logits` returns two. `precision` is the arithmetic that is
    used, which may not be the one that was asked for.
    """

    logits: Callable[..., Any]
    outputs: int
    input_size: tuple[int, int] | None = None
    is_multi_label: bool = False
    precision: Arithmetic = "float32"


def _opened(
    choice: ModelChoice,
    settings: NetworkOptions,
    precision: Arithmetic,
    random_share: float,
    seed: int,
) -> _Opened:
    """Return the function from pixels to logits, and what is known about it."""
    if choice.key == "resnet50" and choice.weights is not None and not random_share:
        from vidsal.static import resnet50

        direct = resnet50.open_logits(choice.weights, precision)
        if direct is not None:
            return _Opened(direct, resnet50.CLASSES, precision=precision)
    if choice.key == "resnet50" and choice.weights is None and random_share == 1:
        from vidsal.static import resnet50

        return _Opened(resnet50.empty_logits(), resnet50.CLASSES)
    from vidsal.static import keras_models

    keras_models.check_backend()
    network = _network(choice, settings, is_trained=random_share < 1)
    model = network.model
    if random_share:
        model = keras_models.reinitialised(model, seed, share=random_share)
    original = model
    model = keras_models.prepared(
        model, precision=precision, is_tried=choice.is_own,
        is_wanted=settings.precision == precision,
    )  # fmt: skip
    used: Arithmetic = "float32" if model is original else precision
    outputs = int(model.output.shape[-1])

    def logits(rgb: Any, observer: "Observer | None" = None) -> Any:
        import tensorflow as tf

        pixels = network.preprocess(rgb)
        scores = tf.cast(keras_models.run(model, pixels, observer), tf.float32)
        return scores if outputs > 1 else tf.concat([-scores, scores], axis=1)

    size = keras_models.fixed_size(model)
    return _Opened(logits, outputs, size, network.is_multi_label, used)


def _classes(names: Path | None, outputs: int) -> Sequence[labels.NamedClass]:
    """Return the classes of a network with so many outputs, named by a file if there is one."""
    if names is not None:
        classes = labels.read_labels(names)
        return labels.with_negative(classes[0]) if (outputs, len(classes)) == (1, 1) else classes
    if outputs == 1:
        return labels.no_and_yes()
    return labels.imagenet_classes() if outputs == 1000 else labels.numbered(outputs)


class _Network(NamedTuple):
    """A Keras model from preprocessed pictures to logits, and its preprocessing."""

    model: Any
    preprocess: Callable[[Any], Any]
    is_multi_label: bool = False


def _network(choice: ModelChoice, settings: NetworkOptions, *, is_trained: bool) -> _Network:
    """Return the Keras model of a choice."""
    from vidsal.static import keras_models, lite0

    if choice.key == "lite0":
        return _Network(lite0.build(), lite0.preprocess)
    if choice.is_own:
        model = choice.model
        if model is None:
            is_trusted = settings.trust_model
            model = keras_models.load(Path(choice.key), is_trusted=is_trusted)
        name = str(choice.name) if choice.model is not None else choice.key
        model, is_multi_label = keras_models.with_logits(model, name)
        return _Network(model, keras_models.preprocessing(settings.preprocess), is_multi_label)
    known = keras_models.application_names()
    names = {name.lower(): name for name in known}
    if choice.key.lower() not in names:
        hint = did_you_mean(suggest(choice.key, ["lite0", *known]))
        raise UsageError(f"{option('model', choice.key)} is not in keras.applications{hint}")
    name = names[choice.key.lower()]
    return _Network(*keras_models.application(name, choice.weights, is_trained=is_trained))


def load_tensorflow() -> Any:
    """Import and return TensorFlow; let it take GPU memory as needed, not all at once."""
    # Another backend in Keras' own configuration would break the gradient tape.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    is_first = "tensorflow" not in sys.modules
    quiet_tensorflow()
    # TensorFlow writes its first lines before it reads the variable that silences it.
    is_quiet = is_first and os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0") != "0"
    with native_stderr_logged(when=is_quiet), gc_paused(for_good=is_first):
        import tensorflow as tf

    for device in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(device, True)
        except RuntimeError:
            log.debug("%s is already in use; its memory policy stays", device.name)
    return tf


class Network:
    """The network of some settings, opened at its first use and kept.

    A wrong path is reported before TensorFlow is loaded, and a batch of photos opens it once.

    Parameters
    ----------
    settings : Settings
    progress : bool
        Show a progress bar if weights have to be downloaded.
    choice : ModelChoice, optional
        The network and its weights, if they are chosen already.

    Raises
    ------
    UsageError
        See `check_target`.
    """

    def __init__(
        self, settings: Settings, *, progress: bool = False, choice: ModelChoice | None = None
    ) -> None:
        self._settings, self._progress, self._choice = settings, progress, choice
        check_target(settings)

    @cached_property
    def choice(self) -> ModelChoice:
        """The network's name and weights."""
        return self._choice or choose(self._settings, progress=self._progress)

    @cached_property
    def stage(self) -> StaticStage | None:
        """The static stage; ``None`` for motion alone."""
        if not self._progress or self.choice.name is None:
            return open_static(self.choice, self._settings)
        with phase(f"loading {self.choice.name}"):
            return open_static(self.choice, self._settings)
