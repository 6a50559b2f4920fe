"""A ranking of fusion links and residual blocks by importance, and its storage with a run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from hrnet_tf.runs.ranking import PAIR, MethodRecord, RankingRecord, load_ranking_record, save_ranking_record
from hrnet_tf.runs.run import Run
from hrnet_tf.spec.architectures import network_to_json
from hrnet_tf.spec.network import FusionLink, HRNetSpec, Unit, parse_unit
from mobile_eval.errors import HRNetError
from mobile_eval.files import write_text
from mobile_eval.tables import DataFrame, data_frame, text_table
from mobile_eval.typed import JsonObject
from mobile_eval.viz.link_diagram import link_diagram_svg


@dataclass(frozen=True)
class Ranking:
    """Importance of fusion links and residual blocks ("units") by one or several methods.

    Attributes:
        spec: The ranked network.
        items: Number of examples that importance was measured on.
        seed: Seed of the method "random".
        scores: Importance of each unit, by method. A unit with a higher score is needed more.
        stability: Rank correlation between the scores on two halves of the examples, by method. None if it is undefined.
        agreement: Rank correlation between two methods. None if it is undefined.
        source_run: The larger run whose ranking this is, if the run was pruned or quantized after it had been ranked.
    """

    spec: HRNetSpec
    items: int
    seed: int
    scores: dict[str, dict[Unit, float]]
    stability: dict[str, float | None]
    agreement: dict[tuple[str, str], float | None]
    source_run: str | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods. Pruning uses the first by default."""
        return tuple(self.scores)

    def importance(self, method: str | None = None) -> dict[Unit, float]:
        """Return the importance of each unit.

        Args:
            method: Name of a method; None for the first.

        Raises:
            HRNetError: The network was not ranked by this method.
        """
        method = method or self.methods[0]
        if method not in self.scores:
            raise HRNetError(f"not ranked by {method!r}, only by {', '.join(self.methods)}: rank with `methods` {method}")
        return self.scores[method]

    def link_importance(self, method: str | None = None) -> dict[str, float]:
        """Return the importance of each fusion link by its name, as pictures and descriptions of models need it."""
        return {str(unit): value for unit, value in self.importance(method).items() if isinstance(unit, FusionLink)}

    def check_spec(self, spec: HRNetSpec) -> None:
        """Raise HRNetError unless the ranking is of the network `spec`."""
        if spec != self.spec:
            ranked, other = (f"{network.name} with {len(network.links)} links" for network in (self.spec, spec))
            difference = f"{ranked}, but `model` is {other}" if ranked != other else f"another {ranked} than `model` has"
            raise HRNetError(f"`ranking` is of {difference}; rank this model")

    def table(self) -> str:
        """Return the importance of every unit, the most important first, and how far halves of the data and methods agree."""
        scores = [
            [str(unit), *(f"{self.scores[method][unit]:.2e}" for method in self.methods)] for unit in _ordered(self.importance())
        ]
        correlations = []
        for row, name in enumerate(self.methods):
            pairs = [(name, method) if index > row else None for index, method in enumerate(self.methods)][1:]
            cells = ["" if pair is None else _correlation(self.agreement.get(pair)) for pair in pairs]
            correlations.append([name, _correlation(self.stability[name]), *cells])
        importance = text_table(["link or block", *self.methods], scores)
        return f"{importance}\n\n{text_table(['rank correlation', 'two halves', *self.methods[1:]], correlations)}"

    def __str__(self) -> str:
        return self.table()

    def to_json(self) -> JsonObject:
        """Return the ranking as plain data, the content of ranking.json: the most important units of each method come first."""
        return dataclasses.asdict(self.record())

    def to_pandas(self) -> DataFrame:
        """Return a data frame with a row for each unit, in the order of the first method.

        Its columns are "unit", "kind" ("link" or "block"), "stage", "module", and the methods.

        Raises:
            HRNetError: pandas is not installed.
        """
        return data_frame(
            [
                {
                    "unit": str(unit),
                    "kind": "link" if isinstance(unit, FusionLink) else "block",
                    "stage": unit.stage,
                    "module": unit.module,
                    **{method: self.scores[method][unit] for method in self.methods},
                }
                for unit in _ordered(self.importance())
            ]
        )

    def plot(self, path: Path | str | None = None, *, method: str | None = None) -> str:
        """Draw the fusion links of the network, the more important the thicker.

        Args:
            path: SVG file to write; None writes none.
            method: Name of a method; None for the first.

        Returns:
            SVG text.
        """
        svg = link_diagram_svg(self.spec.network_description(), self.link_importance(method))
        if path is not None:
            write_text(Path(path), svg)
        return svg

    def record(self) -> RankingRecord:
        """Return the content of ranking.json."""
        methods = {
            name: MethodRecord(self.stability[name], {str(unit): scores[unit] for unit in _ordered(scores)})
            for name, scores in self.scores.items()
        }
        agreement = {PAIR.join(pair): value for pair, value in self.agreement.items()}
        return RankingRecord(self.source_run, self.items, self.seed, agreement, methods, network_to_json(self.spec))


def save_ranking(run: Run, ranking: Ranking) -> None:
    """Write the ranking.json of a run."""
    save_ranking_record(run, ranking.record())


def load_ranking(run: Run) -> Ranking:
    """Read the ranking.json of a run. Raises HRNetError if the run has not been ranked or the file is damaged."""
    record = load_ranking_record(run)
    agreement = {}
    for name, value in record.agreement.items():
        first, _, second = name.partition(PAIR)
        agreement[first, second] = value
    return Ranking(
        spec=record.ranked_spec(run),
        items=record.items,
        seed=record.seed,
        scores={name: {parse_unit(unit): x for unit, x in method.importance.items()} for name, method in record.methods.items()},
        stability={name: method.stability for name, method in record.methods.items()},
        agreement=agreement,
        source_run=record.source_run,
    )


def _ordered(scores: dict[Unit, float]) -> list[Unit]:
    """Units, the most important first."""
    return sorted(scores, key=lambda unit: -scores[unit])


def _correlation(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
