"""Where a loss is no number any more: the batch is kept for a look, and the training ends."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.runs.run import Run
from mobile_eval.errors import HRNetError
from mobile_eval.files import write_atomically
from training.data.examples import Examples

BATCH_FILE = "nan-batch.npz"
ARRAYS = ("images", "targets", "weights")


class TerminateOnNonFinite(keras.callbacks.Callback):  # type: ignore[misc]
    """Raises HRNetError after the first batch whose loss is NaN or infinite; the run keeps it, its checkpoint as it was.

    The file holds `images`, `targets`, `weights` (where there are any) and `image_paths` of the whole step, on whatever devices
    it was.
    """

    async_safe = True  # Keras 3 need not wait for each step's loss before it sends off the next

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
        together = self.examples.together
        parts = [self.examples.batch(self._epoch, batch * together + part) for part in range(together)]
        arrays: dict[str, Any] = dict(zip(ARRAYS, (np.concatenate(part) for part in zip(*parts, strict=True)), strict=False))
        count = len(arrays["images"])
        places = range(batch * count, (batch + 1) * count)
        names = [str(self.examples.data.items[self.examples.order(self._epoch)[place]].image_path) for place in places]
        content = io.BytesIO()
        np.savez_compressed(content, **arrays, image_paths=np.array(names))
        path = self.run.path / BATCH_FILE
        write_atomically(path, lambda beside: beside.write_bytes(content.getvalue()))
        raise HRNetError(
            f"the loss is {loss} after step {batch + 1} of epoch {self._epoch + 1}; its batch is in {path}. Look at it, or "
            "start again with a smaller `learning_rate` and another `output`"
        )
