"""Progress of a training in a terminal: a bar during an epoch, and a line after each."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from hrnet_tf.backend.keras_module import keras

REFRESH_S = 0.25  # between reads of the loss, which may wait for a GPU

Logs = dict[str, float]


class ProgressLine(keras.callbacks.Callback):  # type: ignore[misc]
    """Shows loss, metrics, images per second and the remaining time. The bar only shows in a terminal.

    Make it the last callback, so that it sees what the others add to the logs, and call `close` after `fit`, also when it failed.

    Args:
        batch_size: Number of examples per step of all devices.
        steps: Number of steps per epoch.
        epochs: Number of epochs.
        console: Where it is printed; None for stderr.
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
        self._task: TaskID | None = None
        self._start = self._epoch_start = self._last_refresh = 0.0
        self._first_epoch: int | None = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        now = time.perf_counter()
        if self._first_epoch is None:
            self._first_epoch, self._start = epoch, now
        self._epoch_start = now
        if self.console.is_terminal:
            self._bar.start()
            self._task = self._bar.add_task(f"epoch {epoch + 1}/{self.epochs}", total=self.steps, figures="")

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        now = time.perf_counter()
        if self._task is None or (now - self._last_refresh < REFRESH_S and batch + 1 < self.steps):
            return
        self._last_refresh, seconds = now, max(now - self._epoch_start, 1e-9)
        rate = self.batch_size * (batch + 1) / seconds
        remaining_s = (self.steps - batch - 1) * seconds / (batch + 1)
        figures = f"{_text(logs or {})}  {rate:.0f} images/s  {_clock(remaining_s)} left"
        self._bar.update(self._task, completed=batch + 1, figures=figures)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        now = time.perf_counter()
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        done = epoch + 1 - (self._first_epoch or 0)
        remaining_s = (now - self._start) / done * (self.epochs - epoch - 1)
        rate = self.batch_size * self.steps / max(now - self._epoch_start, 1e-9)
        self.console.print(
            f"epoch {epoch + 1}/{self.epochs}  {_text(logs or {})}  {rate:.0f} images/s  {_clock(remaining_s)} left",
            highlight=False,
            soft_wrap=True,
        )

    def close(self) -> None:
        """Remove the bar."""
        if self.console.is_terminal:
            self._bar.stop()


def _text(logs: Logs) -> str:
    return "  ".join(f"{name} {float(value):.4g}" for name, value in logs.items())


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
