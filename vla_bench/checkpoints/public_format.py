"""The public format's names for the sizes of a decoder (LlamaConfig's) and of two vision transformers (timm's)."""

from __future__ import annotations

from dataclasses import asdict

from vla_bench.interface.config import DINOV2, SIGLIP, LLMConfig, ViTConfig

BACKBONE = "dinosiglip-vit-so-224px"
VITS = (DINOV2, SIGLIP)  # in the order of their features

# LlamaConfig's name -> ours
LLAMA = {
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "intermediate_size": "mlp",
    "vocab_size": "vocab",
    "rope_theta": "rope_theta",
    "rms_norm_eps": "rms_eps",
    "max_position_embeddings": "max_positions",
}
# The only values that the decoder implements: with others the model would load and compute wrong actions.
LLAMA_FIXED = {
    "model_type": "llama",
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "rope_scaling": None,
    "tie_word_embeddings": False,
}


class FormatMismatch(Exception):
    """A table that this model cannot have; the message does not name the file."""


def read_llm(text: dict) -> LLMConfig:
    """The decoder of a `text_config`.  Raises FormatMismatch."""
    for key, only in LLAMA_FIXED.items():
        if text.get(key, only) != only:
            raise FormatMismatch(f"text_config has {key} = {text[key]!r}, and this decoder has {only!r}")
    rope = text.get("rope_parameters") or {}  # where transformers 5 keeps rope_theta
    if rope.get("rope_type", "default") != "default":
        raise FormatMismatch(f"text_config has rope_type = {rope['rope_type']!r}, and this decoder has 'default'")
    text = {**{k: v for k, v in rope.items() if k == "rope_theta"}, **text}
    defaults = asdict(LLMConfig())
    llm = LLMConfig(**{ours: read(text, theirs, defaults[ours]) for theirs, ours in LLAMA.items()})
    if read(text, "num_key_value_heads", llm.heads) != llm.heads:
        raise FormatMismatch(
            f"text_config shares keys among heads ({text['num_key_value_heads']} of {llm.heads}), this decoder does not"
        )
    return llm


def read_vision(table: dict) -> tuple[ViTConfig, ViTConfig]:
    """Both vision transformers of a `config.json`.  Raises FormatMismatch."""
    ids, wanted = table.get("timm_model_ids"), [vit.timm_id for vit in VITS]
    if ids != wanted or not read(table, "use_fused_vision_backbone", True):
        name = table.get("vision_backbone_id")
        raise FormatMismatch(f"its vision backbone is {name!r} of {ids}; only {BACKBONE!r} of {wanted} can be read")
    if any(read(table, "timm_override_act_layers", [])):
        raise FormatMismatch(
            f"timm_override_act_layers is {table['timm_override_act_layers']}, and this vision backbone has GELU"
        )
    overrides = read(table, "timm_overrides", [{}, {}])
    if len(overrides) != 2 or not all(isinstance(entry, dict) for entry in overrides):
        raise FormatMismatch(f"timm_overrides must be two objects, not {overrides!r}")
    dino, siglip = (_vit(vit, entry) for vit, entry in zip(VITS, overrides, strict=True))
    return dino, siglip


def timm_overrides(dino: ViTConfig, siglip: ViTConfig) -> list[dict[str, object]]:
    """Arguments of `timm.create_model` that differ from those of the two names; empty objects where none does."""
    pairs = [(timm_arguments(vit), timm_arguments(known)) for vit, known in zip((dino, siglip), VITS, strict=True)]
    return [{key: value for key, value in mine.items() if value != known[key]} for mine, known in pairs]


def timm_arguments(vit: ViTConfig) -> dict[str, object]:
    """A vision transformer as timm's keyword arguments."""
    return {
        "embed_dim": vit.width,
        "depth": vit.depth,
        "num_heads": vit.heads,
        "mlp_ratio": vit.mlp_ratio,
        "patch_size": vit.patch,
        "class_token": vit.registers is not None,
        "reg_tokens": vit.registers or 0,
        "init_values": 1e-5 if vit.layer_scale else None,
        "global_pool": "map" if vit.attention_pool else "avg",
    }


def _vit(known: ViTConfig, overrides: dict) -> ViTConfig:
    defaults = timm_arguments(known)
    refuse_unknown(overrides, defaults, "timm_overrides")
    sizes = {k: read(overrides, k, v) for k, v in defaults.items() if k not in ("init_values", "global_pool")}
    return ViTConfig(
        known.timm_id,
        width=sizes["embed_dim"],
        depth=sizes["depth"],
        heads=sizes["num_heads"],
        mlp_ratio=sizes["mlp_ratio"],
        patch=sizes["patch_size"],
        registers=sizes["reg_tokens"] if sizes["class_token"] else None,
        layer_scale=overrides.get("init_values", defaults["init_values"]) is not None,
        attention_pool=overrides.get("global_pool", defaults["global_pool"]) == "map",
    )


def read(table: dict, key: str, default):
    """table[key], which must be of the default's type; the default where it is absent.  Raises FormatMismatch."""
    value = table.get(key, default)
    if type(default) is float and type(value) is int:
        value = float(value)
    if type(value) is not type(default):
        raise FormatMismatch(f'"{key}" is {value!r:.60}, not of type {type(default).__name__}')
    return value


def refuse_unknown(table: dict, known, where: str) -> None:
    """Raises FormatMismatch for an unknown key: it is of a newer version, and ignoring it could change the actions."""
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise FormatMismatch(f'"{where}" has {", ".join(unknown):.200}, which this version does not know')
