#!/bin/bash
# Train a detector in one file on blood cells, and compare it with the detectors of two files that tasks.sh trains.
#
#   benchmarks/find_bccd.sh DATA OUTPUT
#
# DATA contains bccd/, BCCD as COCO instances: instances_train.json, instances_val.json and images/. A quarter of the training images
# is set aside for the choice of settings; the network is trained on the others. Takes half an hour on two cores.
set -euo pipefail
data=$1/bccd
out=$2
images="--images $data/images"
results=$(dirname "$0")/results/bccd

[ -e "$out/split/train.json" ] || hrnet data split "$data/instances_train.json" --fraction 0.27 --output "$out/split"
hrnet train find-small --input-size 256x320 $images --train-annotations "$out/split/train.json" \
    --val-annotations "$out/split/held_out.json" --epochs 25 --batch-size 4 --learning-rate 2e-3 --min-scale 0.8 --max-scale 1.5 \
    --precision bfloat16 --output "$out/find" --resume
hrnet convert "$out/find" --format int8 $images --annotations "$out/split/train.json" --output "$out/find-int8.tflite"
hrnet target edgetpu "$out/find-int8.tflite"
hrnet compare "$results/full-int8.tflite" "$results/pruned-int8.tflite" "$out/find-int8.tflite" $images \
    --annotations "$data/instances_val.json" --rounds 60 --output "$out/report"
