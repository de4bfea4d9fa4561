"""The models that have a name: bundled ones, and the public checkpoints of every suite.  Reads no weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vla_bench.suites import load_suites

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
NANO = "nano-lightvla"  # what `--model nano` means
FOUR_SUITES = "moojink/openvla-7b-oft-finetuned-libero-spatial-object-goal-10"
PUBLIC_PARAMETERS = 7_709_173_191  # 7B with its heads


@dataclass(frozen=True)
class KnownModel:
    """One line of `vla-bench models`."""

    name: str  # what --model takes
    kind: str
    suites: tuple[str, ...]
    unnorm_key: str | None
    parameters: int | None
    at_hand: str  # bundled | cached | download


def bundled(name: str) -> Path | None:
    """The folder of a checkpoint that ships with the package."""
    folder = WEIGHTS / name
    return folder if (folder / "config.json").is_file() else None


def cached(hub_id: str) -> bool:
    """Whether the hub's cache on this machine holds the checkpoint's index."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(hub_id, "model.safetensors.index.json"), str)


def known_models() -> list[KnownModel]:
    """Bundled models first, then the public ones, suite by suite."""
    suites = load_suites()
    names = tuple(suite.name for suite in suites)
    found = []
    for config in sorted(WEIGHTS.glob("*/config.json")):
        found.append(KnownModel(config.parent.name, _kind(config), names, None, None, "bundled"))
    for kind in ("lightvla", "openvla-oft"):
        for suite in suites:
            public = suite.checkpoints[kind]
            found.append(_public(public.hub, kind, (suite.name,), public.unnorm_key))
    found.append(_public(FOUR_SUITES, "openvla-oft", names, None))
    return found


def _public(hub_id: str, kind: str, suites: tuple[str, ...], key: str | None) -> KnownModel:
    return KnownModel(hub_id, kind, suites, key, PUBLIC_PARAMETERS, "cached" if cached(hub_id) else "download, 15 GB")


def _kind(config: Path) -> str:
    import json

    return json.loads(config.read_text(encoding="utf-8"))["vla_bench"]["kind"]
