"""A ranking of fusion links, residual blocks and channels by importance, and how a run keeps it: ranking.json."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from hrnet_tf.spec.architectures import network_from_json, network_to_json
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import FusionLink, Unit
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json, write_json, write_text
from mobile_eval.tables import DataFrame, data_frame, text_table
from mobile_eval.typed import Json, JsonObject, checked
from mobile_eval.viz.link_diagram import link_diagram_svg

RANKING_FILE = "ranking.json"
PAIR = " ~ "  # separates the names of two methods
SHOWN_ROWS = 40  # when a ranking is printed


@dataclass(frozen=True)
class Ranking:
    """Importance of fusion links and residual blocks ("units"), and of channels, by one or several methods.

    Attributes:
        spec: The ranked network.
        items: Number of examples that importance was measured on.
        seed: Seed of the method "random".
        scores: Importance of each unit, by method. A unit with a higher score is needed more.
        stability: Rank correlation between the scores on two halves of the examples, by method. None if it is undefined.
        agreement: Rank correlation between two methods. None if it is undefined.
        source_run: The larger run whose ranking this is, if the run was pruned or quantized after it had been ranked.
        channels: Importance of each channel of every width group that is built, by method; empty where widths were not ranked.

    Example:
        >>> ranking = hr.rank(model, val, methods=["leave-one-out", "taylor"])  # doctest: +SKIP
        >>> print(ranking)  # doctest: +SKIP
        >>> ranking.to_pandas().groupby("stage")["taylor"].mean()  # doctest: +SKIP
        >>> ranking.plot("links.svg")  # doctest: +SKIP
    """

    spec: HRNetSpec
    items: int
    seed: int
    scores: dict[str, dict[Unit, float]]
    stability: dict[str, float | None]
    agreement: dict[tuple[str, str], float | None]
    source_run: str | None = None
    channels: dict[str, dict[str, tuple[float, ...]]] = field(default_factory=dict)

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods. Pruning uses the first by default."""
        return tuple(self.scores)

    @property
    def has_blocks(self) -> bool:
        """Whether residual blocks were ranked."""
        return any(not isinstance(unit, FusionLink) for unit in self.importance())

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
            ranked, other = (_sizes(network) for network in (self.spec, spec))
            difference = f"{ranked}, but `model` is {other}" if ranked != other else f"another {ranked} than `model` has"
            raise HRNetError(f"`ranking` is of {difference}; rank this model")

    def rows(self) -> list[JsonObject]:
        """Return a row for each unit and width group, the most important by the first method first.

        The entries are the columns of `to_pandas`.
        """
        units = [
            {
                "unit": str(unit),
                "kind": "link" if isinstance(unit, FusionLink) else "block",
                "stage": unit.stage,
                "module": unit.module,
                **{method: self.scores[method][unit] for method in self.methods},
            }
            for unit in self.importance()
        ]
        groups = [
            {
                "unit": group,
                "kind": "width",
                **_place(group),
                **{method: sum(self.channels[method][group]) for method in self.methods},
            }
            for group in self.channels.get(self.methods[0], ())
        ]
        return sorted([*units, *groups], key=lambda row: -row[self.methods[0]])

    def table(self, most: int | None = None) -> str:
        """Return the importance of every unit, the most important first, and how far halves of the data and methods agree.

        The importance of a width group is the sum of its channels'.

        Args:
            most: Number of rows to show, half of them of the most and half of the least important; None for all.
        """
        scores = [[row["unit"], *(f"{row[method]:.2e}" for method in self.methods)] for row in self.rows()]
        if most is not None and len(scores) > most:
            others = [f"... {len(scores) - most} others ...", *("" for _ in self.methods)]
            scores[most // 2 : len(scores) - most // 2] = [others]
        correlations = []
        for row, name in enumerate(self.methods):
            pairs = [(name, method) if index > row else None for index, method in enumerate(self.methods)][1:]
            cells = ["" if pair is None else _correlation(self.agreement.get(pair)) for pair in pairs]
            correlations.append([name, _correlation(self.stability[name]), *cells])
        importance = text_table(["link, block or width" if self.channels else "link or block", *self.methods], scores)
        return f"{importance}\n\n{text_table(['rank correlation', 'two halves', *self.methods[1:]], correlations)}"

    def __str__(self) -> str:
        return self.table(SHOWN_ROWS)

    def to_json(self) -> JsonObject:
        """Return the ranking as plain data, the content of ranking.json: the most important units of each method come first."""
        methods = {
            name: {
                "stability": self.stability[name],
                "importance": {str(unit): scores[unit] for unit in _ordered(scores)},
                "channels": {group: list(values) for group, values in self.channels.get(name, {}).items()},
            }
            for name, scores in self.scores.items()
        }
        return {
            "source_run": self.source_run,
            "items": self.items,
            "seed": self.seed,
            "agreement": {PAIR.join(pair): value for pair, value in self.agreement.items()},
            "methods": methods,
            "spec": network_to_json(self.spec),
        }

    @classmethod
    def from_json(cls, data: Json, spec: HRNetSpec, place: str = "not a ranking") -> Ranking:
        """Return the ranking that `to_json` wrote.

        Args:
            data: Plain data.
            spec: The network of the run, which files of version 0.2.0 do not name.
            place: The file, for messages.

        Raises:
            HRNetError: The data are not those of a ranking of this network; the message begins with `place`.
        """
        stored: _StoredRanking = checked(data, _StoredRanking, place)
        if not stored.methods:
            raise HRNetError(f"{place}: methods is empty")
        spec = _stored_spec(stored.spec, place) if stored.spec else spec
        channels = {name: _channels(method.channels, spec, f"{place}: {name}") for name, method in stored.methods.items()}
        _check_alike(channels, f"{place}: channels")
        return cls(
            spec=spec,
            items=stored.items,
            seed=stored.seed,
            scores={name: _units(method.importance, spec, f"{place}: {name}") for name, method in stored.methods.items()},
            stability={name: method.stability for name, method in stored.methods.items()},
            agreement={_pair(name, place): value for name, value in stored.agreement.items()},
            source_run=stored.source_run,
            channels=channels if any(channels.values()) else {},
        )

    def to_pandas(self) -> DataFrame:
        """Return a data frame with a row for each unit and width group, in the order of the first method.

        Its columns are "unit", "kind" ("link", "block" or "width"), "stage", "module", and the methods. The importance of a width
        group is the sum of its channels'; "stage" and "module" are None where a group belongs to none or to several.

        Raises:
            HRNetError: pandas is not installed.
        """
        return data_frame(self.rows())

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


def save_ranking(folder: Path, ranking: Ranking) -> None:
    """Write ranking.json into the folder of a run."""
    write_json(folder / RANKING_FILE, ranking.to_json())


def load_ranking(folder: Path, spec: HRNetSpec) -> Ranking:
    """Read ranking.json from the folder of a run with the network `spec`. Raises HRNetError if it is missing or damaged."""
    path = folder / RANKING_FILE
    return Ranking.from_json(read_json(path, "ranking"), spec, f"{path} is damaged or of another version")


@dataclass(frozen=True)
class _StoredMethod:
    stability: float | None
    importance: dict[str, float]
    channels: dict[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class _StoredRanking:
    source_run: str | None
    items: int
    seed: int
    agreement: dict[str, float | None]
    methods: dict[str, _StoredMethod]
    spec: JsonObject | None = None


def _stored_spec(data: JsonObject, place: str) -> HRNetSpec:
    try:
        spec = network_from_json(data)
    except HRNetError as error:
        raise HRNetError(f"{place}: {error}") from error
    if not isinstance(spec, HRNetSpec):
        raise HRNetError(f"{place}: spec: {spec.name} has no fusion links")
    return spec


def _pair(name: str, place: str) -> tuple[str, str]:
    first, separator, second = name.partition(PAIR)
    if not separator or PAIR in second:
        raise HRNetError(f"{place}: agreement of {name!r}, expected two methods such as 'taylor{PAIR}l0'")
    return first, second


def _units(importance: dict[str, float], spec: HRNetSpec, place: str) -> dict[Unit, float]:
    """Importance by the link or block of a network at full connectivity."""
    possible: tuple[Unit, ...] = (*spec.possible_links, *spec.possible_blocks)
    known = {unit.name: unit for unit in possible}
    for name in importance:
        if name not in known:
            raise HRNetError(f"{place}: {name!r:.60} is no link or block of {spec.name}")
    return {known[name]: value for name, value in importance.items()}


def _channels(channels: dict[str, tuple[float, ...]], spec: HRNetSpec, place: str) -> dict[str, tuple[float, ...]]:
    """The importance of channels, if it is of width groups of the network."""
    for group, scores in channels.items():
        if group not in spec.full_widths:
            raise HRNetError(f"{place}: channels: {group!r:.60} is no width group of {spec.name}")
        if len(scores) != spec.width_of(group):
            raise HRNetError(f"{place}: channels: {group} must have {spec.width_of(group)} scores, got {len(scores)}")
    return channels


def _check_alike(channels: dict[str, dict[str, tuple[float, ...]]], place: str) -> None:
    """Raise HRNetError if methods ranked different width groups."""
    for name, groups in channels.items():
        first, expected = next(iter(channels.items()))
        if different := groups.keys() ^ expected.keys():
            raise HRNetError(f"{place}: {min(different)} must be of {first} and {name}, got only one of them")


def _place(group: str) -> dict[str, int | None]:
    """The stage and the module that a width group belongs to."""
    stage, module = (re.match(rf"(?:stage\d+_)?{part}(\d+)", group) for part in ("stage", "module"))
    return {"stage": int(stage[1]) if stage else None, "module": int(module[1]) if module else None}


def _sizes(spec: HRNetSpec) -> str:
    narrowed = f" and {len(spec.widths)} narrowed widths" if spec.widths else ""
    return f"{spec.name} with {len(spec.links)} links{narrowed}"


def _ordered(scores: dict[Unit, float]) -> list[Unit]:
    """Units, the most important first."""
    return sorted(scores, key=lambda unit: -scores[unit])


def _correlation(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
