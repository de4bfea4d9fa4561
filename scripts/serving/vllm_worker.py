"""One vLLM engine on the CPU, fed with embeddings; runs in an environment of its own, started by vllm_check.py.

    ENV/bin/python scripts/serving/vllm_worker.py CHECKPOINT EMBEDDINGS.safetensors ANSWERS

Reads one line of names of embeddings (N, D) from stdin at a time, gives them to the engine together, and writes the last hidden
states (N, D) of each to ANSWERS/NAME.safetensors.  Answers one line of JSON, behind `ANSWER `, between what the engine prints.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

# Before vllm is imported: its engine in this process, its threads as many as OMP_NUM_THREADS says, wherever the system puts them.
os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_CPU_KVCACHE_SPACE": "1"}
os.environ |= {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}

import torch  # noqa: E402
import vllm  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from vllm.config import PoolerConfig  # noqa: E402


def say(**what: object) -> None:
    print("ANSWER " + json.dumps(what), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("embeddings", type=Path)
    parser.add_argument("answers", type=Path)
    options = parser.parse_args()
    embeddings = load_file(options.embeddings)
    engine = vllm.LLM(
        model=str(options.checkpoint),
        runner="pooling",
        pooler_config=PoolerConfig(task="token_embed"),
        dtype="float32",
        max_model_len=512,
        max_num_seqs=16,
        enable_prompt_embeds=True,
        enforce_eager=True,
        enable_prefix_caching=False,
        enable_chunked_prefill=False,
        max_num_batched_tokens=4096,
    )
    each_token = vllm.PoolingParams(use_activation=False)  # the hidden states as they are, not scaled to length 1
    say(vllm=vllm.__version__, torch=torch.__version__, threads=torch.get_num_threads())
    for line in sys.stdin:
        names = line.split()
        prompts = [{"prompt_embeds": embeddings[name]} for name in names]
        started = time.perf_counter()
        answers = engine.encode(prompts, each_token, pooling_task="token_embed", use_tqdm=False)
        lap = 1000 * (time.perf_counter() - started)
        for name, answer in zip(names, answers, strict=True):
            save_file({"hidden": answer.outputs.data.contiguous()}, options.answers / f"{name}.safetensors")
        say(ms=lap)


if __name__ == "__main__":
    main()
