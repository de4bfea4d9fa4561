"""Named models: the bundled ones, and the public checkpoints of every suite.  Reads no weights."""

from __future__ import annotations

import json
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from vla_bench.suites import load_suites

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
NANO = "nano-lightvla"  # the checkpoint of `--model nano`
DEFAULTS = {"nano": NANO}  # short names of bundled checkpoints
FOUR_SUITES = "moojink/openvla-7b-oft-finetuned-libero-spatial-object-goal-10"
OPENVLA = "openvla"  # the family that decodes token by token
OPENVLA_BASE = "openvla/openvla-7b"  # what every public checkpoint was fine-tuned from
PUBLIC_PARAMETERS = 7_709_173_191  # 7B with its heads
OPENVLA_PARAMETERS = 7_541_237_184


@dataclass(frozen=True)
class KnownModel:
    """One line of `vla-bench models`."""

    name: str  # what --model takes
    kind: str
    _: KW_ONLY
    suites: tuple[str, ...] = ()
    unnorm_key: str | None = None
    parameters: int | None = None
    at_hand: str  # bundled | cached | download | the package that provides it


def bundled(name: str) -> Path | None:
    """The folder of a bundled checkpoint; None for another name."""
    folder = WEIGHTS / name
    return folder if folder.name == name and (folder / "config.json").is_file() else None


def cached(hub_id: str) -> bool:
    """Whether the hub's cache on this machine holds the checkpoint's index."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(hub_id, "model.safetensors.index.json"), str)


def bundled_names() -> list[str]:
    """Names of the bundled checkpoints."""
    return [config.parent.name for config in sorted(WEIGHTS.glob("*/config.json"))]


def families() -> dict[str, dict[str, str]]:
    """Hub ids of public checkpoints by family and suite, as the suites name them."""
    hub_ids: dict[str, dict[str, str]] = {}
    for suite in load_suites():
        for family, public in suite.checkpoints.items():
            hub_ids.setdefault(family, {})[suite.name] = public.hub
    return dict(sorted(hub_ids.items()))


def published(name: str) -> str | None:
    """The family of a public checkpoint, by its hub id; None for another name."""
    own = next((family for family, by_suite in families().items() if name in by_suite.values()), None)
    return own or {FOUR_SUITES: "openvla-oft", OPENVLA_BASE: OPENVLA}.get(name)


def known_models() -> list[KnownModel]:
    """Bundled models first, then the public ones, suite by suite."""
    suites = load_suites()
    models = []
    for name in bundled_names():
        table = json.loads((WEIGHTS / name / "config.json").read_text(encoding="utf-8"))
        trained = tuple(s.name for s in suites if any(key.startswith(s.libero_name) for key in table["norm_stats"]))
        models.append(KnownModel(name, table["vla_bench"]["kind"], suites=trained, at_hand="bundled"))
    for family in families():
        for suite in suites:
            if public := suite.checkpoints.get(family):
                models.append(_public(public.hub, family, (suite.name,), public.unnorm_key))
    models.append(_public(FOUR_SUITES, "openvla-oft", tuple(families()["openvla-oft"]), None))
    return models


def _public(hub_id: str, family: str, suites: tuple[str, ...], key: str | None) -> KnownModel:
    at_hand = "cached" if cached(hub_id) else "download, 15 GB"
    parameters = OPENVLA_PARAMETERS if family == OPENVLA else PUBLIC_PARAMETERS
    return KnownModel(hub_id, family, suites=suites, unnorm_key=key, parameters=parameters, at_hand=at_hand)
