#!/bin/bash
# Compare ways to make a small pose network faster under equal training, as in docs/results/study/index.md.
#
#   benchmarks/lspet_study.sh DATA OUTPUT
#
# DATA contains lspet/, Leeds Sports Pose Extended as COCO keypoint JSON: person_keypoints_train.json, person_keypoints_val.json
# and images/. Trained on 86 % of the training images; settings were chosen on the others. After an interruption, the same
# command continues. Takes about seven hours for each seed on two cores.
set -euo pipefail
data=$1/lspet
out=$2

[ -f "$out/split/train.json" ] || hrnet data split "$data/person_keypoints_train.json" --fraction 0.142 --output "$out/split"
hrnet study --preset lspet --train-annotations "$out/split/train.json" --val-annotations "$data/person_keypoints_val.json" \
  --images "$data/images" --seeds 1 --output "$out/study" $([ ! -f "$out/study/study.json" ] || echo --resume)
