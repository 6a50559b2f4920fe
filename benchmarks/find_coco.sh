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
boxes="--images $data/images --train-annotations $out/coco_boxes_train.json"

without_keypoints='
import json, sys
data = json.load(open(sys.argv[1]))
for entry in (*data["annotations"], *data["categories"]):
    for key in ("keypoints", "num_keypoints", "skeleton"):
        entry.pop(key, None)
json.dump(data, open(sys.argv[2], "w"))
'
for part in train val; do # a detector is trained on boxes alone
  python3 -c "$without_keypoints" "$data/person_keypoints_$part.json" "$out/coco_boxes_$part.json"
done
hrnet train find-small --input-size 192x256 $boxes --init "$out/finder" --epochs 50 --batch-size 8 --learning-rate 5e-4 --precision bfloat16 \
  --output "$out/finder-coco" --resume
hrnet quantize "$out/finder-coco" $boxes --epochs 5 --batch-size 8 --output "$out/finder-coco-qat" --resume
hrnet convert "$out/finder-coco-qat" --output "$out/find-coco-int8.tflite"
hrnet evaluate "$out/find-coco-int8.tflite" --images "$data/images" --annotations "$out/coco_boxes_val.json" --json "$out/coco-boxes.json"
for detector in find find-coco; do
  hrnet evaluate "$out/full-int8.tflite" --images "$data/images" --annotations "$data/person_keypoints_val.json" \
    --detector "$out/$detector-int8.tflite" --json "$out/coco-$detector.json"
done
