"""How a model's actions are decoded: as asked for, else as the checkpoint says; and what a pruner lacks then."""

from __future__ import annotations

from vla_bench.checkpoints.checkpoint import Loaded
from vla_bench.errors import UsageError
from vla_bench.interface.layout import Span
from vla_bench.interface.pruner import Pruner
from vla_bench.values import Decoding

EVAL = "vla-bench eval"


def choose_decoding(asked: Decoding | None, loaded: Loaded, name: str) -> tuple[Decoding, str]:
    """The decoding and its reason, for the card.  Raises UsageError where it is not known, and for one that is impossible."""
    own, reason = loaded.decoding
    head = loaded.model.action_head is not None
    again = f"{EVAL} --model {name} --decoding"
    if asked is None and own is None:
        raise UsageError(
            f"{name} has no action head, so its actions are tokens: decoded one after another, as OpenVLA is trained, or in"
            " parallel, as OpenVLA-OFT can be. No file says which. Or its action_head--STEP_checkpoint.pt was not copied",
            f"{again} parallel   (or ar)",
        )
    if asked is Decoding.L1 and not head:
        raise UsageError(f"{name} has no L1 action head", f"{again} parallel   (or ar)")
    if asked is Decoding.PARALLEL and head:
        raise UsageError(f"{name} has an L1 head: its tokens were not trained to be decoded in parallel", "leave --decoding out")
    if asked is not None:
        reason = "asked for"
    chosen = own if asked is None else asked
    if chosen is Decoding.AR and (lacks := _lacks(loaded.model.pruner)):
        fix = "leave --decoding ar out" if asked else f"{EVAL} --model {name} --pruner fastv"
        raise UsageError(f"{loaded.model.pruner.label} needs {lacks}, which decoding token by token does not provide", fix)
    return chosen, reason


def _lacks(pruner: Pruner | None) -> str | None:
    """What a pruner needs that decoding token by token cannot provide; None where it provides everything."""
    slots = pruner is not None and any(rows.span is Span.SLOTS for rows in pruner.rows)
    return "the action slots' attention" if slots else None
