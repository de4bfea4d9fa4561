"""Writes a model's decoder as a Llama checkpoint of its own, as serving engines load it.

    python scripts/serving/llama_checkpoint.py nano-lightvla FOLDER          # causal: LlamaForCausalLM
    python scripts/serving/llama_checkpoint.py nano-lightvla FOLDER --full   # LlamaBidirectionalModel, by which vLLM knows it

Vision towers, projectors, pruner and action head stay with the caller: an engine is given embeddings and returns hidden states.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from vla_bench.checkpoints.checkpoint import load
from vla_bench.checkpoints.known import WEIGHTS
from vla_bench.model.tokenizer import NANO_TOKENIZER
from vla_bench.model.vla import VLA

CAUSAL, FULL = "LlamaForCausalLM", "LlamaBidirectionalModel"


def write_llama(model: VLA, folder: Path, full: bool) -> None:
    """The decoder in float32, its configuration and a tokenizer.  Raises FileExistsError where the folder exists."""
    folder.mkdir(parents=True)
    llm, tokens = model.config.llm, model.config.tokens
    config = {
        "architectures": [FULL if full else CAUSAL],
        "model_type": "llama",
        "vocab_size": llm.vocab,
        "hidden_size": llm.width,
        "intermediate_size": llm.mlp,
        "num_hidden_layers": llm.layers,
        "num_attention_heads": llm.heads,
        "num_key_value_heads": llm.heads,
        "max_position_embeddings": llm.max_positions,
        "rms_norm_eps": llm.rms_eps,
        "rope_theta": llm.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": llm.rope_theta},
        "hidden_act": "silu",
        "bos_token_id": tokens.bos,
        "eos_token_id": tokens.stop,
        "pad_token_id": tokens.pad,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
    }
    # What vLLM asks of a bidirectional Llama: how to pool a sequence; the pooling of single tokens does not look at it.
    config |= {"pooling": "last", "is_causal": False} if full else {}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    # Its engine for embeddings does not start without a tokenizer, which then reads nothing: any will do.
    shutil.copy(NANO_TOKENIZER, folder / "tokenizer.json")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}\n', encoding="utf-8")
    state = model.openvla.language_model.state_dict()
    save_file({name: value.float().contiguous() for name, value in state.items()}, folder / "model.safetensors", {"format": "pt"})


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a bundled model, or the folder of a checkpoint")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--full", action="store_true", help="every token sees every other, as in OpenVLA-OFT")
    options = parser.parse_args()
    place = WEIGHTS / options.model
    try:
        model = load(place if place.is_dir() else options.model, device="cpu", pruner=None).model
        write_llama(model, options.folder, options.full)
    except FileExistsError:
        parser.error(f"{options.folder} exists, and is not overwritten")


if __name__ == "__main__":
    main()
