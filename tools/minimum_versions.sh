#!/bin/bash
# Install the lowest versions of the direct dependencies that setup.py allows, and run the fast tests.
#
#   tools/minimum_versions.sh [PYTHON]
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${1:-python3.10}" -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet uv
VIRTUAL_ENV=$work/env "$work/env/bin/uv" pip install --resolution lowest-direct -e "$project[train,dev]"
cd "$project"
"$work/env/bin/python" -m pytest -n auto --dist loadfile -m 'not slow'
