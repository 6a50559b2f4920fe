#!/bin/bash
# Put the evaluator and models on a Raspberry Pi, a Coral board or any Linux device with Python 3.10 to 3.12, over ssh.
#
#   tools/on_device.sh USER@HOST [M.tflite ...]
#   ssh USER@HOST mobile_eval/bin/python -m mobile_eval bench mobile_eval/M.tflite --threads 1,4
set -euo pipefail
if [ $# -eq 0 ]; then
  echo "give the device, such as pi@raspberrypi.local, and the models to copy" >&2
  exit 2
fi
host=$1
shift
project=$(cd "$(dirname "$0")/.." && pwd)
tar -C "$project" -cz setup.py pyproject.toml README.md hrnet_tf training conversion mobile_eval |
  ssh "$host" 'set -e; rm -rf mobile_eval/source; mkdir -p mobile_eval/source; tar -xz -C mobile_eval/source
    test -x mobile_eval/bin/python || python3 -m venv mobile_eval; mobile_eval/bin/pip install --quiet "mobile_eval/source[device]"'
for model in "$@"; do
  ssh "$host" "cat > 'mobile_eval/$(basename "$model")'" < "$model"
done
ssh "$host" 'mobile_eval/bin/python -c "from mobile_eval.runtime import find_runtime; print(\"ready:\", find_runtime())"'
