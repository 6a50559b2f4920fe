#!/bin/bash
# With each Python 3.10 to 3.14 on this machine, compile the source, install the device extra, import mobile_eval, and time a model.
#
#   tools/every_python.sh        (or make pythons)
set -uo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
packages=(hrnet_tf training conversion mobile_eval)
model=$(find "$project/benchmarks/results" -name '*int8.tflite' | sort | head -n 1)
version='import sys; v = sys.version_info[:2]; print("%d.%d" % v); sys.exit(not (3, 10) <= v < (3, 15))'
import='import importlib, pkgutil, mobile_eval
for module in pkgutil.walk_packages(mobile_eval.__path__, "mobile_eval."):
    if not module.name.endswith("__main__"): importlib.import_module(module.name)'

try() ( # try PYTHON FOLDER; the caller shows the output if this fails
  local python=$1 folder=$2
  mkdir -p "$folder/source" && cp -r "${packages[@]/#/$project/}" "$project"/{setup.py,pyproject.toml,README.md} "$folder/source" &&
    "$python" -m compileall -q "$folder/source" || exit
  "$python" -c 'import ensurepip, venv' 2> /dev/null || { echo "no venv module: only compiled"; exit 0; }
  "$python" -m venv "$folder/env" && cd "$folder" && "$folder/env/bin/python" -m pip install --quiet "$folder/source[device]" &&
    "$folder/env/bin/python" -W error::SyntaxWarning -c "$import" &&
    "$folder/env/bin/python" -m mobile_eval benchmark "$model" --runs 3 --seconds 0 --no-memory
)

unset PYTHONPATH
status=0 seen=" "
for python in $(type -aP python3.{10..14} python3 python) "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python3; do
  release=$("$python" -c "$version" 2> /dev/null) || continue # another version, or a shim that does not run
  [[ $seen == *" $release "* ]] && continue
  seen+="$release "
  if try "$python" "$work/$release" > "$work/log" 2>&1; then
    echo "Python $release ($python): $(grep -E 'no venv module|p50' "$work/log" | sed 's/^ *//')"
  else
    echo "Python $release ($python) failed:" && cat "$work/log"
    status=1
  fi
  rm -rf "${work:?}/$release"
done
[ "$seen" != " " ] || { echo "no Python 3.10 to 3.14 found" >&2; exit 2; }
exit $status
