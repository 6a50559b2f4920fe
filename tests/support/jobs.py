"""Processes that begin as copies of one that has imported TensorFlow and not used it: to import it takes seconds."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

JOBS = multiprocessing.get_context("forkserver")
JOBS.set_forkserver_preload(["tensorflow", "tf_keras"])


@dataclass(frozen=True)
class Job:
    """A started process, and the file of what it prints."""

    process: ForkServerProcess
    output: Path

    @classmethod
    def start(cls, target: Callable[..., object], *arguments: object, output: Path, **variables: str) -> Job:
        """Calls `target` with environment variables in a new process."""
        process = JOBS.Process(target=_call, args=(target, arguments, variables, output))
        process.start()
        return cls(process, output)

    def end(self, timeout: float = 300) -> tuple[int | None, str]:
        """Waits for the end; returns the exit code and what the process printed."""
        self.process.join(timeout)
        return self.process.exitcode, self.output.read_text()


def _call(target: Callable[..., object], arguments: Sequence[object], variables: dict[str, str], output: Path) -> None:
    os.environ.update(variables)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    target(*arguments)


def hrnet_commands(*commands: Sequence[str]) -> None:
    """Runs commands of `hrnet` one after another, until one fails."""
    from hrnet_tf.__main__ import main

    for command in commands:
        sys.argv = ["hrnet", *command]
        try:
            main()
        except SystemExit as ended:
            if ended.code:
                raise
