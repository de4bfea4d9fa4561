#!/bin/sh
# `vla-eval run` on `vla-bench serve` with nano, paired with the same episodes in process.  README.md says what it needs.
#   sh tests/interop/vla_eval.sh PYTHON_OF_VLA_EVAL [FOLDER]
set -eu
vla_eval=$1
folder=${2:-$(mktemp -d)}
python=${PYTHON:-python3}
here=$(cd "$(dirname "$0")" && pwd)
export OMP_NUM_THREADS=1 LP_NUM_THREADS=1 MUJOCO_GL=egl
mkdir -p "$folder/config"

# The embedded pack in a folder is a pack like any other: with LIBERO's robot and light, here and there.
"$python" "$here/paired.py" pack "$folder/pack"
"$vla_eval" - "$folder" <<'END'
import importlib.util, pathlib, sys

folder = pathlib.Path(sys.argv[1]).resolve()
root = pathlib.Path(next(iter(importlib.util.find_spec("libero").submodule_search_locations))) / "libero"
assets = root / "assets"
if assets.is_symlink():
    assets.unlink()
assets.symlink_to(folder / "pack")
paths = {"benchmark_root": root, "bddl_files": root / "bddl_files", "init_states": root / "init_files"}
paths |= {"datasets": folder / "datasets", "assets": assets}
(folder / "config/config.yaml").write_text("".join(f"{key}: {path}\n" for key, path in paths.items()))
END

"$python" -m vla_bench serve --model nano --suite object --port 8480 &
server=$!
trap 'kill $server' EXIT
until "$python" -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8480/health')" 2>/dev/null; do
    kill -0 $server
    sleep 1
done
LIBERO_CONFIG_PATH="$folder/config" PYTHONPATH="$here" "$(dirname "$vla_eval")/vla-eval" run --no-docker \
    -c "$here/vla_eval.yaml" --output-dir "$folder/vla-eval"
kill $server
wait $server
trap - EXIT
"$python" -m vla_bench eval --model nano --suite object --tasks 0-1 --init-states 0-9 --assets "$folder/pack" --video none \
    --out "$folder/run"
"$python" "$here/paired.py" pairs "$folder/vla-eval" "$folder/run"
