"""Training on one device, on all of this machine, or on several machines, by TensorFlow's own engine (tf.distribute).

Every device is given `batch_size` persons a step, so that a step's batch grows with their number, and the learning rate with it
(Goyal et al., arXiv 1706.02677; the warm-up is the config's). BatchNorm's statistics are those of the whole step.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hrnet_tf.backend.keras_module import tf
from mobile_eval.errors import HRNetError
from training.engine.cluster import TF_CONFIG, Cluster, find_cluster

ONE, MIRRORED, MULTI_WORKER = STRATEGIES = ("one", "mirrored", "multi-worker")


@dataclass(frozen=True)
class Devices:
    """What trains: `strategy` (tf.distribute; None: one device), devices altogether, and which of the workers this process is."""

    strategy: Any = None
    count: int = 1
    worker: int = 0
    workers: int = 1

    @property
    def own(self) -> range:
        """The numbers of this process's devices among all."""
        each = self.count // self.workers
        return range(self.worker * each, (self.worker + 1) * each)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run."""
        return self.worker == 0

    def distributed(self, dataset: Any) -> Any:
        """A dataset of this process's devices' batches, one after another, as `model.fit` takes it."""
        if self.strategy is None:
            return dataset
        return self.strategy.distribute_datasets_from_function(lambda context: dataset)

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Where models and optimizers are made."""
        with self.strategy.scope() if self.strategy else contextlib.nullcontext():
            yield


@contextlib.contextmanager
def reraised_worker_errors(devices: Devices) -> Iterator[None]:
    """Where another worker goes away, say so, instead of what TensorFlow makes of it."""
    try:
        yield
    except Exception as error:
        if devices.workers > 1 and isinstance(error, tf.errors.OpError):
            raise HRNetError(
                f"a worker went away, or failed ({' '.join(str(error).split())[:120]}): start all of them again with `resume`, "
                "which goes on from the last whole epoch"
            ) from error
        raise


def make_devices(name: str = ONE, count: int | None = None) -> Devices:
    """The devices of that strategy; of this machine `count`, or all (GPUs where there are any, else CPUs).

    Call it before anything else of TensorFlow has run: workers find each other when the strategy is made.
    """
    if name not in STRATEGIES:
        raise HRNetError(f"no strategy named {name!r}; there are {', '.join(STRATEGIES)}")
    if name == ONE:
        if count not in (None, 1):
            raise HRNetError(f"`strategy` one takes one device, not {count}: give `strategy` mirrored")
        return Devices()
    if name == MIRRORED:
        local = _local(count)
        return Devices(tf.distribute.MirroredStrategy(local), len(local))
    if count is not None:
        raise HRNetError("`devices` goes with `strategy` mirrored: a worker takes what CUDA_VISIBLE_DEVICES lets it see")
    return _multi_worker(find_cluster())


def _local(count: int | None) -> list[str]:
    """Names of this machine's devices, the first `count`."""
    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    names = [device.name for device in found]
    if count is not None and not 1 <= count <= len(names):
        raise HRNetError(f"`devices` {count}: there {'is' if len(names) == 1 else 'are'} {len(names)} ({', '.join(names)})")
    return names[:count]


def _multi_worker(cluster: Cluster) -> Devices:
    os.environ[TF_CONFIG] = cluster.to_tf_config()
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    return Devices(strategy, strategy.num_replicas_in_sync, cluster.index, len(cluster.workers))
