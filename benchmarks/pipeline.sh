#!/bin/bash
# Train a detector in one file and a pose network on drawn scenes of one to five people, and measure the chain of both.
#
#   benchmarks/pipeline.sh OUTPUT
#
# The validation scenes are drawn with other random numbers than the training scenes. After an interruption, the same command
# continues. It takes about an hour and a half on two cores.
set -euo pipefail
out=$1
scenes="--people 5 --image-size 192x256 --train-images 3000 --val-images 200"
finder="--images $out/scenes/images --train-annotations $out/scenes/instances_train.json --val-annotations $out/scenes/instances_val.json"
people="--images $out/people/images --train-annotations $out/people/person_keypoints_train.json --val-annotations $out/people/person_keypoints_val.json"

hrnet data synthetic --task detection $scenes --output "$out/scenes"
hrnet train find-small --input-size 192x256 $finder --epochs 25 --precision bfloat16 --output "$out/finder" --resume
hrnet quantize "$out/finder" $finder --epochs 1 --output "$out/finder-qat" --resume
hrnet convert "$out/finder-qat" --output "$out/find-int8.tflite"

hrnet data synthetic $scenes --output "$out/people"
hrnet train pose-small-v1 --modules 1,2,2 --input-size 128x96 $people --epochs 20 --precision bfloat16 --sigma 2 --rotation 20 --scale 0.2 \
  --output "$out/full" --resume
hrnet rank "$out/full" --annotations "$out/people/person_keypoints_train.json" --images "$out/people/images" --limit 400 --method leave-one-out --no-blocks --no-widths
hrnet prune "$out/full" $people --keep-latency 0.75 --epochs 10 --precision bfloat16 --output "$out/pruned" --resume
for run in full pruned; do
  hrnet quantize "$out/$run" $people --epochs 1 --output "$out/$run-qat" --resume
  hrnet convert "$out/$run-qat" --output "$out/$run-int8.tflite"
done
hrnet compare "$out"/{full,pruned}-int8.tflite --annotations "$out/people/person_keypoints_val.json" --images "$out/people/images" \
  --detector "$out/find-int8.tflite" --rounds 100 --output "$out/report"
