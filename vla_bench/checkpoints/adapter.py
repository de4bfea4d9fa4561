"""LoRA adapters of peft for a loaded model: merged into its weights, or applied unmerged."""

from __future__ import annotations

from vla_bench.checkpoints.adapter_folder import ADAPTER_CONFIG, ADAPTER_WEIGHTS, AdapterFolder
from vla_bench.checkpoints.files import read_header, read_json
from vla_bench.checkpoints.weights import check_finite, check_fit
from vla_bench.errors import CheckpointError, ModelError
from vla_bench.model.vla import VLA


def apply_adapter(model: VLA, adapter: AdapterFolder, merge: bool = True) -> None:
    """Put an adapter on `model.openvla`, whose module names are those of the public `lora_adapter` folders.

    merge: add it to the weights, which costs nothing at run time; otherwise `model.openvla` becomes a PeftModel.
    Raises CheckpointError for an adapter of another model, ModelError without peft.
    """
    try:
        from peft import PeftModel, get_peft_model_state_dict
    except ImportError as error:
        raise ModelError(f"an adapter needs peft: {error}", "pip install peft") from error

    folder, weights = adapter.weights, adapter.weights / ADAPTER_WEIGHTS
    kind = read_json(folder / ADAPTER_CONFIG).get("peft_type")
    if kind != "LORA":
        raise CheckpointError(f"{folder / ADAPTER_CONFIG} is of type {kind!r}, not 'LORA'", "vla-bench models")
    shapes = read_header(weights).shapes
    try:
        # Unmerged, the adapter must be in the model's own dtype; merged, its float32 product is added and then rounded once.
        adapted = PeftModel.from_pretrained(model.openvla, str(folder), autocast_adapter_dtype=merge)
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"the adapter in {folder} does not fit this model: {error}", "vla-bench models") from error
    # peft skips names that it does not know: an adapter of another model would silently do nothing.
    state = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    whole = adapted.state_dict()  # a file may also hold weights of the base, which peft saves beside an adapted lm_head
    expected = {name: tuple(tensor.shape) for name, tensor in state.items()}
    expected |= {name: tuple(whole[name].shape) for name in shapes if name in whole}
    check_fit(expected, shapes, str(weights))
    for name, tensor in state.items():
        check_finite(tensor, name, str(weights))
    model.openvla = adapted.merge_and_unload() if merge else adapted


def describe_adapter(adapter: AdapterFolder, merge: bool) -> str:
    """Rank, scale and base of an adapter, for the card."""
    table = read_json(adapter.weights / ADAPTER_CONFIG)
    how = "merged" if merge else "applied, not merged"
    base = adapter.base or "a base that it does not name"
    return f"rank {table.get('r')}, alpha {table.get('lora_alpha')}, {how}; trained on {base}"
