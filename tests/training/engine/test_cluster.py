"""Clusters described by TF_CONFIG and by SLURM."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mobile_eval.errors import HRNetError
from training.engine.cluster import Cluster, find_cluster, parse_tf_config


def tf_config(kind: str = "worker", index: Any = 0, **cluster: list[str]) -> str:
    return json.dumps({"cluster": cluster or {"worker": ["a:1", "b:1"]}, "task": {"type": kind, "index": index}})


def test_workers_and_a_chief() -> None:
    assert parse_tf_config(tf_config(index=1)) == Cluster(("a:1", "b:1"), 1)
    with_chief = {"chief": ["c:1"], "worker": ["a:1", "b:1"]}
    assert parse_tf_config(tf_config("chief", **with_chief)) == Cluster(("c:1", "a:1", "b:1"), 0)
    second = parse_tf_config(tf_config("worker", 1, **with_chief))
    assert second == Cluster(("c:1", "a:1", "b:1"), 2)
    assert not second.is_chief
    assert parse_tf_config(second.to_tf_config()) == second


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "JSONDecodeError"),
        ('{"cluster": {}}', "KeyError 'task'"),
        (tf_config(index=2), "this process is worker 2, but there are 0 chiefs and 2 workers"),
        (tf_config("evaluator"), "this process is evaluator 0"),
        (tf_config(worker=["a:1"], ps=["b:1"]), "tasks of type ps"),
        (tf_config(worker=["a:1", "a:1"]), "must have different host:port"),
        (tf_config(worker=["a"]), "must have different host:port"),
    ],
)
def test_bad_tf_config(text: str, message: str) -> None:
    with pytest.raises(HRNetError, match=message):
        parse_tf_config(text)


def test_tasks_of_slurm_are_workers() -> None:
    step = {
        "SLURM_STEP_NODELIST": "gpu[01-02],cpu",
        "SLURM_STEP_TASKS_PER_NODE": "2(x2),1",
        "SLURM_NTASKS": "5",
        "SLURM_PROCID": "3",
    }
    assert find_cluster(step) == Cluster(("gpu01:12345", "gpu01:12346", "gpu02:12345", "gpu02:12346", "cpu:12345"), 3)
    with pytest.raises(HRNetError, match="task 3 of 4, but its nodes have 5 tasks"):
        find_cluster({**step, "SLURM_NTASKS": "4"})
    with pytest.raises(HRNetError, match="SLURM_STEP_NODELIST"):
        find_cluster({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"})


def test_missing_cluster() -> None:
    with pytest.raises(HRNetError, match="TF_CONFIG"):
        find_cluster({})
