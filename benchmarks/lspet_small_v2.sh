#!/bin/bash
# Train pose-small-v2 on real people, and plot PCK on the validation set after each epoch. Takes under two hours on two cores.
#
#   benchmarks/lspet_small_v2.sh DATA OUTPUT
#
# DATA contains lspet/, as for lspet.sh. After an interruption, the same command continues.
set -euo pipefail
data_options="--train-annotations $1/lspet/person_keypoints_train.json --val-annotations $1/lspet/person_keypoints_val.json --images $1/lspet/images"
hrnet train pose-small-v2 --input-size 128x96 $data_options --sigma 2 --rotation 20 --scale 0.2 --batch-size 16 --precision bfloat16 \
  --ema 0.999 --keep best --epochs 42 --output "$2/small-v2" --resume
hrnet plot "$2/small-v2" --output "$2/small-v2.png"
