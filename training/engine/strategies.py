"""Training on one device, on all devices of this machine, or on several machines, by tf.distribute.

Every device takes `batch_size` examples per step, so that the batch of a step grows with their number, and the learning rate with
it (Goyal et al., arXiv 1706.02677; the warm-up is the config's). BatchNorm uses the statistics of the full step.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from hrnet_tf.backend.keras_module import tf
from hrnet_tf.backend.types import TFDataset, TFStrategy
from mobile_eval.errors import HRNetError
from training.engine.cluster import TF_CONFIG, Cluster, find_cluster

ONE, MIRRORED, MULTI_WORKER = STRATEGIES = ("one", "mirrored", "multi-worker")


@dataclass(frozen=True)
class Devices:
    """The devices of a training.

    Args:
        strategy: Strategy of tf.distribute; None for one device.
        count: Number of devices of all workers.
        worker: Index of this process among the workers.
        workers: Number of workers.
    """

    strategy: TFStrategy = None
    count: int = 1
    worker: int = 0
    workers: int = 1

    @property
    def local(self) -> range:
        """Indices of the devices of this process among all."""
        per_worker = self.count // self.workers
        return range(self.worker * per_worker, (self.worker + 1) * per_worker)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run."""
        return self.worker == 0

    def distributed(self, dataset: TFDataset) -> TFDataset:
        """Return a dataset of the batches of this process's devices, one after another, as `model.fit` takes it."""
        if self.strategy is None:
            return dataset
        return self.strategy.distribute_datasets_from_function(lambda context: dataset)

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Enter the scope in which models and optimizers are created."""
        with self.strategy.scope() if self.strategy else contextlib.nullcontext():
            yield


@contextlib.contextmanager
def reraised_worker_errors(devices: Devices) -> Iterator[None]:
    """Raise HRNetError, with what to do, instead of TensorFlow's error when another worker fails."""
    try:
        yield
    except Exception as error:
        if devices.workers > 1 and isinstance(error, tf.errors.OpError):
            raise HRNetError(
                f"another worker failed or disappeared ({' '.join(str(error).split())[:120]}): start all workers again with "
                "`resume`, which continues from the last complete epoch"
            ) from error
        raise


def make_devices(name: str = ONE, count: int | None = None) -> Devices:
    """Return the devices of a strategy.

    Call it before TensorFlow does anything else: workers find each other when the strategy is made.

    Args:
        name: one, mirrored or multi-worker.
        count: Number of devices of this machine (mirrored only); None for all GPUs, or all CPUs where there is no GPU.

    Returns:
        The devices, for `Execution`.

    Raises:
        HRNetError: There is no such strategy, or the number of devices does not fit.

    Example:
        >>> execution = Execution(devices=make_devices("mirrored", 2))  # doctest: +SKIP
    """
    if name not in STRATEGIES:
        raise HRNetError(f"`strategy` must be one of {', '.join(STRATEGIES)}, got {name!r}")
    if name == ONE:
        if count not in (None, 1):
            raise HRNetError(f"`strategy` one uses one device, but `devices` is {count}: give `strategy` mirrored")
        return Devices()
    if name == MIRRORED:
        local = _local_devices(count)
        return Devices(tf.distribute.MirroredStrategy(local), len(local))
    if count is not None:
        raise HRNetError("`devices` needs `strategy` mirrored: a worker uses the devices in CUDA_VISIBLE_DEVICES")
    return _multi_worker(find_cluster())


def _local_devices(count: int | None) -> list[str]:
    """Return the names of this machine's devices, the first `count`."""
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    names = [device.name for device in devices]
    if count is not None and not 1 <= count <= len(names):
        raise HRNetError(f"`devices` must be from 1 to {len(names)} on this machine ({', '.join(names)}), got {count}")
    return names[:count]


def _multi_worker(cluster: Cluster) -> Devices:
    os.environ[TF_CONFIG] = cluster.to_tf_config()
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    return Devices(strategy, strategy.num_replicas_in_sync, cluster.index, len(cluster.workers))
