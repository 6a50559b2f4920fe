"""The ranking of a run's fusion links and residual blocks by importance, as ranking.json."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from hrnet_tf.runs.run import Run
from hrnet_tf.spec.network import FusionLink, Unit
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json, write_json
from mobile_eval.typed import checked

RANKING_FILE = "ranking.json"
PAIR = " ~ "  # separates the names of two methods


@dataclass(frozen=True)
class Ranking:
    """Importance of fusion links and residual blocks ("units") by one or several methods.

    Attributes:
        items: Number of items that importance was measured on.
        seed: Seed of the method "random".
        scores: Importance of each unit, by method. A unit with a higher score is needed more.
        stability: Rank correlation between the scores on two halves of the items, by method. None if it is undefined.
        agreement: Rank correlation between two methods. None if it is undefined.
        source_run: The larger run whose ranking this is, if the run was pruned or quantized after it had been ranked.
    """

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
        """
        method = method or self.methods[0]
        if method not in self.scores:
            raise HRNetError(f"not ranked by {method!r}, only by {', '.join(self.methods)}: rank with `method` {method}")
        return self.scores[method]

    def link_importance(self, method: str | None = None) -> dict[str, float]:
        """Return the importance of each fusion link by its name, as pictures and descriptions of models need it."""
        return {str(unit): value for unit, value in self.importance(method).items() if isinstance(unit, FusionLink)}


def save_ranking(run: Run, ranking: Ranking) -> None:
    """Write ranking.json, with the most important units of each method first."""
    methods = {}
    for name, scores in ranking.scores.items():
        ordered = sorted(scores.items(), key=lambda item: -item[1])
        methods[name] = {"stability": ranking.stability[name], "importance": {str(unit): value for unit, value in ordered}}
    data = {
        "source_run": ranking.source_run,
        "items": ranking.items,
        "seed": ranking.seed,
        "agreement": {PAIR.join(pair): value for pair, value in ranking.agreement.items()},
        "methods": methods,
    }
    write_json(run.path / RANKING_FILE, data)


def load_ranking(run: Run) -> Ranking:
    """Read ranking.json. Raises HRNetError if the run has not been ranked or the file is damaged."""
    path = run.path / RANKING_FILE
    if not path.is_file():
        raise HRNetError(f"{run.path} has no {RANKING_FILE}; rank its links first with `{rank_command(run)}`")
    place = f"{path} is damaged or of another version"
    stored: _StoredRanking = checked(read_json(path, "ranking"), _StoredRanking, place)
    if not stored.methods:
        raise HRNetError(f"{place}: methods is empty")
    return Ranking(
        items=stored.items,
        seed=stored.seed,
        scores={name: _units(method.importance, run, f"{place}: {name}") for name, method in stored.methods.items()},
        stability={name: method.stability for name, method in stored.methods.items()},
        agreement={_pair(name, place): value for name, value in stored.agreement.items()},
        source_run=stored.source_run,
    )


def rank_command(run: Run, *, include_blocks: bool = False) -> str:
    """Return the command that ranks a run, for messages. An imported run has no data of its own, so the command asks for some."""
    data = "" if run.config.get("train") else " --annotations FILE --images FOLDER"
    return f"hrnet rank {shlex.quote(str(run.path))}{' --blocks' if include_blocks else ''}{data}"


@dataclass(frozen=True)
class _StoredMethod:
    stability: float | None
    importance: dict[str, float]


@dataclass(frozen=True)
class _StoredRanking:
    source_run: str | None
    items: int
    seed: int
    agreement: dict[str, float | None]
    methods: dict[str, _StoredMethod]


def _pair(name: str, place: str) -> tuple[str, str]:
    first, separator, second = name.partition(PAIR)
    if not separator or PAIR in second:
        raise HRNetError(f"{place}: agreement of {name!r}, expected two methods such as 'taylor{PAIR}l0'")
    return first, second


def _units(importance: dict[str, float], run: Run, place: str) -> dict[Unit, float]:
    """Importance by the link or block of the run's network at full connectivity."""
    possible: tuple[Unit, ...] = (*run.hrnet_spec.possible_links, *run.hrnet_spec.possible_blocks)
    known = {unit.name: unit for unit in possible}
    for name in importance:
        if name not in known:
            raise HRNetError(f"{place}: {name!r:.60} is no link or block of {run.spec.name}")
    return {known[name]: value for name, value in importance.items()}
