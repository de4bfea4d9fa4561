#!/bin/sh
# Does the wheel work where there is no checkout?  Compares its files with the checkout's, installs it in an environment of its
# own, and runs it from another folder.
#
#     make check-wheel        or        sh scripts/check_wheel.sh dist/vla_bench-VERSION-py3-none-any.whl
set -eu
[ $# = 1 ] && [ -f "$1" ] || { echo "usage: sh scripts/check_wheel.sh WHEEL, as made by: make wheel" >&2; exit 2; }
wheel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

# What is in it is what the checkout has, no less and nothing by accident.
git -C "$root" rev-parse --is-inside-work-tree >/dev/null || { echo "error: $root is no git checkout" >&2; exit 2; }
(cd "$root" && git ls-files --cached --others --exclude-standard vla_bench suites results/paper results/baselines/nano-lightvla.json) |
    while read -r file; do [ ! -e "$root/$file" ] || echo "$file"; done |
    sed 's,^suites/,vla_bench/data/suites/,; s,^results/paper/,vla_bench/data/paper/,; s,^results/baselines/,vla_bench/data/,' | sort >"$scratch/expected"
"$python" -c 'import sys, zipfile; print(*zipfile.ZipFile(sys.argv[1]).namelist(), sep="\n")' "$wheel" |
    grep -v '\.dist-info/' | sort >"$scratch/packed"
if ! diff "$scratch/expected" "$scratch/packed" >"$scratch/difference"; then
    echo "error: checkout (<) and wheel (>) have different files:" >&2
    cat "$scratch/difference" >&2
    exit 1
fi
for part in data/suites data/paper schema weights; do
    grep -q "^vla_bench/$part/" "$scratch/packed" || { echo "error: no vla_bench/$part/ in $wheel" >&2; exit 1; }
done
echo "$(wc -l <"$scratch/packed") files, $(wc -c <"$wheel") bytes"

# Bytecode is made of what is imported alone.  hf-libero comes without its dependencies; pyproject.toml says why.
"$python" -m venv "$scratch/env"
"$scratch/env/bin/python" -m pip install --quiet --no-compile --constraint "$root/constraints.txt" torch==2.13.0 "$wheel"
"$scratch/env/bin/python" -m pip install --quiet --no-deps hf-libero==0.1.4

mkdir "$scratch/work"
cd "$scratch/work"
unset PYTHONPATH
export VLA_BENCH_CACHE="$scratch/cache"
vla_bench() {
    echo "vla-bench $*" >&2
    "$scratch/env/bin/vla-bench" "$@"
}
vla_bench --version
vla_bench suites >/dev/null
vla_bench pruners >/dev/null
vla_bench sweep >/dev/null
vla_bench assets >/dev/null
vla_bench flops --model nano >/dev/null
vla_bench eval --suite object --tasks 0 --init-states 0 --model nano --assets primitive --video none --out run
vla_bench keep run run.json
vla_bench compare run run.json
vla_bench report run --paper --out tables --html page.html >/dev/null
vla_bench compare "$root/results/baselines/nano-oft.json" "$root/results/baselines/nano-lightvla.json"
