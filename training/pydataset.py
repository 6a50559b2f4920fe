"""The training pipeline of numpy and OpenCV alone, for Keras 3 where TensorFlow is not installed.

Its batches are those of `data.training_dataset`, bit for bit.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from hrnet_tf._keras import keras
from hrnet_tf.networks import Network
from mobile_eval.datasets.coco import KeypointDataset
from training.data import Augmentation, Example, augmented_example, steps_per_epoch

AHEAD = 2  # batches that are made while one is learnt from


class TrainingBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches ((B, H, W, 3), (B, H/4, W/4, K), (B, 1, 1, K)) for all of `epochs` in turn; the last part batch is dropped.

    Give `model.fit` the `steps_per_epoch`. Persons are read by threads of its own, ahead of what is asked for: those of
    Keras begin anew at each epoch.
    """

    def __init__(
        self,
        data: KeypointDataset,
        spec: Network,
        *,
        batch_size: int,
        epochs: range,
        seed: int,
        sigma: float,
        augmentation: Augmentation,
        threads: int | None = None,
    ):
        super().__init__()
        self.data = data
        self.spec = spec
        self.batch_size = batch_size
        self.epochs = epochs
        self.seed = seed
        self.sigma = sigma
        self.augmentation = augmentation
        self.steps = steps_per_epoch(data, batch_size)
        self._threads = ThreadPoolExecutor(threads or os.cpu_count() or 1, "persons")
        self._coming: dict[int, list[Future[Example]]] = {}
        self._orders: dict[int, NDArray[np.int64]] = {}

    def __len__(self) -> int:
        return self.steps * len(self.epochs)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], ...]:
        wanted = range(index, min(index + 1 + AHEAD, len(self)))
        self._coming = {number: self._coming.get(number) or self._begun(number) for number in wanted}
        examples = [future.result() for future in self._coming[index]]
        crops, heatmaps, weights = (np.stack(arrays) for arrays in zip(*examples, strict=True))
        return crops, heatmaps, weights[:, None, None]

    def _begun(self, number: int) -> list[Future[Example]]:
        """The persons of one batch, being made."""
        epoch, step = self.epochs[number // self.steps], number % self.steps
        persons = self._order(epoch)[step * self.batch_size : (step + 1) * self.batch_size]
        return [self._threads.submit(self._example, epoch, int(person)) for person in persons]

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._orders:
            self._orders = {epoch: np.random.default_rng((self.seed, epoch)).permutation(len(self.data))}
        return self._orders[epoch]

    def _example(self, epoch: int, person: int) -> Example:
        rng = np.random.default_rng((self.seed, epoch, person))
        category = self.data.category
        return augmented_example(self.data.persons[person], category.mirrored, self.spec, self.sigma, self.augmentation, rng)
