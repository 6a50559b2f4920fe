#!/bin/bash
# Make an aarch64 userland with Python 3.11 and tflite-runtime 2.14.0, in which qemu runs the evaluator on an x86 machine.
#
#   tools/arm_userland.sh FOLDER
#   FOLDER/python -m mobile_eval evaluate M.tflite --annotations val.json --images images
#
# For Debian and Ubuntu; nothing is installed outside of FOLDER. The results are those of an ARM board; the times mean nothing.
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
cd "$folder"
packages="python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libc6 libgcc-s1 libstdc++6 zlib1g libexpat1 libssl3
  libffi8 liblzma5 libbz2-1.0 libuuid1 libsqlite3-0"

mkdir -p apt/state/lists/partial apt/cache/archives/partial debs root host
arm=(-qq -o "Dir::State=$folder/apt/state" -o "Dir::Cache=$folder/apt/cache" -o Dir::State::status=/dev/null
  -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root)
apt-get "${arm[@]}" update
# shellcheck disable=SC2086
(cd debs && apt-get "${arm[@]}" download $packages)
for package in debs/*.deb; do dpkg-deb -x "$package" root; done
(cd host && apt-get -qq -o APT::Sandbox::User=root download qemu-user-static && dpkg-deb -x qemu-user-static*.deb .)

platforms=(manylinux_2_34_aarch64 manylinux_2_28_aarch64 manylinux2014_aarch64 manylinux_2_17_aarch64)
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check --target site --upgrade "${platforms[@]/#/--platform=}" \
  --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none --only-binary=:all: \
  tflite-runtime==2.14.0 'numpy<2' 'opencv-python-headless<4.12' 'typer>=0.12' 'rich>=13' 'jinja2>=3.1' 'faster-coco-eval>=1.6.5'

cat > python <<END
#!/bin/sh
PYTHONPATH="$folder/site:$project" exec "$folder/host/usr/bin/qemu-aarch64-static" -L "$folder/root" "$folder/root/usr/bin/python3.11" "\$@"
END
chmod +x python
./python -c 'import platform, tflite_runtime; print("ready:", platform.machine())'
