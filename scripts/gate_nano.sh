#!/bin/sh
# Has the bundled nano become worse?  Sixty episodes of LIBERO-Object, ended as soon as the pairs decide.
# MODEL is another one to judge, such as a checkpoint folder; EPISODES are other episodes, such as --trials=1.
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
PATH=$PWD/.venv/bin:$PATH
vla-bench eval --suite object ${EPISODES:---init-states=0-5} --model "${MODEL:-nano}" --assets primitive --video none --out "$out/run" \
    --against results/baselines/nano-ci.json --stop-early --must-see 15
