"""What each removal saves, in measured milliseconds: single links, and groups of links that free branches.

    python benchmarks/removals.py [NAME] [--rounds N] [--json FILE]

Profiles the full network (float32 and int8, random weights, one thread) on this machine, prices every single link
and the groups that free each branch, and prints them dearest first. Then measures five pruned networks against the
full one, interleaved, and prints how far the prices were off.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from hrnet_tf.spec.network import HRNetSpec, Unit
from hrnet_tf.spec.presets import preset
from mobile_eval.benchmark.latency import bench_interleaved
from training.pruning.candidate_latency import untrained_tflite
from training.pruning.cost_model import CostModel, latency_cost_model, profile_full_network
from training.pruning.removal_order import links_keeping_branch_alive

PRECISIONS = ("float32", "int8")
SHOWN = 12


def groups(spec: HRNetSpec) -> dict[str, frozenset[Unit]]:
    """The links to remove so that a branch is not built from some module on, by what is freed."""
    found: dict[str, frozenset[Unit]] = {}
    for place in sorted(spec.liveness().branches):
        if place.branch not in spec.outputs:
            links = links_keeping_branch_alive(spec, place)
            freed = spec.liveness().branches - spec.without(links).liveness().branches
            found[f"out of branch {place.branch} from {place} on ({len(links)} links, {len(freed)} branch modules freed)"] = links
    return found


def pruned(spec: HRNetSpec) -> dict[str, HRNetSpec]:
    """Five networks from lightly to heavily pruned."""
    adjacent = {link for link in spec.links if abs(link.source - link.target) > 1}
    lowest = {link for link in spec.links if link.source == 3}
    two = {link for link in spec.links if link.source >= 2}
    last = {link for link in spec.links if link.source >= 2 and link.stage == 4}
    blocks = {block for block in spec.live_blocks if block.block % 2}
    return {
        "no link over more than one step": spec.without(adjacent),
        "nothing out of branch 3": spec.without(lowest),
        "nothing out of branches 2 and 3 in stage 4": spec.without(last),
        "nothing out of branches 2 and 3": spec.without(two),
        "nothing out of branch 3, every other block": spec.without(lowest | blocks),
    }


def measure(specs: dict[str, HRNetSpec], full: HRNetSpec, precision: str, rounds: int) -> tuple[float, dict[str, float]]:
    """Median ms of the full network and of each other, interleaved."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, spec in enumerate([full, *specs.values()]):
            paths.append(Path(folder, f"{number}.tflite"))
            paths[-1].write_bytes(untrained_tflite(spec, precision))
        whole, *others = [result.p50_ms for result in bench_interleaved(paths, rounds=rounds)]
    return whole, dict(zip(specs, others, strict=True))


def report(spec: HRNetSpec, rounds: int) -> dict[str, Any]:
    tables: dict[str, CostModel] = {}
    result: dict[str, Any] = {"model": spec.name, "input_size": spec.input_size, "precisions": {}}
    for precision in PRECISIONS:
        profiled = profile_full_network(spec, precision=precision, rounds=rounds)
        tables[precision] = latency_cost_model(spec, profiled)
        data = {"measured_ms": profiled.measured_ms, "sum_ms": profiled.sum_ms, "runtime": profiled.runtime}
        result["precisions"][precision] = {**data, "processor": profiled.environment.processor}
        print(f"{precision}: whole {profiled.measured_ms:.2f} ms, sum of operators {profiled.sum_ms:.2f} ms")
    moves = {str(link): frozenset({link}) for link in sorted(spec.links)} | groups(spec)
    saved = {
        name: {precision: table.cost(spec) - table.cost(spec.without(move)) for precision, table in tables.items()}
        for name, move in moves.items()
    }
    result["saved_ms"] = saved
    dearest = sorted(saved, key=lambda name: -saved[name]["int8"])
    for title, names in (
        ("groups of links", [name for name in dearest if " " in name]),
        ("single links", [name for name in dearest if " " not in name]),
    ):
        print(f"\n{title:<72} {'float32 ms':>10} {'int8 ms':>8}")
        for name in names[:SHOWN]:
            print(f"{name:<72} {saved[name]['float32']:>10.3f} {saved[name]['int8']:>8.3f}")
    result["checked"] = {}
    for precision, table in tables.items():
        print(f"\n{precision:<46} {'predicted':>9} {'measured':>8} {'off by':>7}")
        whole, measured = measure(pruned(spec), spec, precision, rounds)
        for name, ms in measured.items():
            predicted, found = table.cost(pruned(spec)[name]) / table.cost(spec), ms / whole
            result["checked"].setdefault(precision, {})[name] = {"predicted": predicted, "measured": found}
            print(f"{name:<46} {predicted:>9.3f} {found:>8.3f} {predicted / found - 1:>+7.1%}")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", default="pose-w32")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    spec = preset(options.name)
    if not isinstance(spec, HRNetSpec):
        parser.error(f"{options.name} has no fusion links")
    result = report(spec, options.rounds)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
