#!/bin/sh
# A run written with `vla-bench export`, and read with the software that each format is for.  README.md says what it needs.
#   sh tests/interop/exports.sh RUN PYTHON_OF_LEROBOT PYTHON_OF_VLA_EVAL PYTHON_OF_INSPECT
set -eu
run=$1
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
python=${PYTHON:-python3}
shift
for format in lerobot vla-eval inspect; do
    "$python" -m vla_bench export "$run" --format $format --out "$folder/$format" >/dev/null
    env -u PYTHONPATH "$1" "$here/read_exports.py" $format "$folder/$format"
    shift
done
