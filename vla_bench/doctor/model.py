"""Checks of the model of `--model`: its family, its cameras, and its action statistics.  Reads no weights, downloads nothing.

torch is imported by the checks alone: a torch that cannot be imported is a finding.
"""

from __future__ import annotations

from pathlib import Path

from vla_bench.checkpoints.config_file import ConfigFile, read_config_file
from vla_bench.checkpoints.files import origin
from vla_bench.checkpoints.hub import is_hub_id, local_folder
from vla_bench.checkpoints.known import cached
from vla_bench.doctor.case import Case, need
from vla_bench.doctor.check import Check, Seen, fail, ok, skip, warn
from vla_bench.policies.resolve import ModelKind, resolve_model

NONE_ASKED = "no --model was given"


def _source(case: Case) -> str | Seen:
    """Folder or hub id of the checkpoint; a skip where there is none to look at.  Raises VlaBenchError."""
    if case.model is None:
        return skip(NONE_ASKED)
    names = [suite.name for suite in need(case.suites)]
    resolved = resolve_model(case.model, suites=names)
    if resolved.kind is not ModelKind.CHECKPOINT:
        return skip(f"{resolved.name} is a {resolved.kind.value} without a checkpoint")
    source = resolved.checkpoint(names)
    if is_hub_id(source) and not cached(source):
        return skip(f"{source} is not on this machine; `hf download {source}` fetches it")
    return source


def _config(source: str) -> tuple[Path, ConfigFile]:
    folder = local_folder(source)
    return folder, read_config_file(folder)


def _checkpoint(case: Case) -> Seen:
    if isinstance(source := _source(case), Seen):
        return source
    from vla_bench.checkpoints.choices import choose_kind

    folder, file = _config(source)
    kind, reason = choose_kind(file, folder, source if is_hub_id(source) else origin(folder))
    return ok(f"{kind.value} ({reason}) in {folder}")


def _cameras(case: Case) -> Seen:
    if isinstance(source := _source(case), Seen):
        return source
    cameras = _config(source)[1].config.cameras
    for suite in need(case.suites):
        if cameras > len(suite.cameras):
            what = f"the model reads {cameras} images, and suite {suite.name} has the cameras {', '.join(suite.cameras)}"
            return fail(what, "vla-bench eval with a suite that has them, or another --model")
        if cameras < len(suite.cameras):
            what = f"the model reads {cameras} of the suite's {len(suite.cameras)} images: {', '.join(suite.cameras[:cameras])}"
            return warn(f"{what}; the published LIBERO checkpoints read both", "vla-bench models")
    return ok(f"{cameras}, as the suite has them")


def _unnorm_key(case: Case) -> Seen:
    if isinstance(source := _source(case), Seen):
        return source
    from vla_bench.checkpoints.choices import statistics_table
    from vla_bench.model.normalisation import choose_statistics

    folder, file = _config(source)
    table, place = statistics_table(file, folder)
    found = []
    for suite in need(case.suites):
        key, entry, reason = choose_statistics(table, suite.data_name)
        if file.config.proprio_dim and entry.proprio_low is None:
            what = f"the model reads proprioception, and {key} in {place} has none"
            return fail(what, "vla-bench eval --unnorm-key KEY ..., with a key that has it")
        found.append(f"{suite.name}: {key} ({reason})")
    return ok("; ".join(found))


CHECKS = (
    Check("checkpoint", "a model of another family, or one that lacks its action head", _checkpoint),
    Check("cameras", "`the model needs 2 cameras`; success near 0 without the wrist", _cameras),
    Check("unnorm key", "the arm moves plausibly and wrongly: action statistics of another suite", _unnorm_key),
)
