"""How well importance predicts the loss when many links, blocks and channels are missing at once, before any fine-tuning.

    python benchmarks/importance.py RUN --annotations train.json --images images [--limit 96] [--masks 200]

RUN is a trained pose run, such as `hrnet restore full-float32.tflite ...` makes. The lost importance of a mask is the sum of the
scores of what it removes. For each method, the table has R2 of its prediction of the increase of the loss (times the one factor
that fits best), and Spearman's rank correlation, over masks that no method has seen. "count" gives all units and all groups the
same importance.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from hrnet_tf.runs.run import Run
from mobile_eval.datasets.base import DataSource
from mobile_eval.metrics.rank_correlation import spearman
from mobile_eval.tables import text_table
from mobile_eval.tasks.pose.predictions import load_keypoints
from training.config import run_settings
from training.ranking.channels import channel_importance
from training.ranking.gated_network import GatedNetwork
from training.ranking.masks import LostImportance, RandomMasks, explained, fitted_factors, single_factor
from training.ranking.methods import LeaveOneOut, Taylor
from training.ranking.task_data import TaskRankingData


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=96)
    parser.add_argument("--masks", type=int, default=200)
    args = parser.parse_args()
    run = Run.load(args.run)
    people = load_keypoints(DataSource(annotations=args.annotations, images=args.images)).head(args.limit)
    data = TaskRankingData.prepare(people, run.spec, run_settings(run))
    network = GatedNetwork.of(run.model(), include_blocks=True)
    channels, taylor = channel_importance(network, data), Taylor()(network, data)
    scores = {
        "count": (dict.fromkeys(taylor, 1.0), {group: (1 / len(values),) * len(values) for group, values in channels.items()}),
        "taylor": (taylor, channels),
        "leave-one-out": (LeaveOneOut(progress=True)(network, data), channels),
    }
    lost = LostImportance(network.spec, taylor, channels)
    method = RandomMasks(args.masks, progress=True)
    fitted, increases = method.losses(network, data, channels)
    factors = fitted_factors(np.array([lost.terms(mask) for mask in fitted]), increases, lost.kinds, method.strength)
    scores["masks"] = lost.scaled(factors)
    unseen, observed = RandomMasks(args.masks // 2, seed=1, progress=True).losses(network, data, channels)
    rows = []
    for name, (units, groups) in scores.items():
        sums = LostImportance(network.spec, units, groups)
        known, predicted = (np.array([sums.terms(mask) for mask in masks]) for masks in (fitted, unseen))
        totals = predicted.sum(1)
        correlation = spearman(totals.tolist(), observed.tolist())
        rows.append([name, f"{explained(observed, single_factor(known, increases) * totals):.3f}", f"{correlation:.3f}"])
    print(f"{len(fitted)} masks fitted, {len(unseen)} others predicted, which increase the loss by up to {observed.max():.2g}")
    print(text_table(["importance", "R2", "rank correlation"], rows))


if __name__ == "__main__":
    main()
