"""Writes small random policies of lerobot, ACT and SmolVLA, in the layout of their published checkpoints.

    python lerobot_policies.py FOLDER                     # FOLDER/act, FOLDER/smolvla

SmolVLA's backbone is SmolVLM: its configuration, tokenizer and processor are made here, with small numbers, so that nothing is
downloaded.  Needs lerobot[smolvla], in an environment of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies import make_pre_post_processors
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast, SmolVLMConfig, SmolVLMImageProcessor, SmolVLMProcessor, SmolVLMVideoProcessor

CHUNK = 8
WORDS = "pick up place the and it in basket alphabet soup cream cheese salad dressing milk".split()
SPECIAL = ["<pad>", "<unk>", "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", "\n"]


def features(size: int) -> dict[str, dict[str, PolicyFeature]]:
    """Two pictures, the state and the action of LIBERO."""
    picture = PolicyFeature(FeatureType.VISUAL, (3, size, size))
    inputs = {f"observation.images.{name}": picture for name in ("image", "wrist_image")}
    inputs["observation.state"] = PolicyFeature(FeatureType.STATE, (8,))
    return {"input_features": inputs, "output_features": {"action": PolicyFeature(FeatureType.ACTION, (7,))}}


def statistics() -> dict[str, dict[str, torch.Tensor]]:
    sizes = {"observation.state": (8,), "action": (7,)}
    images = {f"observation.images.{name}": (3, 1, 1) for name in ("image", "wrist_image")}
    return {name: {"mean": torch.zeros(size), "std": torch.ones(size)} for name, size in (sizes | images).items()}


def write(policy, folder: Path) -> None:
    policy.save_pretrained(folder)
    for processor in make_pre_post_processors(policy.config, dataset_stats=statistics()):
        processor.save_pretrained(folder)
    print(f"{folder}: {sum(each.numel() for each in policy.parameters()):,} parameters")


def act(folder: Path) -> None:
    sizes = {"dim_model": 64, "n_heads": 4, "dim_feedforward": 128, "n_encoder_layers": 1, "n_vae_encoder_layers": 1}
    config = ACTConfig(
        **features(128), **sizes, chunk_size=CHUNK, n_action_steps=CHUNK, pretrained_backbone_weights=None, device="cpu"
    )
    write(ACTPolicy(config), folder)


def backbone(folder: Path) -> str:
    """SmolVLM of a few layers, as SmolVLA wants it: 64 patches a picture, and a tokenizer of words."""
    words = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    text = Tokenizer(WordLevel(words, unk_token="<unk>"))
    text.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=text,
        pad_token="<pad>",
        unk_token="<unk>",
        extra_special_tokens={
            "image_token": "<image>",
            "fake_image_token": "<fake_token_around_image>",
            "global_image_token": "<global-img>",
            "end_of_utterance_token": "<end_of_utterance>",
        },
    )
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    language = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4}
    more = {"num_key_value_heads": 2, "head_dim": 16, "vocab_size": len(words), "model_type": "llama", "pad_token_id": 0}
    config = SmolVLMConfig(
        vision_config=vision | {"image_size": 128, "patch_size": 16},
        text_config=language | more,
        image_token_id=words["<image>"],
        pad_token_id=0,
        scale_factor=2,
    )
    config.architectures = ["SmolVLMForConditionalGeneration"]
    config.save_pretrained(folder)
    parts = {"image_processor": SmolVLMImageProcessor(), "video_processor": SmolVLMVideoProcessor()}
    SmolVLMProcessor(tokenizer=tokenizer, **parts, image_seq_len=16).save_pretrained(folder)
    return str(folder)


def smolvla(folder: Path) -> None:
    config = SmolVLAConfig(
        **features(128),
        chunk_size=CHUNK,
        n_action_steps=CHUNK,
        vlm_model_name=backbone(folder.with_name("smolvlm")),
        resize_imgs_with_padding=(128, 128),
        num_vlm_layers=4,
        num_steps=4,
        device="cpu",
    )
    write(SmolVLAPolicy(config), folder)


if __name__ == "__main__":
    torch.manual_seed(0)
    act(Path(sys.argv[1]).resolve() / "act")
    smolvla(Path(sys.argv[1]).resolve() / "smolvla")
