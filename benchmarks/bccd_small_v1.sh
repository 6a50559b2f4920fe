#!/bin/bash
# detect-small-v1 on photographs of blood cells (BCCD, MIT: 205 images to learn from, 87 to measure on) in under an hour on two
# cores: AP50 on val after each epoch, then that of the float32 and of the post-training int8 files, as on the device.
#
#   benchmarks/bccd_small_v1.sh DATA OUTPUT
#
# DATA holds bccd/ with images/ and instances_{train,val}.json. Interrupted, the same command goes on.
set -euo pipefail
images="--images $1/bccd/images"
hrnet train detect-small-v1 --input-size 256x320 $images --train-annotations "$1/bccd/instances_train.json" \
  --val-annotations "$1/bccd/instances_val.json" --epochs 25 --batch-size 4 --learning-rate 1e-3 --output "$2/full" --resume
for format in float32 int8; do
  hrnet convert "$2/full" --format $format --samples 64 --output "$2/detector-$format.tflite"
  python -m mobile_eval evaluate "$2/detector-$format.tflite" $images --annotations "$1/bccd/instances_val.json" \
    --json "$2/$format.json"
done
