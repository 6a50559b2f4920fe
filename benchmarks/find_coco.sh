#!/bin/bash
# Tune the detector of benchmarks/pipeline.sh on photographs of COCO, and measure it and the chain there.
#
#   benchmarks/find_coco.sh DATA OUTPUT
#
# DATA has images/, person_keypoints_train.json and person_keypoints_val.json; OUTPUT is that of benchmarks/pipeline.sh. With the 28
# training images that were used it takes five minutes on a core.
set -euo pipefail
data=$1
out=$2
people="--images $data/images --train-annotations $data/person_keypoints_train.json --val-annotations $data/person_keypoints_val.json"
val="--images $data/images --annotations $data/person_keypoints_val.json"

hrnet train find-small --input-size 192x256 $people --init "$out/finder" --epochs 100 --batch-size 8 --learning-rate 5e-4 --precision bfloat16 \
  --output "$out/finder-coco" --resume
hrnet quantize "$out/finder-coco" $people --epochs 5 --batch-size 8 --output "$out/finder-coco-qat" --resume
hrnet convert "$out/finder-coco-qat" --output "$out/find-coco-int8.tflite"
for detector in find find-coco; do
  hrnet evaluate "$out/$detector-int8.tflite" $val --json "$out/coco-$detector.json"
  hrnet evaluate "$out/full-int8.tflite" $val --detector "$out/$detector-int8.tflite" --json "$out/coco-chain-$detector.json"
done
