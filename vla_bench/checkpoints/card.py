"""The model card that is printed before the first episode: one line a property, with the reason."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from vla_bench.model.vla import VLA

Line = tuple[str, str, str]  # what, value, reason
SHOWN_KEYS = 4


def card(lines: Sequence[Line]) -> tuple[tuple[str, str], ...]:
    """Lines (what, "value (reason)") of a policy's card."""
    return tuple((what, f"{value} ({reason})" if reason else value) for what, value, reason in lines)


def model_lines(model: VLA, reasons: Mapping[str, str]) -> list[Line]:
    """The lines that follow from the model itself.  reasons: of what training chose, see assumed.py."""
    config = model.config
    state = "with proprioception" if config.proprio_dim else "without proprioception"
    return [
        ("parameters", f"{sum(p.numel() for p in model.parameters()):,}", ""),
        ("cameras", f"{config.cameras}, {config.visual_tokens} image tokens, {state}", reasons["cameras"]),
        ("image size", f"{config.image_size} px", f"of frames of {config.camera_size} px, {config.patches} patches a camera"),
        ("center crop", "yes" if config.center_crop else "no", reasons["center_crop"]),
        ("chunk", f"{config.chunk} steps of {config.action_dim} values", reasons["chunk"]),
        ("action head", "L1" if config.l1_head else "none", "" if config.l1_head else "actions are tokens"),
    ]


def statistics_value(table: Collection[str]) -> str:
    keys = list(table)
    more = f" and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
    return ", ".join(keys[:SHOWN_KEYS]) + more
