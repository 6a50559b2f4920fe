"""The training pipeline as a Keras 3 `PyDataset` of numpy and OpenCV, for where TensorFlow is not installed.

Its batches are those of `data.training_dataset`, bit for bit.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import cv2

from hrnet_tf.backend.keras_module import keras
from training.data.examples import WORKERS, Example, Examples


class TrainingBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of images, targets and (where there are any) weights for all of `epochs` in turn; the last part batch is dropped.

    Give `model.fit` the `steps_per_epoch`. Batches are made by threads of its own, ahead of what is asked for: those of
    Keras begin anew at each epoch.
    """

    def __init__(self, examples: Examples, epochs: range):
        super().__init__()
        self.examples = examples
        self.epochs = epochs
        cv2.setNumThreads(1)  # batches are made side by side already
        self._makers = ThreadPoolExecutor(WORKERS, "batches")
        self._coming: dict[int, Future[Example]] = {}

    def __len__(self) -> int:
        return self.examples.steps * len(self.epochs)

    def __getitem__(self, index: int) -> Example:
        wanted = range(index, min(index + 1 + WORKERS, len(self)))  # one is learnt from, the others are made meanwhile
        self._coming = {number: self._coming.get(number) or self._begun(number) for number in wanted}
        return self._coming[index].result()

    def _begun(self, number: int) -> Future[Example]:
        epoch, step = divmod(number, self.examples.steps)
        return self._makers.submit(self.examples.batch, self.epochs[epoch], step)
