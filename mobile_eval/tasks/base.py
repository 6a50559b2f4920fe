"""A task: the data that it needs, how a model is evaluated on them, and how its results are reported.

A task of one's own is a `Task` that is registered with `mobile_eval.tasks.registry.register`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from mobile_eval.datasets.base import PATHS, DataSource, TaskDataset, log_skipped
from mobile_eval.errors import HRNetError
from mobile_eval.metrics.metric import Metric
from mobile_eval.options import listed
from mobile_eval.tables import DataFrame, data_frame, flat

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mobile_eval.image.geometry import Geometry
    from mobile_eval.runtime.tflite_model import TFLiteModel
    from mobile_eval.tasks.report import TaskReport


class TaskResult(ABC):
    """Accuracy of a model. `str` gives a table for people, `to_json` plain data, and `to_pandas` a data frame."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Plain data: the figures by name."""

    @abstractmethod
    def __str__(self) -> str: ...

    def to_pandas(self) -> DataFrame:
        """A data frame with one row of all figures, such as "pck.per_joint.nose"; `pandas.concat` puts several models together.

        Raises:
            HRNetError: pandas is not installed.
        """
        return data_frame([flat(self.to_json())])


Data = TypeVar("Data", bound=TaskDataset)
Options = TypeVar("Options")
Result = TypeVar("Result", bound=TaskResult)
DataIn = TypeVar("DataIn", contravariant=True)
OptionsIn = TypeVar("OptionsIn", contravariant=True)
ResultOut = TypeVar("ResultOut", covariant=True)


class Evaluate(Protocol[DataIn, OptionsIn, ResultOut]):
    """Evaluates a model on a data set; with `progress` it shows a progress bar."""

    def __call__(self, model: TFLiteModel, dataset: DataIn, options: OptionsIn, *, progress: bool) -> ResultOut: ...


@dataclass(frozen=True)
class Task(Generic[Data, Options, Result]):
    """How models of a task are evaluated.

    The modules of tasks are imported by every command, so the functions import what is heavy themselves.

    Attributes:
        name: Name of the task, as in specs and descriptions.
        metric: The metric that training, pruning and reports go by.
        options: Frozen dataclass of the evaluation options, declared with `mobile_eval.options.option`.
        load: Loads a data set.
        inputs: RGB inputs (N, height, width, 3), uint8, of N items for a network of that size (height, width) and geometry.
            Training and calibration use it too. Tasks without boxes ignore the geometry.
        evaluate: Evaluates a model on a data set.
        report: Returns how results are reported.
        needs: Fields of `DataSource` that a data set must have.
        takes: Further fields of `DataSource` that it may have.
        finish: Removes what an interrupted evaluation would be resumed from, when every file is written.
    """

    name: str
    metric: Metric
    options: type[Options]
    load: Callable[[DataSource], Data]
    inputs: Callable[[Sequence[Any], tuple[int, int], Geometry], NDArray[np.uint8]]
    evaluate: Evaluate[Data, Options, Result]
    report: Callable[[], TaskReport[Data, Result]]
    needs: tuple[str, ...]
    takes: tuple[str, ...] = ()
    finish: Callable[[Options], None] | None = None

    @property
    def data_options(self) -> str:
        """The options that a data set is given by, for messages: "`annotations` and `images`"."""
        return listed((name for name in PATHS if name in self.needs), " and ")

    def check_source(self, source: DataSource, user: str) -> None:
        """Raise HRNetError if the source lacks what the task needs, or has what it does not take.

        Args:
            source: The data source.
            user: What needs the data, for the message: "calibrating a pose network".
        """
        fields = source.to_json()
        foreign = [name for name in fields if name not in self.needs + self.takes]
        if foreign:
            raise HRNetError(f"{user} does not take {listed(foreign)}; it takes {listed(self.needs + self.takes)}")
        if any(name not in fields for name in self.needs):
            raise HRNetError(f"{user} needs {listed(self.needs, ' and ')}")

    def load_optional(self, source: DataSource) -> Data | None:
        """The data set at `source`, or None if `source` is empty. Warns if parts of the files are skipped."""
        if not source.to_json():
            return None
        self.check_source(source, f"the task {self.name}")
        dataset = self.load(source)
        log_skipped(source, dataset)
        return dataset


AnyTask = Task[Any, Any, Any]
