"""Which workers train together, from TF_CONFIG (as TensorFlow documents it) or from SLURM's variables.

    TF_CONFIG='{"cluster": {"worker": ["host0:12345", "host1:12345"]}, "task": {"type": "worker", "index": 0}}'

Under SLURM (`srun --ntasks=N hrnet train ... --strategy multi-worker`) nothing needs to be set: each task is a worker.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mobile_eval.errors import HRNetError

TF_CONFIG, SLURM_RANK, SLURM_TASKS = "TF_CONFIG", "SLURM_PROCID", "SLURM_NTASKS"
WORKER, CHIEF = "worker", "chief"
PORT = 12345  # of the first worker on a host under SLURM
EXAMPLE = '{"cluster": {"worker": ["host0:12345", "host1:12345"]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Cluster:
    """The workers, as host:port, in order, and which of them this process is (`index`). The first one is the chief."""

    workers: tuple[str, ...]
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run."""
        return self.index == 0

    def to_tf_config(self) -> str:
        """As TensorFlow reads it."""
        return json.dumps({"cluster": {WORKER: list(self.workers)}, "task": {"type": WORKER, "index": self.index}})


def find_cluster(environment: Mapping[str, str] | None = None) -> Cluster:
    """The cluster that the environment describes; HRNetError where it describes none, or a wrong one."""
    environment = os.environ if environment is None else environment
    if environment.get(TF_CONFIG):
        return parse_tf_config(environment[TF_CONFIG])
    if SLURM_RANK in environment and SLURM_TASKS in environment:
        return _slurm(environment)
    raise HRNetError(f"`strategy` multi-worker needs {TF_CONFIG}, such as {EXAMPLE}, or to be started by SLURM's srun")


def parse_tf_config(text: str) -> Cluster:
    """TF_CONFIG of a cluster of workers, one of which may be called its chief."""
    try:
        config: Any = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        chiefs, others = list(cluster.get(CHIEF, [])), list(cluster.get(WORKER, []))
        kind, index = task["type"], task["index"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise HRNetError(f"{TF_CONFIG} is not as TensorFlow documents it ({type(error).__name__} {error}): {EXAMPLE}") from error
    unknown = set(cluster) - {CHIEF, WORKER}
    if unknown:
        raise HRNetError(f"{TF_CONFIG} has tasks of type {', '.join(sorted(unknown))}: only {CHIEF} and {WORKER} train here")
    own = {CHIEF: chiefs, WORKER: others}.get(kind)
    if own is None or not isinstance(index, int) or not 0 <= index < len(own):
        raise HRNetError(
            f"{TF_CONFIG}: this process is {kind} {index}, but there are {len(chiefs)} chiefs and {len(others)} workers"
        )
    workers = (*chiefs, *others)
    if len(chiefs) > 1 or len(set(workers)) < len(workers) or not all(":" in str(worker) for worker in workers):
        raise HRNetError(f"{TF_CONFIG}: expected different host:port, one chief at most, got {', '.join(map(str, workers))}")
    return Cluster(tuple(map(str, workers)), index + (len(chiefs) if kind == WORKER else 0))


def _slurm(environment: Mapping[str, str]) -> Cluster:
    """Each task of a SLURM step is a worker; tasks of one host take ports one after another."""
    from tensorflow.python.distribute.cluster_resolver.slurm_cluster_resolver import expand_hostlist, expand_tasks_per_node

    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST")
    tasks = environment.get("SLURM_STEP_TASKS_PER_NODE") or environment.get("SLURM_TASKS_PER_NODE")
    if not nodes or not tasks:
        raise HRNetError("SLURM tells neither its nodes nor its tasks a node (SLURM_STEP_NODELIST, SLURM_STEP_TASKS_PER_NODE)")
    counts = zip(expand_hostlist(nodes), expand_tasks_per_node(tasks), strict=True)
    workers = tuple(f"{host}:{PORT + task}" for host, count in counts for task in range(count))
    rank, expected = int(environment[SLURM_RANK]), int(environment[SLURM_TASKS])
    if len(workers) != expected or not 0 <= rank < expected:
        raise HRNetError(f"SLURM says task {rank} of {expected}, but its nodes hold {len(workers)} tasks")
    return Cluster(workers, rank)
