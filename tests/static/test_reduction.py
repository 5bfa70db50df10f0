"""Class activation maps are those of tf-keras-vis, on the same network and picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from keras_help import L, keras, open_object

from vidsal.static import lite0
from vidsal.types import Request

TABBY = 281


@pytest.mark.oracle
@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam"])
@pytest.mark.parametrize("layer", ["head_relu", "block10_add"])
def test_maps_equal_those_of_tf_keras_vis(method: str, layer: str, sample_media: Path) -> None:
    pytest.importorskip("tf_keras_vis")
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
    from tf_keras_vis.layercam import Layercam
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
    from tf_keras_vis.utils.scores import CategoricalScore

    bgr = cv2.imread(str(sample_media / "cat.jpg"))
    assert bgr is not None
    cat = np.ascontiguousarray(cv2.resize(bgr, (224, 224))[..., ::-1], np.uint8)
    kinds: dict[str, Any] = {"gradcam": Gradcam, "gradcam++": GradcamPlusPlus, "layercam": Layercam}
    network = lite0.build()
    picture = keras.Input((224, 224, 3))
    model = keras.Model(picture, network(L.Rescaling(1 / 128, offset=-127 / 128)(picture)))
    stage: Any = open_object(model, method=method, layer=layer, target=str(TABBY))
    (ours,) = stage.maps(cat[None], [Request(0, 1)])
    theirs = kinds[method](network, model_modifier=ReplaceToLinear(), clone=True)(
        CategoricalScore([TABBY]), lite0.preprocess(cat[None]).numpy(), penultimate_layer=layer,
        seek_penultimate_conv_layer=False, expand_cam=False, normalize_cam=False,
    )  # fmt: skip
    theirs = np.asarray(theirs)[0]
    assert ours.shape == theirs.shape and ours.max() > 0
    # Grad-CAM++ has a factor of exp(score) there.
    assert ours / ours.max() == pytest.approx(theirs / theirs.max(), abs=2e-3)
