#!/bin/bash
# Convert pose-w32 from the official PyTorch network on several routes, and time the files interleaved with this package's.
#
#   benchmarks/peers/run.sh OFFICIAL FOLDER
#
# OFFICIAL is a checkout of github.com/leoxiaobin/deep-high-resolution-net.pytorch. An environment for each route, the random
# weights, the files and times.json are written to FOLDER. Takes half an hour on two cores, and 12 GB.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$here/../..
official=$(cd "$1" && pwd)
mkdir -p "$2"
folder=$(cd "$2" && pwd)
export TF_CPP_MIN_LOG_LEVEL=3

for route in litert onnx; do
  if [ ! -e "$folder/$route/.installed" ]; then
    "$project/.venv/bin/python" -m venv --clear "$folder/$route"
    "$folder/$route/bin/pip" install --quiet -r "$here/requirements-$route.txt"
    touch "$folder/$route/.installed"
  fi
done
"$folder/litert/bin/python" "$here/by_litert_torch.py" "$official" "$folder"
"$folder/onnx/bin/python" "$here/by_onnx.py" "$official" "$folder"
"$project/.venv/bin/hrnet" checkpoint import "$folder/weights.safetensors" --model pose-w32 --output "$folder/run"
"$project/.venv/bin/python" "$here/by_this_package.py" "$folder"
"$folder/litert/bin/python" "$here/measure.py" "$folder"
