"""What a training looks like in a terminal: one line that moves while an epoch is learnt, one that stays after each."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from hrnet_tf.backend.keras_module import keras

REFRESH_S = 0.25  # between looks at the loss, which may wait for a GPU


class ProgressLine(keras.callbacks.Callback):  # type: ignore[misc]
    """Shows loss and metrics, images a second and the time left; moving only where `console` is a terminal.

    Give it last, so that it sees what other callbacks add to the logs, and call `close` when `fit` has ended, however it did.
    """

    async_safe = True  # see `TerminateOnNonFinite`

    def __init__(self, batch_size: int, steps: int, epochs: int, console: Console | None = None):
        super().__init__()
        self.batch_size = batch_size
        self.steps = steps
        self.epochs = epochs
        self.console = console or Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[figures]}"))
        self._bar = Progress(*columns, console=self.console, transient=True)
        self._task: Any = None
        self._begun = self._epoch_begun = self._looked = 0.0
        self._first: int | None = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        now = time.perf_counter()
        if self._first is None:
            self._first, self._begun = epoch, now
        self._epoch_begun = now
        if self.console.is_terminal:
            self._bar.start()
            self._task = self._bar.add_task(f"epoch {epoch + 1}/{self.epochs}", total=self.steps, figures="")

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        now = time.perf_counter()
        if self._task is None or (now - self._looked < REFRESH_S and batch + 1 < self.steps):
            return
        self._looked, seconds = now, max(now - self._epoch_begun, 1e-9)
        rate = self.batch_size * (batch + 1) / seconds
        figures = f"{_shown(logs or {})}  {rate:.0f} images/s  {_clock((self.steps - batch - 1) * seconds / (batch + 1))} left"
        self._bar.update(self._task, completed=batch + 1, figures=figures)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        now = time.perf_counter()
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        done = epoch + 1 - (self._first or 0)
        left = (now - self._begun) / done * (self.epochs - epoch - 1)
        rate = self.batch_size * self.steps / max(now - self._epoch_begun, 1e-9)
        self.console.print(
            f"epoch {epoch + 1}/{self.epochs}  {_shown(logs or {})}  {rate:.0f} images/s  {_clock(left)} left",
            highlight=False,
            soft_wrap=True,
        )

    def close(self) -> None:
        """Take the moving line away."""
        if self.console.is_terminal:
            self._bar.stop()


def _shown(logs: dict[str, float]) -> str:
    return "  ".join(f"{name} {float(value):.4g}" for name, value in logs.items())


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
