#!/bin/bash
# HRNet beside a SimpleBaseline at three input sizes, on drawn people: accuracy, multiply-adds and latency against input size, as
# in figure 6 of the HRNet pose paper (arXiv 1902.09212). Meant to take 25 minutes on two free cores.
#
#   benchmarks/input_sizes.sh OUTPUT
#
# OUTPUT/report/index.html is the report, int8 is post-training. EPOCHS and IMAGES (to learn from) are 6 and 600 unless set.
# Interrupted, the same command goes on.
set -euo pipefail
out=$1
epochs=${EPOCHS:-6}
images=${IMAGES:-600}
people="--images $out/people/images"
learning="--train-annotations $out/people/person_keypoints_train.json $people"

[ -e "$out/people/person_keypoints_val.json" ] || hrnet data synthetic --train-images "$images" --val-images 200 --output "$out/people"
files=()
for size in 64x64 96x64 128x96; do
  for network in pose-small-v2 simple-baseline-r50; do
    run=$out/$network-$size
    hrnet train $network --input-size $size $learning --recipe small --sigma 1.5 --rotation 20 --scale 0.2 --batch-size 16 \
      --precision bfloat16 --epochs "$epochs" --output "$run" --resume
    for format in float32 int8; do
      file=$run-$format.tflite
      [ -e "$file" ] || hrnet convert "$run" --format $format --samples 64 --output "$file"
      files+=("$file")
    done
  done
done
hrnet compare "${files[@]}" --annotations "$out/people/person_keypoints_val.json" $people --rounds 200 --output "$out/report"
