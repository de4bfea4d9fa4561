"""`config.json` of a checkpoint: the public format, plus one block "vla_bench" for what that format has no key for.

The public format has a few numbers of a Llama (the rest are LlamaConfig's defaults) and the names of two timm models; other
sizes are in `timm_overrides`, as keyword arguments of `timm.create_model`.  Without our block, heads follow from the files in
the folder, and cameras and chunk are assumed: see assumed.py.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from enum import Enum
from pathlib import Path

from vla_bench.checkpoints.files import CONFIG, read_json
from vla_bench.checkpoints.parts import ACTION_HEAD, PROPRIO_PROJECTOR, find_part
from vla_bench.checkpoints.public_format import (
    BACKBONE,
    LLAMA,
    FormatMismatch,
    read,
    read_llm,
    read_vision,
    refuse_unknown,
    timm_overrides,
)
from vla_bench.checkpoints.size_bounds import check_bounds
from vla_bench.errors import CheckpointError
from vla_bench.interface.config import LLMConfig, TokenIds, VLAConfig

FAMILY = "openvla"
BLOCK = "vla_bench"
OURS = ("name", "cameras", "camera_size", "center_crop", "chunk", "action_dim", "proprio_dim", "l1_head")


class ModelFamily(str, Enum):
    """The published families.  LIGHTVLA is OPENVLA_OFT trained with its pruner; OPENVLA decodes action tokens only."""

    OPENVLA = "openvla"
    OPENVLA_OFT = "openvla-oft"
    LIGHTVLA = "lightvla"


@dataclass(frozen=True)
class TrainingOrigin:
    """How a checkpoint of ours was trained: `pruner` is a name, `action_slice` a value of `ActionSlice`."""

    kind: ModelFamily
    pruner: str
    action_slice: str


@dataclass(frozen=True)
class ConfigFile:
    """A whole `config.json`; `origin` is None for a public checkpoint, which has no block of ours."""

    config: VLAConfig
    norm_stats: dict
    origin: TrainingOrigin | None


def read_config(folder: Path) -> VLAConfig:
    """Sizes of the model in a checkpoint folder.  Raises CheckpointError."""
    return read_config_file(folder).config


def read_config_file(folder: Path, training: Path | None = None) -> ConfigFile:
    """Read and check `config.json`.  Raises CheckpointError for another family or sizes that this model cannot have.

    training: folder of the training of an adapter, which may have heads that the checkpoint itself lacks.
    """
    table = read_json(folder / CONFIG)
    try:
        return _parse(table, folder, training)
    except FormatMismatch as mismatch:
        raise CheckpointError(f"{folder / CONFIG}: {mismatch}", "vla-bench models") from None


def write_config(
    folder: Path, config: VLAConfig, norm_stats: dict, *, kind: ModelFamily | str, pruner: str, action_slice: str, dtype: str
) -> None:
    """Write `config.json`: `read_config` returns an equal VLAConfig, and the public code can read it, too.

    dtype: of the weights beside it, such as "bfloat16".  Raises CheckpointError for a model that the format cannot hold.
    """
    if kind not in list(ModelFamily):
        raise CheckpointError(f'unknown model family "{kind}": {", ".join(known.value for known in ModelFamily)}')
    table = to_table(config, norm_stats, TrainingOrigin(ModelFamily(kind), pruner, action_slice), dtype)
    try:
        _parse(table, folder)
    except FormatMismatch as mismatch:
        raise CheckpointError(f"this model cannot be saved: {mismatch}") from None
    (folder / CONFIG).write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


def to_table(config: VLAConfig, norm_stats: dict, origin: TrainingOrigin, dtype: str) -> dict[str, object]:
    """The content of `config.json`."""
    llm, tokens = config.llm, config.tokens
    overrides = timm_overrides(config.dino, config.siglip)
    text = {"model_type": "llama", "num_key_value_heads": llm.heads, "pad_token_id": tokens.pad, "torch_dtype": dtype}
    text |= {"bos_token_id": tokens.bos, "eos_token_id": tokens.stop, "tie_word_embeddings": False}
    table = {
        "arch_specifier": "no-align+fused-gelu-mlp",
        "architectures": ["OpenVLAForActionPrediction"],
        "hf_llm_id": "meta-llama/Llama-2-7b-hf",
        "image_resize_strategy": "resize-naive",
        "image_sizes": [config.image_size] * 2,
        "llm_backbone_id": "llama2-7b-pure",
        "llm_max_length": llm.max_positions,
        "model_type": FAMILY,
        "n_action_bins": tokens.action_bins,
        "norm_stats": norm_stats,
        "output_projector_states": False,
        "pad_to_multiple_of": llm.vocab - tokens.actions_end,  # the public code finds the last action bin by this
        "pad_token_id": tokens.pad,
        "text_config": text | {theirs: getattr(llm, ours) for theirs, ours in LLAMA.items()},
        "timm_model_ids": [config.dino.timm_id, config.siglip.timm_id],
        "timm_override_act_layers": [None, None],
        "torch_dtype": dtype,
        "use_fused_vision_backbone": True,
        "vision_backbone_id": BACKBONE,
        BLOCK: {
            **{key: getattr(config, key) for key in OURS},
            **({} if config.reach is None else {"reach": config.reach}),
            **asdict(origin),
            "kind": origin.kind.value,
            "tokens": asdict(tokens),
        },
    }
    return table | ({"timm_overrides": overrides} if any(overrides) else {})


def _parse(table: dict, folder: Path, training: Path | None = None) -> ConfigFile:
    # lerobot's files have "type" where transformers' have "model_type".
    family = table.get("model_type", table.get("type"))
    if family != FAMILY:
        what = f"this is a {family!r} model, and only {FAMILY!r} can be read" if family else "it has no model_type"
        raise FormatMismatch(what)
    llm = read_llm(read(table, "text_config", {}))
    sizes = table.get("image_sizes")
    if not isinstance(sizes, list) or len(sizes) != 2 or sizes[0] != sizes[1] or type(sizes[0]) is not int:
        raise FormatMismatch(f"image_sizes must be two equal numbers, not {sizes!r}")
    dino, siglip = read_vision(table)
    public = {"image_size": sizes[0], "dino": dino, "siglip": siglip, "llm": llm}
    block = read(table, BLOCK, {})
    if BLOCK in table:
        config, origin = VLAConfig(**public, **_ours(block)), _origin(block)
    else:
        known = VLAConfig()
        name = known.name if (dino, siglip, llm) == (known.dino, known.siglip, known.llm) else folder.name
        config, origin = VLAConfig(name, **public, **_beside((training or folder, folder)), tokens=_tokens(table, llm)), None
    _check(config)
    return ConfigFile(config, read(table, "norm_stats", {}) if table.get("norm_stats") is not None else {}, origin)


def _ours(block: dict) -> dict[str, object]:
    """The fields of our block."""
    refuse_unknown(block, {*OURS, "reach", "tokens", *(f.name for f in fields(TrainingOrigin))}, BLOCK)
    given = read(block, "tokens", {})
    refuse_unknown(given, asdict(TokenIds()), "tokens")
    defaults = VLAConfig()
    tokens = TokenIds(**{key: read(given, key, default) for key, default in asdict(defaults.tokens).items()})
    reach = read(block, "reach", 0) if "reach" in block else defaults.reach
    return {**{key: read(block, key, getattr(defaults, key)) for key in OURS}, "reach": reach, "tokens": tokens}


def _tokens(table: dict, llm: LLMConfig) -> TokenIds:
    defaults = TokenIds()
    return TokenIds(
        pad=read(table, "pad_token_id", defaults.pad),
        actions_end=llm.vocab - read(table, "pad_to_multiple_of", 64),
        action_bins=read(table, "n_action_bins", defaults.action_bins),
    )


def _beside(places: tuple[Path, ...]) -> dict[str, object]:
    """Heads of a public checkpoint, from the files in its folder; and the cameras that models with such heads mostly have."""
    head, proprio = find_part(places, ACTION_HEAD) is not None, find_part(places, PROPRIO_PROJECTOR) is not None
    defaults = VLAConfig()
    cameras = defaults.cameras if head or proprio else 1
    return {"cameras": cameras, "proprio_dim": defaults.proprio_dim if proprio else 0, "l1_head": head}


def _origin(block: dict) -> TrainingOrigin:
    kind = block.get("kind")
    if kind not in [known.value for known in ModelFamily]:
        raise FormatMismatch(f'"kind" is {kind!r}, not one of {", ".join(known.value for known in ModelFamily)}')
    action_slice = block.get("action_slice")
    if action_slice not in ("aligned", "reference"):
        raise FormatMismatch(f'"action_slice" is {action_slice!r}, neither "aligned" nor "reference"')
    return TrainingOrigin(ModelFamily(kind), read(block, "pruner", "none"), action_slice)


def _check(config: VLAConfig) -> None:
    """Raises FormatMismatch for sizes that do not fit each other."""
    llm = config.llm
    check_bounds(config)
    for vit in (config.dino, config.siglip):
        if config.image_size % vit.patch or vit.width % vit.heads:
            raise FormatMismatch(f"an impossible vision transformer: {vit} on {config.image_size} pixels")
    if config.dino.patch != config.siglip.patch:
        raise FormatMismatch(
            f"the patches of the two vision transformers differ: {config.dino.patch} and {config.siglip.patch} pixels"
        )
    if llm.width % (2 * llm.heads):
        raise FormatMismatch(f"a width of {llm.width} cannot be split into {llm.heads} heads of an even width")
    tokens = config.tokens
    if not max(tokens.bos, tokens.stop, tokens.pad, tokens.space, tokens.actions_end - 1) < config.llm.vocab:
        raise FormatMismatch(f"special tokens outside a vocabulary of {config.llm.vocab}: {tokens}")
    if not 2 <= tokens.action_bins <= tokens.actions_end:
        raise FormatMismatch(f"{tokens.action_bins} action bins do not fit below token {tokens.actions_end}")
