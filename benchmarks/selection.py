"""Measure how long an exact selection takes, and how well the latency of its networks is predicted.

    python benchmarks/selection.py [NAME] [--input-size HxW] [--modules N,N,N] [--multiple N] [--networks N] [--runs RUN ...]
      [--json FILE]

Selects from all links, blocks and channels of a network with random importance, for a budget of half its multiply-adds, and
prints the time and the gap to the lower bound. With --networks, profiles the full network and narrower ones on this machine
(int8, untrained weights, one thread), selects networks between 0.3 and 0.9 of the latency, measures each interleaved with the
full one, and prints predicted and measured ratios. With --runs, does so for the networks of runs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from hrnet_tf.runs.pruning import units_kept
from hrnet_tf.runs.run import Run
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.presets import customized, parse_size, preset
from hrnet_tf.spec.units import Unit
from mobile_eval.typed import JsonObject
from training.pruning.cost_model import multiply_adds_cost_model
from training.pruning.costs import Costs
from training.pruning.selection.importance import Importance
from training.pruning.selection.select import Limit, Selector

SHARE = 0.5
LARGEST, SMALLEST = 0.9, 0.3  # shares of the latency


def random_importance(spec: HRNetSpec, seed: int) -> Importance:
    """Return random importance, in which all channels of a group together count as much as a few units."""
    rng = np.random.default_rng(seed)
    units: list[Unit] = [*sorted(spec.links), *sorted(spec.live_blocks)]
    channels = {
        group: tuple(rng.lognormal(0, 1, width) * rng.uniform(0.2, 3) / width) for group, width in spec.full_widths.items()
    }
    return Importance({unit: float(rng.random()) for unit in units}, channels)


def selection_time(spec: HRNetSpec, multiple: int) -> JsonObject:
    """Select half of the multiply-adds, print how long that takes, and return it."""
    selector = Selector(spec, random_importance(spec, 0), multiply_adds_cost_model(spec), multiple)
    started = time.perf_counter()
    selection = selector.select(Limit(cost=SHARE * selector.full_cost))
    seconds, gap = time.perf_counter() - started, 1 - (selection.bound or 0.0) / selection.lost
    print(f"{spec.name}: {units_kept(selection.spec)} in {seconds:.1f} s, gap {gap:.2%}")
    return {"model": spec.name, "input_size": spec.input_size, "multiple": multiple, "seconds": seconds, "gap": gap}


def selected(costs: Costs, multiple: int, networks: int) -> Iterator[HRNetSpec]:
    """Select networks of random importance for several shares of the latency."""
    full_cost = costs.model.cost(costs.spec)
    for number, share in enumerate(np.linspace(LARGEST, SMALLEST, networks)):
        selector = Selector(costs.spec, random_importance(costs.spec, number), costs.model, multiple)
        yield selector.select(Limit(cost=float(share) * full_cost)).spec


def predictions(costs: Costs, specs: Iterable[HRNetSpec]) -> list[JsonObject]:
    """Print and return predicted and measured latency of networks over the full network's."""
    cost, measured_ratio = costs.model.cost, costs.latency_ratio
    if measured_ratio is None:
        raise RuntimeError("latency is measured on this machine")
    rows: list[JsonObject] = []
    for spec in specs:
        kept, predicted, measured = units_kept(spec), cost(spec) / cost(costs.spec), measured_ratio(spec)
        print(f"{kept:<60} {predicted:.3f} predicted {measured:.3f} measured {predicted / measured - 1:+.1%}")
        rows.append({"kept": kept, "predicted": predicted, "measured": measured})
    errors = [abs(row["predicted"] / row["measured"] - 1) for row in rows]
    print(f"error: mean {np.mean(errors):.1%}, largest {max(errors):.1%}")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", default="pose-w32")
    parser.add_argument("--input-size", type=parse_size)
    parser.add_argument("--modules", help="number of modules in stages 2, 3 and 4, such as 1,2,2")
    parser.add_argument("--multiple", type=int, default=8)
    parser.add_argument("--networks", type=int, default=0)
    parser.add_argument("--runs", type=Path, nargs="+", default=[], help="pruned runs of the same full network")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    spec = customized(preset(options.name), input_size=options.input_size, modules=options.modules)
    if not isinstance(spec, HRNetSpec):
        parser.error(f"{options.name} has no fusion links")
    result = selection_time(spec, options.multiple)
    if options.networks:
        costs = Costs(spec, "keep_latency", include_widths=True)
        result["predictions"] = predictions(costs, selected(costs, options.multiple, options.networks))
    if options.runs:
        specs = [Run.load(path).hrnet_spec for path in options.runs]
        result["runs"] = predictions(Costs(specs[0].full(), "keep_latency", include_widths=True), specs)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
