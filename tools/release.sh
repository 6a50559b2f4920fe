#!/bin/bash
# Build the distribution into dist/, check it, and run its wheel in a new environment outside of the source folder.
#
#   tools/release.sh [PYTHON]        (or make release)
#
# To release: set the date of the section in CHANGELOG.md and the version in hrnet_tf/__init__.py and CITATION.cff, commit, tag
# vX.Y.Z, run this script, and upload the files with `twine upload dist/*`.
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
python=${1:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset PYTHONPATH

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$project/hrnet_tf/__init__.py")
grep -q "^version: $version$" "$project/CITATION.cff" || { echo "CITATION.cff does not have version $version" >&2; exit 2; }
grep -q "^## \[$version\]" "$project/CHANGELOG.md" || { echo "CHANGELOG.md has no section [$version]" >&2; exit 2; }

"$python" -m venv "$work/tools"
"$work/tools/bin/python" -m pip install --quiet build twine
git clone --quiet "$project" "$work/source" # only committed files
"$work/tools/bin/python" -m build --outdir "$work/dist" "$work/source"
"$work/tools/bin/python" -m twine check --strict "$work"/dist/*

"$python" -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet "$(echo "$work"/dist/*.whl)[device]"
cd "$work" # no folder here hides the installed packages
test "$(env/bin/hrnet --version)" = "hrnet_tf $version"
env/bin/hrnet models > /dev/null
model=$(find "$project/benchmarks/results" -name '*int8.tflite' | sort | head -n 1)
env/bin/hrnet benchmark "$model" --runs 3 --seconds 0 --no-memory
mkdir -p "$project/dist" && cp dist/* "$project/dist"
echo "built and checked:" && ls "$project/dist"
