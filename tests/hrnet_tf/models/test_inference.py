"""Each model is compiled once, without warnings of TensorFlow about retracing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.inference import Inference
from hrnet_tf.models.quantization import activation_ranges

SIZE = (8, 8)
# TensorFlow counts the traces of a process, so each way of calling models needs its own process.
JOB = """
import numpy as np
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.inference import Inference

for _ in range(8):
    model = keras.Sequential([keras.layers.Conv2D(2, 3, input_shape=(8, 8, 3))])
    call = {call}
    for count in (4, 1, 3):
        call(np.zeros((count, 8, 8, 3), np.float32))
"""


def test_batches_of_any_size() -> None:
    model = keras.Sequential([keras.layers.Conv2D(2, 3, input_shape=(*SIZE, 3))])
    inference = Inference(model, (*SIZE, 3))
    for count in (4, 1, 3):
        images = np.random.default_rng(count).normal(size=(count, *SIZE, 3)).astype(np.float32)
        np.testing.assert_allclose(inference(images), np.asarray(model(images)), atol=1e-5)
    assert len(activation_ranges(model, [[images], [images[:1]]])) == len(model.layers)


@pytest.mark.slow
@pytest.mark.parametrize(("call", "retraces"), [("Inference(model, (8, 8, 3))", False), ("model.predict_on_batch", True)])
def test_many_models_in_one_process(call: str, retraces: bool) -> None:
    completed = subprocess.run([sys.executable, "-c", JOB.format(call=call)], capture_output=True, text=True, check=True)
    assert ("retracing" in completed.stderr) == retraces
