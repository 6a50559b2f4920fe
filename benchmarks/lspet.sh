#!/bin/bash
# Train, rank, prune, quantize, convert and compare on real people, as in the README's table.
#
#   benchmarks/lspet.sh DATA OUTPUT
#
# DATA contains lspet/, Leeds Sports Pose Extended as COCO keypoint JSON: person_keypoints_train.json, person_keypoints_val.json
# and images/. After an interruption, the same command continues. Takes four hours on two cores.
set -euo pipefail
data=$1/lspet
out=$2
images="--images $data/images"
data_options="--train-annotations $data/person_keypoints_train.json --val-annotations $data/person_keypoints_val.json $images --resume"
network="pose-small-v1 --input-size 128x96 --modules 1,2,2"

hrnet train $network $data_options --sigma 2 --rotation 20 --scale 0.2 --batch-size 16 --precision bfloat16 --epochs 56 --output "$out/full"
hrnet rank "$out/full" --annotations "$data/person_keypoints_train.json" $images --limit 500 --method leave-one-out --no-blocks --no-widths
hrnet prune "$out/full" $data_options --keep-latency 0.78 --batch-size 16 --precision bfloat16 --epochs 16 --learning-rate 7e-4 --output "$out/pruned"
for run in full pruned; do
  hrnet quantize "$out/$run" $data_options --epochs 1 --output "$out/$run-qat"
  hrnet convert "$out/$run" --format float32 --output "$out/$run-float32.tflite"
  hrnet convert "$out/$run-qat" --format int8 --output "$out/$run-int8.tflite"
done

# Two smaller networks. "links": links are pruned to two thirds of the latency, and the network is fine-tuned twice. "blocks":
# from there, residual blocks are pruned to half of the latency, and the network is fine-tuned three times.
fine_tuning="$data_options --precision bfloat16 --batch-size 32"
hrnet rank "$out/full" --annotations "$data/person_keypoints_train.json" $images --limit 300 --method leave-one-out --no-widths
hrnet prune "$out/full" $fine_tuning --no-blocks --keep-latency 0.665 --epochs 24 --learning-rate 1e-3 --output "$out/links-first"
hrnet train $network $fine_tuning --links-from "$out/links-first" --init "$out/links-first" --teacher "$out/full" --sigma 2 --rotation 20 \
  --scale 0.2 --epochs 22 --learning-rate 8e-4 --seed 3 --output "$out/links"
hrnet rank "$out/links" --annotations "$data/person_keypoints_train.json" $images --limit 200 --method leave-one-out --no-widths
hrnet prune "$out/links" $fine_tuning --keep-latency 0.48 --teacher "$out/full" --epochs 28 --learning-rate 1.2e-3 \
  --output "$out/blocks-first"
hrnet train $network $fine_tuning --links-from "$out/blocks-first" --init "$out/blocks-first" --teacher "$out/full" --sigma 2 --rotation 20 \
  --scale 0.2 --epochs 14 --learning-rate 1e-3 --seed 3 --output "$out/blocks-second"
hrnet train $network $fine_tuning --links-from "$out/blocks-first" --init "$out/blocks-second" --teacher "$out/full" --sigma 2 --rotation 20 \
  --scale 0.2 --epochs 30 --learning-rate 1.2e-3 --seed 4 --output "$out/blocks"
for run in links blocks; do
  hrnet quantize "$out/$run" $data_options --epochs 1 --output "$out/$run-qat"
  hrnet convert "$out/$run" --format float32 --output "$out/$run-float32.tflite"
  hrnet convert "$out/$run-qat" --format int8 --output "$out/$run-int8.tflite"
done
hrnet compare "$out"/{full,pruned,links,blocks}-float32.tflite "$out"/{full,pruned,links,blocks}-int8.tflite \
  --annotations "$data/person_keypoints_val.json" $images --rounds 200 --output "$out/report"
