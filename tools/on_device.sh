#!/bin/bash
# Copy the evaluator and models over ssh to a Raspberry Pi, a Coral board or another Linux device with Python 3.10 or later.
#
#   tools/on_device.sh USER@HOST [M.tflite ...]
#   ssh USER@HOST mobile_eval/bin/python -m mobile_eval benchmark mobile_eval/M.tflite --threads 1,4
#
# RUNTIME=tflite-runtime installs tflite-runtime 2.14 instead of LiteRT. It needs Python 3.11 or earlier, and is ten times slower
# for int8.
set -euo pipefail
if [ $# -eq 0 ]; then
  echo "usage: tools/on_device.sh USER@HOST [M.tflite ...], for example with pi@raspberrypi.local" >&2
  exit 2
fi
case ${RUNTIME:=ai-edge-litert} in
  ai-edge-litert) extra=device ;;
  tflite-runtime) extra=tflite-runtime ;;
  *)
    echo "RUNTIME must be ai-edge-litert or tflite-runtime, got $RUNTIME" >&2
    exit 2
    ;;
esac
host=$1
shift
project=$(cd "$(dirname "$0")/.." && pwd)
ssh "$host" 'python3 -c "import sys; sys.exit(sys.version_info < (3, 10))" ||
  { echo "the device has $(python3 --version 2>&1); Python 3.10 or later is required" >&2; exit 2; }' < /dev/null
# tar ends with 1 where a folder changes meanwhile, as when Python writes its caches: the sources are whole all the same.
{ tar -C "$project" --exclude=__pycache__ -cz setup.py pyproject.toml README.md hrnet_tf training conversion mobile_eval ||
  [ $? -eq 1 ]; } |
  ssh "$host" "set -e; rm -rf mobile_eval/source; mkdir -p mobile_eval/source; tar -xz -C mobile_eval/source
    test -x mobile_eval/bin/python || python3 -m venv mobile_eval; mobile_eval/bin/pip install --quiet 'mobile_eval/source[$extra]'"
for model in "$@"; do
  ssh "$host" "cat > 'mobile_eval/$(basename "$model")'" < "$model"
done
ssh "$host" 'mobile_eval/bin/python -c "from mobile_eval.runtime.interpreter import find_runtime; print(\"ready:\", find_runtime())"' < /dev/null
