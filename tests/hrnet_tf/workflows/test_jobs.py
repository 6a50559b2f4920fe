"""Jobs that wait for each other: their order, failures, and processes that run commands."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hrnet_tf.workflows.engines import check_executor, optional_module
from hrnet_tf.workflows.jobs import Job, Submitted, run_here, run_job, run_on
from hrnet_tf.workflows.steps import step
from hrnet_tf.workflows.study_options import EngineOptions
from mobile_eval.errors import HRNetError


@dataclass
class Ended:
    """A job that ends at the second look."""

    failure: str | None
    looks: int = 0

    def done(self) -> bool:
        self.looks += 1
        return self.looks > 1

    def error(self) -> str | None:
        return self.failure


@dataclass
class FakeEngine:
    """Notes what it runs; the jobs in `failing` fail."""

    failing: tuple[str, ...] = ()
    submitted: list[str] = field(default_factory=list)

    def submit(self, job: Job) -> Submitted:
        self.submitted.append(job.name)
        return Ended("exit code 2" if job.name in self.failing else None)


def jobs(folder: Path) -> list[Job]:
    """`a`, then `b` and `c`; `d` after both; `e` after `b`."""
    after = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ("b",)}
    return [Job(name, (step("convert", name, result=folder / name),), names) for name, names in after.items()]


def test_jobs_run_when_their_prerequisites_are_finished(tmp_path: Path) -> None:
    engine = FakeEngine()
    run_on(engine, jobs(tmp_path), 0)
    assert engine.submitted == ["a", "b", "c", "d", "e"]
    (tmp_path / "a").touch()
    (tmp_path / "c").touch()
    resumed = FakeEngine()
    run_on(resumed, jobs(tmp_path), 0)
    assert resumed.submitted == ["b", "d", "e"]
    executed: list[list[str]] = []
    run_here(jobs(tmp_path), executed.append)
    assert executed == [["convert", "b"], ["convert", "d"], ["convert", "e"]]


def test_other_jobs_run_when_one_fails(tmp_path: Path) -> None:
    engine = FakeEngine(failing=("c",))
    with pytest.raises(HRNetError, match=r"c \(exit code 2\); d did not run; `resume`"):
        run_on(engine, jobs(tmp_path), 0)
    assert engine.submitted == ["a", "b", "c", "e"]


def test_a_job_runs_commands_in_this_process(capsys: pytest.CaptureFixture[str]) -> None:
    run_job(Job("models", (step("models pose-w16"), step("models pose-w32"))))
    out = capsys.readouterr().out
    assert "7.4" in out
    assert "28.5" in out
    with pytest.raises(HRNetError, match="'pose-w0'"):
        run_job(Job("models", (step("models pose-w0"),)))


def test_options_of_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.defpath)
    with pytest.raises(HRNetError, match="'condor'"):
        EngineOptions("condor")
    with pytest.raises(HRNetError, match=r"`gpus` .* got 0.5"):
        EngineOptions("slurm", gpus=0.5)
    with pytest.raises(HRNetError, match="sbatch"):
        check_executor(EngineOptions("slurm"))
    with pytest.raises(HRNetError, match=r"pip install 'hrnet-tf\[ray\]'"):
        optional_module("no_such_engine", "ray")
    assert EngineOptions(memory="2GiB").memory_bytes == 2 * 2**30
