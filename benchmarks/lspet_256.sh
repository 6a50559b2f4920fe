#!/bin/bash
# Prune the full network of benchmarks/lspet.sh to half of its latency, and train it on at 256x192, to compare it with MoveNet.
# The second training at that size has the first one as teacher.
#
#   benchmarks/lspet_256.sh DATA OUTPUT
#
# DATA and OUTPUT are those of benchmarks/lspet.sh, which has made OUTPUT/full. After an interruption, the same command continues.
# Takes two hours on two cores with AVX-512 BF16. benchmarks/peers/pose.py compares the file.
set -euo pipefail
data=$1/lspet
out=$2
people="--train-annotations $data/person_keypoints_train.json --val-annotations $data/person_keypoints_val.json --images $data/images"
training="$people --batch-size 32 --precision bfloat16 --learning-rate 0.001 --resume"
recipe="--input-size 256x192 --modules 1,2,2 --sigma 2 --rotation 20 --scale 0.2 --lr-schedule cosine --links-from $out/half"

hrnet rank "$out/full" --annotations "$data/person_keypoints_train.json" --images "$data/images" --limit 400 --method taylor
hrnet prune "$out/full" --keep-latency 0.5 $training --epochs 4 --seed 0 --output "$out/half"
hrnet train pose-small-v1 $recipe $training --init "$out/half" --epochs 24 --seed 0 --output "$out/half-256-first"
hrnet train pose-small-v1 $recipe $training --init "$out/half-256-first" --teacher "$out/half-256-first" --epochs 22 --seed 1 \
  --output "$out/half-256"
for format in float32 int8; do
  hrnet convert "$out/half-256" --format $format --sample-seed 0 --output "$out/half-256-$format.tflite"
done
