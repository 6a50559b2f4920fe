"""The ranking of a run's fusion links and residual blocks by importance, as ranking.json."""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass

from hrnet_tf.runs.run import Run
from hrnet_tf.spec.architectures import network_from_json
from hrnet_tf.spec.network import FusionLink, HRNetSpec, Unit, parse_unit
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json, write_json
from mobile_eval.typed import JsonObject, checked

RANKING_FILE = "ranking.json"
PAIR = " ~ "  # separates the names of two methods


@dataclass(frozen=True)
class MethodRecord:
    """Importance by one method.

    Attributes:
        stability: Rank correlation between the scores on two halves of the items. None if it is undefined.
        importance: Importance of each unit by its name, the most important first.
    """

    stability: float | None
    importance: dict[str, float]


@dataclass(frozen=True)
class RankingRecord:
    """Content of ranking.json, see `training.ranking.ranking.Ranking`.

    Attributes:
        source_run: The larger run whose ranking this is, if the run was pruned or quantized after it had been ranked.
        items: Number of items that importance was measured on.
        seed: Seed of the method "random".
        agreement: Rank correlation between two methods, by both names with `PAIR` between. None if it is undefined.
        methods: Importance by method. Pruning uses the first by default.
        spec: The ranked network as plain data. None in files of version 0.2.0.
    """

    source_run: str | None
    items: int
    seed: int
    agreement: dict[str, float | None]
    methods: dict[str, MethodRecord]
    spec: JsonObject | None = None

    def ranked_spec(self, run: Run) -> HRNetSpec:
        """Return the ranked network; that of `run` if the file does not tell."""
        spec = run.hrnet_spec if self.spec is None else network_from_json(self.spec)
        if not isinstance(spec, HRNetSpec):
            raise HRNetError(f"spec: {spec.name} has no fusion links")
        return spec

    def link_importance(self) -> dict[str, float]:
        """Return the importance of each fusion link by its name, by the first method."""
        first = next(iter(self.methods.values()))
        return {name: value for name, value in first.importance.items() if isinstance(parse_unit(name), FusionLink)}


def save_ranking_record(run: Run, record: RankingRecord) -> None:
    """Write ranking.json."""
    write_json(run.path / RANKING_FILE, dataclasses.asdict(record))


def load_ranking_record(run: Run) -> RankingRecord:
    """Read ranking.json. Raises HRNetError if the run has not been ranked or the file is damaged."""
    path = run.path / RANKING_FILE
    if not path.is_file():
        raise HRNetError(f"{run.path} has no {RANKING_FILE}; rank its links first with `{rank_command(run)}`")
    place = f"{path} is damaged or of another version"
    record: RankingRecord = checked(read_json(path, "ranking"), RankingRecord, place)
    if not record.methods:
        raise HRNetError(f"{place}: methods is empty")
    for name in record.agreement:
        if name.count(PAIR) != 1:
            raise HRNetError(f"{place}: agreement of {name!r}, expected two methods such as 'taylor{PAIR}l0'")
    try:
        record.ranked_spec(run)
    except HRNetError as error:
        raise HRNetError(f"{place}: {error}") from error
    possible: tuple[Unit, ...] = (*run.hrnet_spec.possible_links, *run.hrnet_spec.possible_blocks)
    known = {unit.name for unit in possible}
    for method, stored in record.methods.items():
        for unit in stored.importance:
            if unit not in known:
                raise HRNetError(f"{place}: {method}: {unit!r:.60} is no link or block of {run.spec.name}")
    return record


def rank_command(run: Run, *, include_blocks: bool = False) -> str:
    """Return the command that ranks a run, for messages. An imported run has no data of its own, so the command asks for some."""
    data = "" if run.config.get("train") else " --annotations FILE --images FOLDER"
    return f"hrnet rank {shlex.quote(str(run.path))}{' --blocks' if include_blocks else ''}{data}"
