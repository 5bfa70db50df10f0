"""ResNet50 with ImageNet weights, as Keras publishes it.

K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016,
https://doi.org/10.1109/CVPR.2016.90
"""

from pathlib import Path
from typing import Any

import keras

from vidsal.errors import VidsalError


def build(weights: Path) -> Any:
    """Return the network for pictures of any size, with logits as output.

    Parameters
    ----------
    weights : Path
        ``.h5`` (Keras' published layout) or ``.weights.h5`` (Keras 3).

    Returns
    -------
    keras.Model
        (N, h, w, 3) preprocessed float32 to (N, 1000) logits.

    Raises
    ------
    VidsalError
        If the file does not hold weights of this network.
    """
    model = keras.applications.ResNet50(weights=None, classifier_activation=None)
    try:
        model.load_weights(weights)
    except (OSError, ValueError, KeyError) as error:
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise VidsalError(f"{weights} does not hold weights of ResNet50: {why[:200]}") from error
    # The same layers and numbers behind an input without a fixed size.
    any_size = keras.models.clone_model(model, input_tensors=keras.Input((None, None, 3)))
    any_size.set_weights(model.get_weights())
    return any_size


def preprocess(rgb: Any) -> Any:
    """Return Keras' own preprocessing of (N, h, w, 3) float32 RGB, 0..255: BGR minus the mean."""
    return keras.applications.resnet50.preprocess_input(rgb)
