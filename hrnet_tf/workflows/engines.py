"""Engines that run the jobs of a study on a cluster: submitit for SLURM, and Ray. Both are optional, and imported when needed.

All machines need the same environment and the same folders, as on a shared file system. The engine starts an interrupted job
again, and its commands go on from their last epoch.
"""

from __future__ import annotations

import importlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hrnet_tf.workflows.jobs import Engine, Job, Submitted, run_job
from hrnet_tf.workflows.study_options import EngineOptions
from mobile_eval.errors import HRNetError

if TYPE_CHECKING:
    import submitit

BYTES_PER_GB = 1e9
RETRIES = 3  # of a job whose Ray worker died
MODULES = {"slurm": "submitit", "ray": "ray"}  # of the executors
TRACE_RULE = "-" * 22  # around the traceback in errors of submitit
RAY_WAIT_SECONDS = 0.1


def engine_of(options: EngineOptions, folder: Path) -> Engine:
    """Return the engine of the options.

    Args:
        options: "slurm" or "ray", and the resources of each job.
        folder: Folder for logs.
    """
    return RayEngine(options) if options.executor == "ray" else SlurmEngine(options, folder, "slurm")


def check_executor(options: EngineOptions) -> None:
    """Raise HRNetError if the engine of the options is not installed, or there is no SLURM; before anything is written."""
    if options.executor == "slurm" and shutil.which("sbatch") is None:
        raise HRNetError("`executor` slurm needs the command sbatch, which is not on the PATH: expected a login node")
    if options.executor in MODULES:
        optional_module(MODULES[options.executor], options.executor)


def optional_module(name: str, extra: str) -> ModuleType:
    """Import a module of an extra. Raises HRNetError if it is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise HRNetError(f"`executor` {extra} needs {name}: pip install 'hrnet-tf[{extra}]'") from None


@dataclass(frozen=True)
class ResumedJob:
    """A job as submitit calls it. At the time limit, or if it is preempted, it is put in the queue again."""

    job: Job
    threads: int

    def __call__(self) -> None:
        run_job(self.job, self.threads)

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """Return what is put in the queue: the same job, which goes on from its last epoch."""
        helpers = importlib.import_module("submitit.helpers")
        return helpers.DelayedSubmission(self)


class SlurmEngine:
    """SLURM by submitit.

    Args:
        options: Resources of each job.
        folder: Folder for scripts, logs and results of submitit, which all machines can write to.
        cluster: "slurm"; or, for tests, submitit's "local" (processes of this machine) or "debug" (this process).
    """

    def __init__(self, options: EngineOptions, folder: Path, cluster: str) -> None:
        submitit = optional_module("submitit", "slurm")
        self._uncompleted = submitit.core.utils.UncompletedJobError
        self._threads = options.cpus
        self._executor = submitit.AutoExecutor(folder=folder / "%j", cluster=cluster)
        memory = {} if options.memory_bytes is None else {"mem_gb": options.memory_bytes / BYTES_PER_GB}
        partition = {} if options.partition is None else {"slurm_partition": options.partition}
        self._executor.update_parameters(
            name="hrnet-study",
            cpus_per_task=options.cpus,
            gpus_per_node=int(options.gpus),
            timeout_min=max(1, round(options.hours * 60)),
            **memory,
            **partition,
        )

    def submit(self, job: Job) -> Submitted:
        """Put a job in the queue."""
        return _SlurmJob(self._executor.submit(ResumedJob(job, self._threads)), self._uncompleted)


@dataclass(frozen=True)
class _SlurmJob:
    job: Any  # of submitit
    uncompleted: type[Exception]

    def done(self) -> bool:
        return bool(self.job.done())

    def error(self) -> str | None:
        try:
            error = self.job.exception()
        except self.uncompleted as failure:  # it ended without a result, such as a job that was killed
            error = failure
        if error is None:
            return None
        trace = str(error).split(TRACE_RULE)  # a heading, the traceback, and where the logs are
        return f"{trace[min(1, len(trace) - 1)].strip().splitlines()[-1]}, see {self.job.paths.stderr}"


class RayEngine:
    """A Ray cluster: that of RAY_ADDRESS, or the processors of this machine. If a worker dies, another one resumes its job.

    Args:
        options: Resources of each job.
    """

    def __init__(self, options: EngineOptions) -> None:
        self._ray = optional_module("ray", "ray")
        if not self._ray.is_initialized():
            self._ray.init(include_dashboard=False)
        resources: dict[str, object] = {"num_cpus": options.cpus, "num_gpus": options.gpus, "memory": options.memory_bytes}
        # A new process for each job: TensorFlow keeps the memory that it had.
        self._run = self._ray.remote(max_calls=1, max_retries=RETRIES, **resources)(run_job)
        self._threads = options.cpus

    def submit(self, job: Job) -> Submitted:
        """Queue a job for the next worker with enough resources."""
        return _RayJob(self._ray, self._run.options(name=job.name).remote(job, self._threads))


@dataclass(frozen=True)
class _RayJob:
    ray: Any
    reference: Any  # to the result

    def done(self) -> bool:
        return bool(self.ray.wait([self.reference], timeout=RAY_WAIT_SECONDS)[0])

    def error(self) -> str | None:
        try:
            self.ray.get(self.reference)
        except self.ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            return (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        return None
