#!/bin/bash
# Train HRNet and a SimpleBaseline at three input sizes on synthetic people, and plot accuracy, multiply-adds and latency against
# the input size, as in figure 6 of the HRNet pose paper (arXiv 1902.09212). Takes about 25 minutes on two free cores.
#
#   benchmarks/input_sizes.sh OUTPUT
#
# The report is OUTPUT/report/index.html. The int8 files are quantized after training. The environment variables EPOCHS and
# IMAGES set the number of epochs (default 6) and of training images (600). After an interruption, the same command continues.
set -euo pipefail
out=$1
epochs=${EPOCHS:-6}
images=${IMAGES:-600}
people=$out/people

[ -e "$people/person_keypoints_val.json" ] || hrnet data synthetic --train-images "$images" --val-images 200 --output "$people"
files=()
for size in 64x64 96x64 128x96; do
  for network in pose-small-v2 simple-baseline-r50; do
    run=$out/$network-$size
    hrnet train $network --input-size $size --train-annotations "$people/person_keypoints_train.json" --images "$people/images" \
      --recipe small --sigma 1.5 --rotation 20 --scale 0.2 --batch-size 16 --precision bfloat16 --epochs "$epochs" --output "$run" \
      --resume
    for format in float32 int8; do
      file=$run-$format.tflite
      [ -e "$file" ] || hrnet convert "$run" --format $format --samples 64 --output "$file"
      files+=("$file")
    done
  done
done
hrnet compare "${files[@]}" --annotations "$people/person_keypoints_val.json" --images "$people/images" --rounds 200 \
  --output "$out/report"
