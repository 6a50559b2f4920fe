"""Stop training when the loss becomes NaN or infinite, and save the batch."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.runs.run import Run
from mobile_eval.errors import HRNetError
from mobile_eval.files import write_bytes
from training.data.examples import Examples

BATCH_FILE = "nan-batch.npz"
ARRAYS = ("images", "targets", "weights")


class TerminateOnNonFinite(keras.callbacks.Callback):  # type: ignore[misc]
    """Raises HRNetError after the first step whose loss is NaN or infinite.

    The run keeps its last checkpoint and the batch: a file with `images`, `targets`, `weights` (if the task has them) and
    `image_paths` of all devices.

    Args:
        run: The run.
        examples: The training examples.
    """

    async_safe = True  # Keras 3 need not wait for the loss of a step before the next one

    def __init__(self, run: Run, examples: Examples):
        super().__init__()
        self.run = run
        self.examples = examples
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        if math.isfinite(loss):
            return
        path = self.run.path / BATCH_FILE
        content = io.BytesIO()
        np.savez_compressed(content, **self._step_arrays(batch))
        write_bytes(path, content.getvalue())
        raise HRNetError(
            f"the loss is {loss} after step {batch + 1} of epoch {self._epoch + 1}; its batch is in {path}. Inspect it, or "
            "start again with a smaller `learning_rate` and another `output`"
        )

    def _step_arrays(self, step: int) -> dict[str, Any]:
        """Return the arrays of a step of all devices, and the paths of its images."""
        devices = self.examples.devices
        parts = [self.examples.batch(self._epoch, step * devices + device) for device in range(devices)]
        arrays: dict[str, Any] = {
            name: np.concatenate(part) for name, part in zip(ARRAYS, zip(*parts, strict=True), strict=False)
        }
        count = len(arrays["images"])
        indices = self.examples.order(self._epoch)[step * count : (step + 1) * count]
        return {**arrays, "image_paths": np.array([str(self.examples.data.items[index].image_path) for index in indices])}
