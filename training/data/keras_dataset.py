"""The training pipeline as a `PyDataset` of Keras 3, for environments without TensorFlow."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import cv2

from hrnet_tf.backend.keras_module import keras
from training.data.examples import Batch, Examples
from training.execution import DEFAULT_WORKERS


class TrainingBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """The batches of several epochs in turn, bit for bit those of `tf_pipeline.training_dataset`.

    Give `model.fit` the `steps_per_epoch`. The batches are built ahead by threads of this object, because those of Keras stop at
    the end of each epoch.

    Args:
        examples: The training examples.
        epochs: Indices of the epochs.
        workers: Number of threads.
    """

    def __init__(self, examples: Examples, epochs: range, workers: int = DEFAULT_WORKERS):
        super().__init__()
        self.examples = examples
        self.epochs = epochs
        self.batches_ahead = workers
        cv2.setNumThreads(1)  # batches are built in parallel already
        self._executor = ThreadPoolExecutor(workers, "batches")
        self._pending: dict[int, Future[Batch]] = {}

    def __len__(self) -> int:
        return self.examples.steps * len(self.epochs)

    def __getitem__(self, index: int) -> Batch:
        indices = range(index, min(index + 1 + self.batches_ahead, len(self)))
        self._pending = {number: self._pending.get(number) or self._submitted(number) for number in indices}
        return self._pending[index].result()

    def _submitted(self, number: int) -> Future[Batch]:
        epoch, step = divmod(number, self.examples.steps)
        return self._executor.submit(self.examples.batch, self.epochs[epoch], step)
