"""What was loaded, line by line with the reason: what the user sees before the first episode."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from vla_bench.model.vla import VLA

Line = tuple[str, str, str]  # what, value, why
SHOWN_KEYS = 4


def card(lines: Sequence[Line]) -> tuple[tuple[str, str], ...]:
    """Lines "what", "value (why)", as a policy's card has them."""
    return tuple((what, f"{value} ({why})" if why else value) for what, value, why in lines)


def model_lines(model: VLA) -> list[Line]:
    """What can be read off the model itself."""
    config = model.config
    state = "and the robot's state" if config.proprio_dim else "and nothing of the robot's state"
    l1 = model.action_head is not None
    return [
        ("parameters", f"{sum(p.numel() for p in model.parameters()):,}", ""),
        ("cameras", f"{config.cameras}", f"{config.visual_tokens} image tokens, {state}"),
        ("image size", f"{config.image_size} px", f"of frames of {config.camera_size} px, {config.patches} patches a camera"),
        ("chunk", f"{config.chunk} steps of {config.action_dim} values", ""),
        ("decoding", "l1, ar" if l1 else "ar", "it has an L1 head" if l1 else "it has no L1 head"),
    ]


def statistics_value(table: Collection[str]) -> str:
    keys = list(table)
    more = f" and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
    return ", ".join(keys[:SHOWN_KEYS]) + more
