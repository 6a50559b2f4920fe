#!/bin/bash
# Train a small HRNet and a system that the papers compare HRNet with from scratch, with the same recipe, for as many epochs, and
# compare the files.
#
#   benchmarks/systems_trained.sh TASK DATA OUTPUT
#
# TASK is classification, pose or segmentation. DATA contains the data sets: cells/ (blood cells in a folder for each class), lspet/
# (people as COCO keypoints) and camvid/ (CamVid as images and masks). After an interruption, the same command continues.
# Classification takes half an hour on a core, pose and segmentation take an hour and a half each.
set -euo pipefail
task=$1
out=$3
case $task in
  classification)
    data=$2/cells
    declare -A networks=([hrnet]="classify-small-v1 --modules 1,2,2 --head-width 8" [system]="resnet-38")
    data_options="--images $data/train --val-images $data/val"
    val_options="--images $data/val"
    train_options="--recipe small --input-size 96x96 --epochs 25 --precision bfloat16 --vertical-flip-probability 0.5"
    ;;
  pose)
    data=$2/lspet
    declare -A networks=([hrnet]="pose-small-v1 --modules 1,2,2" [system]="simple-baseline-r50")
    data_options="--images $data/images --train-annotations $data/person_keypoints_train.json --val-annotations $data/person_keypoints_val.json"
    val_options="--images $data/images --annotations $data/person_keypoints_val.json"
    train_options="--recipe small --input-size 128x96 --epochs 10 --precision bfloat16 --rotation 20 --scale 0.2"
    ;;
  segmentation)
    data=$2/camvid
    declare -A networks=([hrnet]="segment-small-v1 --modules 1,2,2" [system]="deeplabv3-r50")
    data_options="--images $data/train/images --masks $data/train/masks --val-images $data/val/images --val-masks $data/val/masks"
    val_options="--images $data/val/images --masks $data/val/masks"
    train_options="--recipe small --input-size 128x160 --epochs 20 --precision bfloat16"
    ;;
  *)
    echo "unknown task $task; choose classification, pose or segmentation" >&2
    exit 2
    ;;
esac

for name in hrnet system; do
  hrnet train ${networks[$name]} $data_options $train_options --output "$out/$name" --resume
  hrnet quantize "$out/$name" $data_options --epochs 1 --output "$out/$name-qat" --resume
  hrnet convert "$out/$name" --format float32 --output "$out/$name-float32.tflite"
  hrnet convert "$out/$name-qat" --format int8 --output "$out/$name-int8.tflite"
done
hrnet compare "$out"/{hrnet,system}-float32.tflite "$out"/{hrnet,system}-int8.tflite $val_options --rounds 100 --output "$out/report"
