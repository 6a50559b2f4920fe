"""Decoding in the graph, and operations that cannot be converted."""

from __future__ import annotations

import numpy as np
import pytest

from conversion.flatbuffer import to_flatbuffer
from conversion.models import with_decoding
from conversion.options import ConvertOptions
from hrnet_tf.backend.keras_module import keras, tf
from mobile_eval.errors import HRNetError
from mobile_eval.keypoints.decode import decode_heatmaps, decoded_in_graph


@pytest.mark.slow
def test_decoding_in_the_graph_matches_official_decoding() -> None:
    rng = np.random.default_rng(0)
    heatmaps = rng.standard_normal((64, 6, 5, 9)).astype(np.float32)  # small maps with maxima on every border
    heatmaps[:8] = np.round(heatmaps[:8])  # equal neighbors and equal maxima
    heatmaps[8:16] -= 9  # no positive maximum
    image = keras.Input(heatmaps.shape[1:])
    model = with_decoding(keras.Model(image, keras.layers.Activation("linear")(image)))
    outputs = [model(heatmap[None]) for heatmap in heatmaps]
    locations, scores = (np.concatenate([output[name] for output in outputs]) for name in ("locations", "scores"))
    np.testing.assert_allclose(decoded_in_graph(locations, scores), decode_heatmaps(heatmaps), atol=1e-6)


def test_operation_that_tflite_lacks() -> None:
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, tf.math.special.bessel_i0e(image), name="odd")
    with pytest.raises(HRNetError, match="BesselI0e"):
        to_flatbuffer(model, ConvertOptions("float32"), None)
