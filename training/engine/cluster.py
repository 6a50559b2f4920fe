"""The workers that train together, from TF_CONFIG (as TensorFlow documents it) or from the variables of SLURM.

    TF_CONFIG='{"cluster": {"worker": ["host0:12345", "host1:12345"]}, "task": {"type": "worker", "index": 0}}'

Under SLURM (`srun --ntasks=N hrnet train ... --strategy multi-worker`) each task is a worker without further settings.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

from mobile_eval.errors import HRNetError

TF_CONFIG, SLURM_RANK, SLURM_TASKS = "TF_CONFIG", "SLURM_PROCID", "SLURM_NTASKS"
WORKER, CHIEF = "worker", "chief"
PORT = 12345  # of the first worker on a host under SLURM
EXAMPLE = '{"cluster": {"worker": ["host0:12345", "host1:12345"]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Cluster:
    """The workers of a training.

    Args:
        workers: Their addresses, host:port; the first one is the chief.
        index: Index of this process among them.
    """

    workers: tuple[str, ...]
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run."""
        return self.index == 0

    def to_tf_config(self) -> str:
        """Return the value of TF_CONFIG for this process."""
        return json.dumps({"cluster": {WORKER: list(self.workers)}, "task": {"type": WORKER, "index": self.index}})


def find_cluster(environment: Mapping[str, str] | None = None) -> Cluster:
    """Return the cluster that the environment describes; HRNetError where there is none, or a wrong one."""
    environment = os.environ if environment is None else environment
    if environment.get(TF_CONFIG):
        return parse_tf_config(environment[TF_CONFIG])
    if SLURM_RANK in environment and SLURM_TASKS in environment:
        return _slurm(environment)
    raise HRNetError(f"`strategy` multi-worker needs {TF_CONFIG}, such as {EXAMPLE}, or srun of SLURM")


def parse_tf_config(text: str) -> Cluster:
    """Parse TF_CONFIG of a cluster of workers, one of which may be its chief."""
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        chiefs, workers = list(cluster.get(CHIEF, [])), list(cluster.get(WORKER, []))
        kind, index = task["type"], task["index"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise HRNetError(f"{TF_CONFIG} must be like {EXAMPLE}, got {text!r} ({type(error).__name__} {error})") from error
    unknown = set(cluster) - {CHIEF, WORKER}
    if unknown:
        raise HRNetError(f"{TF_CONFIG} has tasks of type {', '.join(sorted(unknown))}, expected only {CHIEF} and {WORKER}")
    same_kind = {CHIEF: chiefs, WORKER: workers}.get(kind)
    if same_kind is None or not isinstance(index, int) or not 0 <= index < len(same_kind):
        raise HRNetError(
            f"{TF_CONFIG}: this process is {kind} {index}, but there are {len(chiefs)} chiefs and {len(workers)} workers"
        )
    addresses = tuple(map(str, (*chiefs, *workers)))
    if len(chiefs) > 1 or len(set(addresses)) < len(addresses) or not all(":" in address for address in addresses):
        raise HRNetError(f"{TF_CONFIG} must have different host:port and at most one chief, got {', '.join(addresses)}")
    return Cluster(addresses, index + (len(chiefs) if kind == WORKER else 0))


def _slurm(environment: Mapping[str, str]) -> Cluster:
    """Return the cluster of a SLURM step: each task is a worker; those of one host have consecutive ports."""
    from tensorflow.python.distribute.cluster_resolver.slurm_cluster_resolver import expand_hostlist, expand_tasks_per_node

    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST")
    tasks = environment.get("SLURM_STEP_TASKS_PER_NODE") or environment.get("SLURM_TASKS_PER_NODE")
    if not nodes or not tasks:
        raise HRNetError("SLURM_STEP_NODELIST and SLURM_STEP_TASKS_PER_NODE are not set: start the workers by srun")
    counts = zip(expand_hostlist(nodes), expand_tasks_per_node(tasks), strict=True)
    workers = tuple(f"{host}:{PORT + task}" for host, count in counts for task in range(count))
    rank, expected = int(environment[SLURM_RANK]), int(environment[SLURM_TASKS])
    if len(workers) != expected or not 0 <= rank < expected:
        raise HRNetError(f"SLURM has task {rank} of {expected}, but its nodes have {len(workers)} tasks")
    return Cluster(workers, rank)
