"""A recorded run whose queries are counted or replayed: its model, and its queries with a forward pass.

Needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vla_bench.checkpoints.identity import identity
from vla_bench.errors import NotComparableError, RecordError, UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.presets import PRESETS
from vla_bench.measure.sizes import config_of
from vla_bench.policies.resolve import ModelKind, resolve_model
from vla_bench.queries import read_queries
from vla_bench.query_record import QueryRecord
from vla_bench.records import Run, Status, read_episodes, read_run
from vla_bench.suites import suite_names


def recorded(folder: Path) -> Run:
    """`run.json` of a run folder.  Raises RecordError."""
    run = read_run(folder)
    if run is None:
        raise RecordError(f"{folder} holds no run: there is no run.json", f"vla-bench eval --out {folder} ...")
    return run


def recorded_passes(folder: Path, suites: Sequence[str] | None = None) -> list[QueryRecord]:
    """The queries with image tokens and a forward pass, in the order of the episodes.

    Unfinished episodes and episodes that ended in an error are left out, and so are queries answered with a cached action.
    suites: names, None for all.  Raises RecordError, and UsageError where no query is left.
    """
    recorded(folder)
    ended = {e.key for e in read_episodes(folder) if e.status is not Status.ERROR and (suites is None or e.suite in suites)}
    queries = [query for key, own in read_queries(folder).items() if key in ended for query in own]
    passes = [query for query in queries if query.kept is not None and query.prompt_tokens is not None and query.gflops != 0]
    if not passes:
        of = "" if suites is None or set(suites) == set(suite_names()) else f" of suite {', '.join(suites)}"
        raise UsageError(
            f"{folder} has no query{of} with image tokens in an episode that ended",
            f"vla-bench eval --model nano --out {folder.with_name(folder.name + '-nano')}",
        )
    return passes


def model_of(run: Run, folder: Path, given: str | None) -> tuple[str, VLAConfig]:
    """Name and sizes of a run's model.

    given: the user's name for it; None for the recorded name.
    Raises NotComparableError for another model than the run's, UsageError where its sizes are not known here.
    """
    own = run.config.get("model", "")
    if given not in (None, own) and not _the_same(given, own, run):
        raise NotComparableError(f"{folder} is a run of {own}, not of {given}", f"vla-bench flops --from-run {folder}")
    name = own if given is None else given
    try:
        config = config_of(name)
    except UsageError as error:
        why = f"the sizes of {own}, the model of run {folder}, cannot be read: {error.message}"
        raise UsageError(why, f"vla-bench flops --from-run {folder} --model FOLDER, where its checkpoint is now") from error
    policy = run.config.get("policy") or {}
    config = _as_run(config, policy)
    visual = policy.get("visual_tokens", config.visual_tokens)
    if visual != config.visual_tokens:
        raise NotComparableError(
            f"{folder} is a run with {visual} image tokens a query, and {name} has {config.visual_tokens}",
            f"vla-bench flops --from-run {folder} --model FOLDER, where its checkpoint is now",
        )
    return name, config


def _as_run(config: VLAConfig, policy: Mapping[str, object]) -> VLAConfig:
    """With what the run was told about the model, or an adapter added to it; runs of earlier versions recorded none of it."""
    recorded = {name: policy[name] for name in ("cameras", "center_crop", "proprio_dim") if name in policy}
    decoding = policy.get("decoding")
    if decoding != "ar" and "chunk" in policy:
        recorded["chunk"] = policy["chunk"]
    return replace(config, l1_head=config.l1_head or decoding == "l1", **recorded)


def _the_same(given: str, own: str, run: Run) -> bool:
    """Whether `given` is another name for the run's model: its checkpoint by the hash, or a preset by the sizes."""
    try:
        resolved = resolve_model(given, presets=True)
    except UsageError:  # no name of a model
        return False
    if resolved.place is not None and (folder := Path(resolved.place).expanduser()).is_dir():
        return identity(folder) == (run.config.get("policy") or {}).get("checkpoint")
    if resolved.kind is not ModelKind.PRESET:
        return False
    try:
        return replace(config_of(own), name=given) == PRESETS[given]
    except UsageError:  # the checkpoint is on another machine; its image tokens are compared in any case
        return True
