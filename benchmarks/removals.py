"""Measure what each removal saves, in milliseconds: single links, and groups of links that make branches unreachable.

    python benchmarks/removals.py [NAME] [--rounds N] [--json FILE]

Profiles the full network (float32 and int8, random weights, one thread) on this machine, computes the cost of every single link
and of the groups that make each branch unreachable, and prints the most expensive ones. Then measures five pruned networks and
the full one, interleaved, and prints the error of the cost model.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.presets import preset
from hrnet_tf.spec.units import Unit
from mobile_eval.benchmark.latency import bench_interleaved
from mobile_eval.typed import JsonObject
from training.pruning.candidate_latency import untrained_tflite
from training.pruning.cost_model import CostModel, latency_cost_model, profile_network
from training.pruning.removal_order import links_keeping_branch_alive

PRECISIONS = ("float32", "int8")
SHOWN = 12


def groups(spec: HRNetSpec) -> dict[str, frozenset[Unit]]:
    """Return the links that keep each branch alive, by a description of what becomes unreachable if they are removed."""
    links_by_name: dict[str, frozenset[Unit]] = {}
    for place in sorted(spec.liveness().branches):
        if place.branch not in spec.outputs:
            links = links_keeping_branch_alive(spec, place)
            unreachable = spec.liveness().branches - spec.without(links).liveness().branches
            counts = f"{len(links)} links, {len(unreachable)} branch modules"
            links_by_name[f"out of branch {place.branch} from {place} on ({counts})"] = links
    return links_by_name


def pruned(spec: HRNetSpec) -> dict[str, HRNetSpec]:
    """Return five networks, from lightly to heavily pruned."""
    distant = {link for link in spec.links if abs(link.source - link.target) > 1}
    lowest = {link for link in spec.links if link.source == 3}
    two = {link for link in spec.links if link.source >= 2}
    last = {link for link in spec.links if link.source >= 2 and link.stage == 4}
    blocks = {block for block in spec.live_blocks if block.block % 2}
    return {
        "no link over more than one step": spec.without(distant),
        "nothing out of branch 3": spec.without(lowest),
        "nothing out of branches 2 and 3 in stage 4": spec.without(last),
        "nothing out of branches 2 and 3": spec.without(two),
        "nothing out of branch 3, every other block": spec.without(lowest | blocks),
    }


def measure(specs: dict[str, HRNetSpec], full: HRNetSpec, precision: str, rounds: int) -> tuple[float, dict[str, float]]:
    """Return the median latency in ms of the full network, and of each of `specs` by name, measured interleaved."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, spec in enumerate([full, *specs.values()]):
            paths.append(Path(folder, f"{number}.tflite"))
            paths[-1].write_bytes(untrained_tflite(spec, precision))
        full_ms, *pruned_ms = [result.p50_ms for result in bench_interleaved(paths, rounds=rounds)]
    return full_ms, dict(zip(specs, pruned_ms, strict=True))


def report(spec: HRNetSpec, rounds: int) -> JsonObject:
    """Measure, print, and return the results as JSON."""
    models: dict[str, CostModel] = {}
    result: JsonObject = {"model": spec.name, "input_size": spec.input_size, "precisions": {}}
    for precision in PRECISIONS:
        profiled = profile_network(spec, precision=precision, rounds=rounds)
        models[precision] = latency_cost_model(spec, profiled)
        data = {"measured_ms": profiled.measured_ms, "sum_ms": profiled.sum_ms, "runtime": profiled.runtime}
        result["precisions"][precision] = {**data, "processor": profiled.environment.processor}
        print(f"{precision}: network {profiled.measured_ms:.2f} ms, sum of operators {profiled.sum_ms:.2f} ms")
    removals = {str(link): frozenset({link}) for link in sorted(spec.links)} | groups(spec)
    saved = {
        name: {precision: model.cost(spec) - model.cost(spec.without(removal)) for precision, model in models.items()}
        for name, removal in removals.items()
    }
    result["saved_ms"] = saved
    most_expensive = sorted(saved, key=lambda name: -saved[name]["int8"])
    for title, names in (
        ("groups of links", [name for name in most_expensive if " " in name]),
        ("single links", [name for name in most_expensive if " " not in name]),
    ):
        print(f"\n{title:<72} {'float32 ms':>10} {'int8 ms':>8}")
        for name in names[:SHOWN]:
            print(f"{name:<72} {saved[name]['float32']:>10.3f} {saved[name]['int8']:>8.3f}")
    result["checked"] = {}
    for precision, model in models.items():
        print(f"\n{precision:<46} {'predicted':>9} {'measured':>8} {'off by':>7}")
        full_ms, measured = measure(pruned(spec), spec, precision, rounds)
        for name, ms in measured.items():
            predicted, ratio = model.cost(pruned(spec)[name]) / model.cost(spec), ms / full_ms
            result["checked"].setdefault(precision, {})[name] = {"predicted": predicted, "measured": ratio}
            print(f"{name:<46} {predicted:>9.3f} {ratio:>8.3f} {predicted / ratio - 1:>+7.1%}")
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
