#!/bin/bash
# Train a small HRNet and a system that the papers compare HRNet with from scratch, with the same recipe, for as many epochs, at one
# or several input sizes, and compare the files. The int8 files are quantized after training.
#
#   benchmarks/systems_trained.sh TASK DATA OUTPUT
#
# TASK is classification, pose or segmentation. DATA contains the data sets: cells/ (blood cells in a folder for each class), lspet/
# (people as COCO keypoints) and camvid/ (CamVid as images and masks). After an interruption, the same command continues.
# Each task takes about half an hour on a free core.
set -euo pipefail
task=$1
out=$3
case $task in
  classification)
    data=$2/cells
    sizes="32x32 64x64 96x96"
    declare -A networks=([hrnet]="classify-small-v1 --modules 1,2,2 --head-width 8" [system]="resnet-38")
    data_options="--images $data/train --val-images $data/val"
    val_options="--images $data/val"
    train_options="--epochs 20 --precision bfloat16 --vertical-flip-probability 0.5"
    ;;
  pose)
    data=$2/lspet
    sizes="128x96"
    declare -A networks=([hrnet]="pose-small-v1 --modules 1,2,2" [system]="simple-baseline-r50")
    data_options="--images $data/images --train-annotations $data/person_keypoints_train.json --val-annotations $data/person_keypoints_val.json"
    val_options="--images $data/images --annotations $data/person_keypoints_val.json"
    train_options="--epochs 6 --precision bfloat16 --rotation 20 --scale 0.2"
    ;;
  segmentation)
    data=$2/camvid
    sizes="64x64 64x96"
    declare -A networks=([hrnet]="segment-small-v1 --modules 1,2,2" [system]="deeplabv3-r50")
    data_options="--images $data/train/images --masks $data/train/masks --val-images $data/val/images --val-masks $data/val/masks"
    val_options="--images $data/val/images --masks $data/val/masks"
    train_options="--epochs 30 --precision bfloat16"
    ;;
  *)
    echo "unknown task $task; choose classification, pose or segmentation" >&2
    exit 2
    ;;
esac

files=()
for size in $sizes; do
  for name in hrnet system; do
    run=$out/$name-$size
    hrnet train ${networks[$name]} --input-size "$size" $data_options --recipe small $train_options --output "$run" --resume
    for format in float32 int8; do
      file=$run-$format.tflite
      [ -e "$file" ] || hrnet convert "$run" --format $format --samples 64 --output "$file"
      files+=("$file")
    done
  done
done
hrnet compare "${files[@]}" $val_options --rounds 100 --output "$out/report"
