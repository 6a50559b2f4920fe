#!/bin/bash
# The main job on the real data of a task other than pose: trains, ranks, prunes, tunes, converts and compares.
#
#   benchmarks/tasks.sh TASK DATA OUTPUT
#
# TASK is segmentation, landmarks, classification or detection; DATA holds camvid/, faces/, cells/ and bccd/ (CamVid as images and
# masks; faces of 68 landmarks as COCO keypoints; blood cells in a folder for each class; BCCD as COCO instances). Interrupted,
# the same command goes on. One to three hours each on two cores.
set -euo pipefail
task=$1
out=$3
keep=0.78
case $task in
  segmentation)
    data=$2/camvid
    network="segment-small-v1 --modules 1,2,2 --input-size 192x256"
    recipe="--epochs 80 --precision bfloat16 --keep best"
    learn="--images $data/train/images --masks $data/train/masks --val-images $data/val/images --val-masks $data/val/masks"
    rank="--images $data/train/images --masks $data/train/masks --limit 200"
    measure="--images $data/val/images --masks $data/val/masks"
    prune="--epochs 20 --batch-size 16 --precision bfloat16"
    quantize="--epochs 2 --batch-size 16"
    ;;
  landmarks)
    data=$2/faces
    network="landmarks-small-v1 --modules 1,2,2 --input-size 128x128"
    recipe="--epochs 60 --precision bfloat16"
    learn="--images $data/images --train-annotations $data/face_keypoints_train.json --val-annotations $data/face_keypoints_val.json"
    rank="--images $data/images --annotations $data/face_keypoints_train.json --limit 200"
    measure="--images $data/images --annotations $data/face_keypoints_val.json"
    prune="--epochs 20 --batch-size 16 --precision bfloat16"
    quantize="--epochs 2 --batch-size 16"
    ;;
  classification)
    data=$2/cells
    network="classify-small-v1 --modules 1,2,2 --head-width 8 --input-size 96x96"
    recipe="--epochs 25 --precision bfloat16 --keep best --vertical-flip-probability 0.5"
    learn="--images $data/train --val-images $data/val"
    rank="--images $data/train --limit 300"
    measure="--images $data/val"
    keep=0.74
    prune="--epochs 12 --precision bfloat16"
    quantize="--epochs 2"
    ;;
  detection)
    data=$2/bccd
    network="detect-small-v1 --input-size 256x320"
    recipe="--epochs 25 --batch-size 4 --learning-rate 1e-3"
    learn="--images $data/images --train-annotations $data/instances_train.json --val-annotations $data/instances_val.json"
    rank="--images $data/images --annotations $data/instances_train.json --limit 64"
    measure="--images $data/images --annotations $data/instances_val.json"
    keep=0.74
    prune="--epochs 6 --batch-size 8 --precision bfloat16"
    quantize="--epochs 2 --batch-size 8"
    ;;
  *)
    echo "no task $task: segmentation, landmarks, classification or detection" >&2
    exit 2
    ;;
esac

hrnet train $network $learn $recipe --output "$out/full" --resume
hrnet rank "$out/full" $rank --blocks
hrnet prune "$out/full" --blocks --keep-latency $keep $learn $prune --output "$out/pruned" --resume
for run in full pruned; do
  hrnet quantize "$out/$run" $learn $quantize --output "$out/$run-qat" --resume
  hrnet convert "$out/$run" --format float32 --output "$out/$run-float32.tflite"
  hrnet convert "$out/$run-qat" --format int8 --output "$out/$run-int8.tflite"
  hrnet edgetpu "$out/$run-int8.tflite" --json "$out/$run-edgetpu.json"
done
hrnet compare "$out"/{full,pruned}-float32.tflite "$out"/{full,pruned}-int8.tflite $measure --rounds 200 --output "$out/report"
