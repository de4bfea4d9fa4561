#!/bin/sh
# Episodes of random ACT and SmolVLA behind vla-eval's LeRobotModelServer.  README.md says what it needs.
#   sh tests/interop/lerobot.sh PYTHON_OF_LEROBOT [FOLDER]
set -eu
lerobot=$1
folder=${2:-$(mktemp -d)}
python=${PYTHON:-python3}
here=$(cd "$(dirname "$0")" && pwd)
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
"$lerobot" "$here/lerobot_policies.py" "$folder"
port=8470
for policy in act smolvla; do
    port=$((port + 1))
    "$lerobot" -m vla_eval.model_servers.lerobot --address 127.0.0.1:$port --args.policy_type $policy \
        --args.checkpoint "$folder/$policy" --args.device cpu \
        --args.image_keys '{"agentview": "image", "wrist": "wrist_image"}' 2>"$folder/$policy.log" &
    server=$!
    trap 'kill $server' EXIT
    until "$python" -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$port/health')" 2>/dev/null; do
        kill -0 $server || { tail "$folder/$policy.log"; exit 1; }
        sleep 1
    done
    for options in "--chunk 8" ""; do
        # shellcheck disable=SC2086
        "$python" -m vla_bench eval --model ws://127.0.0.1:$port $options --suite object --tasks 0 --init-states 0-1 --workers 2 \
            --assets primitive --video none --out "$folder/run-$policy${options:+-chunk}"
    done
    kill $server
    trap - EXIT
done
# ACT draws no random numbers: an observation a step and one for 8 are the same episodes.
"$python" - "$folder/run-act" "$folder/run-act-chunk" <<'END'
import json, sys
from pathlib import Path

one, other = ({(e["task_id"], e["init_state"]): e["state_hash"] for e in map(json.loads, (Path(run) / "episodes.jsonl").open())} for run in sys.argv[1:])
assert one == other and None not in one.values(), (one, other)
print(f"ACT: {len(one)} episodes end in the same states with --chunk 8 and without")
END
