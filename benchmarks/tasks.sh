#!/bin/bash
# Train, rank, prune, quantize, convert and compare on real data of a task other than pose.
#
#   benchmarks/tasks.sh TASK DATA OUTPUT
#
# TASK is segmentation, landmarks, classification or detection. DATA contains the data sets: camvid/ (CamVid as images and masks),
# faces/ (faces with 68 landmarks as COCO keypoints), cells/ (blood cells in a folder for each class) and bccd/ (BCCD as COCO
# instances). After an interruption, the same command continues. Each task takes one to three hours on two cores.
set -euo pipefail
task=$1
out=$3
keep_latency=0.78
case $task in
  segmentation)
    data=$2/camvid
    network="segment-small-v1 --modules 1,2,2 --input-size 192x256"
    train_options="--epochs 80 --precision bfloat16 --keep best"
    data_options="--images $data/train/images --masks $data/train/masks --val-images $data/val/images --val-masks $data/val/masks"
    rank_options="--images $data/train/images --masks $data/train/masks --limit 200"
    val_options="--images $data/val/images --masks $data/val/masks"
    prune_options="--epochs 20 --batch-size 16 --precision bfloat16"
    quantize_options="--epochs 2 --batch-size 16"
    ;;
  landmarks)
    data=$2/faces
    network="landmarks-small-v1 --modules 1,2,2 --input-size 128x128"
    train_options="--epochs 60 --precision bfloat16"
    data_options="--images $data/images --train-annotations $data/face_keypoints_train.json --val-annotations $data/face_keypoints_val.json"
    rank_options="--images $data/images --annotations $data/face_keypoints_train.json --limit 200"
    val_options="--images $data/images --annotations $data/face_keypoints_val.json"
    prune_options="--epochs 20 --batch-size 16 --precision bfloat16"
    quantize_options="--epochs 2 --batch-size 16"
    ;;
  classification)
    data=$2/cells
    network="classify-small-v1 --modules 1,2,2 --head-width 8 --input-size 96x96"
    train_options="--epochs 25 --precision bfloat16 --keep best --vertical-flip-probability 0.5"
    data_options="--images $data/train --val-images $data/val"
    rank_options="--images $data/train --limit 300"
    val_options="--images $data/val"
    keep_latency=0.74
    prune_options="--epochs 12 --precision bfloat16"
    quantize_options="--epochs 2"
    ;;
  detection)
    data=$2/bccd
    network="detect-small-v1 --input-size 256x320"
    train_options="--epochs 25 --batch-size 4 --learning-rate 1e-3"
    data_options="--images $data/images --train-annotations $data/instances_train.json --val-annotations $data/instances_val.json"
    rank_options="--images $data/images --annotations $data/instances_train.json --limit 64"
    val_options="--images $data/images --annotations $data/instances_val.json"
    keep_latency=0.74
    prune_options="--epochs 6 --batch-size 8 --precision bfloat16"
    quantize_options="--epochs 2 --batch-size 8"
    ;;
  *)
    echo "unknown task $task; choose segmentation, landmarks, classification or detection" >&2
    exit 2
    ;;
esac

hrnet train $network $data_options $train_options --output "$out/full" --resume
hrnet rank "$out/full" $rank_options --method leave-one-out --no-widths
hrnet prune "$out/full" --keep-latency $keep_latency $data_options $prune_options --output "$out/pruned" --resume
for run in full pruned; do
  hrnet quantize "$out/$run" $data_options $quantize_options --output "$out/$run-qat" --resume
  hrnet convert "$out/$run" --format float32 --output "$out/$run-float32.tflite"
  hrnet convert "$out/$run-qat" --format int8 --output "$out/$run-int8.tflite"
  hrnet target edgetpu "$out/$run-int8.tflite" --json "$out/$run-edgetpu.json"
done
hrnet compare "$out"/{full,pruned}-float32.tflite "$out"/{full,pruned}-int8.tflite $val_options --rounds 200 --output "$out/report"
