#!/bin/bash
# Prune HRNet-W32 in two ways, links only and everything, on equal training, as in docs/results/study/w32.md.
#
#   benchmarks/w32.sh DATA OUTPUT
#
# DATA contains lspet/, Leeds Sports Pose Extended as COCO keypoint JSON: person_keypoints_train.json, person_keypoints_val.json
# and images/. After an interruption, the same command continues. Takes two and a half hours on two cores with AVX-512 BF16.
set -euo pipefail
data=$1/lspet
out=$2
runs=$out/runs
train="--train-annotations $out/split/train.json --images $data/images"
recipe="--input-size 128x96 --sigma 2 --rotation 20 --scale 0.2 --lr-schedule cosine"
training="$train --batch-size 32 --precision bfloat16 --seed 0 --resume"
tuning="$training --epochs 4 --learning-rate 0.0005"
selection="--selection exact --rerank --method taylor --distill-weight 0"

[ -f "$out/split/train.json" ] || hrnet data split "$data/person_keypoints_train.json" --fraction 0.142 --output "$out/split"
hrnet train pose-w32 $recipe $training --epochs 10 --learning-rate 0.001 --output "$runs/base"
[ -f "$runs/base/ranking.json" ] || hrnet rank "$runs/base" --annotations "$out/split/train.json" --images "$data/images" --limit 400 \
  --method taylor --blocks --widths
hrnet train pose-w32 --init "$runs/base" $recipe $tuning --output "$runs/full"
hrnet prune "$runs/base" $selection --no-blocks --no-widths --keep-latency 0.65 $tuning --output "$runs/links-65"
hrnet prune "$runs/base" $selection --blocks --widths --keep-latency 0.5 $tuning --output "$runs/units-50"
for name in full links-65 units-50; do
  hrnet convert "$runs/$name" --sample-seed 0 --output "$out/w32-$name-int8.tflite"
done
for people in "$data/person_keypoints_val.json" "$out/split/held_out.json"; do
  hrnet compare "$out"/w32-{full,links-65,units-50}-int8.tflite --annotations "$people" --images "$data/images" --rounds 200 \
    --output "$out/report-$(basename "$people" .json)"
done
