#!/bin/bash
# Prune the full network of benchmarks/lspet.sh to half of its latency, and train it on at 256x192, to compare it with MoveNet.
#
#   benchmarks/lspet_256.sh DATA OUTPUT
#
# DATA and OUTPUT are those of benchmarks/lspet.sh, which has made OUTPUT/full. After an interruption, the same command continues.
# Takes two hours on one core with AVX-512 BF16. benchmarks/peers/pose.py compares the file.
set -euo pipefail
data=$1/lspet
out=$2
people="--train-annotations $data/person_keypoints_train.json --val-annotations $data/person_keypoints_val.json --images $data/images"
training="$people --batch-size 32 --precision bfloat16 --learning-rate 0.001 --seed 0 --resume"

hrnet rank "$out/full" --annotations "$data/person_keypoints_train.json" --images "$data/images" --limit 400 --method taylor
hrnet prune "$out/full" --keep-latency 0.5 $training --epochs 4 --output "$out/half"
hrnet train pose-small-v1 --input-size 256x192 --modules 1,2,2 --links-from "$out/half" --init "$out/half" \
  --sigma 2 --rotation 20 --scale 0.2 --lr-schedule cosine $training --epochs 24 --output "$out/half-256"
hrnet convert "$out/half-256" --format int8 --annotations "$data/person_keypoints_train.json" --images "$data/images" \
  --samples 200 --sample-seed 0 --output "$out/half-256-int8.tflite"
