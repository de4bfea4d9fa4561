"""A recorded run, for what is counted or replayed from it: which model answered, and which of its answers took a pass.

Needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vla_bench.checkpoints.files import identity
from vla_bench.errors import NotComparableError, RecordError, UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.presets import PRESETS
from vla_bench.measure.sizes import config_of
from vla_bench.policies.resolve import ModelKind, resolve_model
from vla_bench.queries import QueryRecord, read_queries
from vla_bench.records import Run, Status, read_episodes, read_run
from vla_bench.suites import suite_names


def recorded(folder: Path) -> Run:
    """`run.json` of a run folder.  Raises RecordError."""
    run = read_run(folder)
    if run is None:
        raise RecordError(f"{folder} holds no run: there is no run.json", f"vla-bench eval --out {folder} ...")
    return run


def passes(folder: Path, suites: Sequence[str] | None = None) -> list[QueryRecord]:
    """The answers that image tokens went through the model for, in the order of the episodes.

    Episodes that were cut off or ended in an error are left out, and so are answers that a pruner gave in the model's place.
    suites: whose; None for all.  Raises RecordError, and UsageError where nothing is left.
    """
    recorded(folder)
    ended = {e.key for e in read_episodes(folder) if e.status is not Status.ERROR and (suites is None or e.suite in suites)}
    answers = [answer for key, found in read_queries(folder).items() if key in ended for answer in found]
    found = [answer for answer in answers if answer.kept is not None and answer.prompt_tokens is not None and answer.gflops != 0]
    if not found:
        of = "" if suites is None or set(suites) == set(suite_names()) else f" of suite {', '.join(suites)}"
        raise UsageError(
            f"{folder} has no query{of} with image tokens in an episode that ended",
            f"vla-bench eval --model nano --out {folder.with_name(folder.name + '-nano')}",
        )
    return found


def model_of(run: Run, folder: Path, asked: str | None) -> tuple[str, VLAConfig]:
    """The name and the sizes of the model that a run is of.

    asked: what the user says that it is; None: as recorded.
    Raises NotComparableError for another model than the run's, UsageError where its sizes are not known here.
    """
    own = str(run.config["model"])
    if asked not in (None, own) and not _the_same(asked, own, run):
        raise NotComparableError(f"{folder} is a run of {own}, not of {asked}", f"vla-bench flops --from-run {folder}")
    name = own if asked is None else asked
    try:
        config = config_of(name)
    except UsageError as error:
        why = f"the sizes of {own}, whose run {folder} is, cannot be read: {error.message}"
        raise UsageError(why, f"vla-bench flops --from-run {folder} --model FOLDER, where its checkpoint is now") from error
    visual = run.config["policy"].get("visual_tokens", config.visual_tokens)
    if visual != config.visual_tokens:
        raise NotComparableError(
            f"{folder} is a run with {visual} image tokens a query, and {name} has {config.visual_tokens}",
            f"vla-bench flops --from-run {folder} --model FOLDER, where its checkpoint is now",
        )
    return name, config


def _the_same(asked: str, own: str, run: Run) -> bool:
    """Whether `asked` is another name for the run's model: its checkpoint by the hash, or a preset by the sizes."""
    try:
        found = resolve_model(asked, presets=True)
    except UsageError:  # what stands for nothing is not this
        return False
    if found.place is not None and (folder := Path(found.place).expanduser()).is_dir():
        return identity(folder) == run.config["policy"].get("checkpoint")
    if found.kind is not ModelKind.PRESET:
        return False
    try:
        return replace(config_of(own), name=asked) == PRESETS[asked]
    except UsageError:  # the checkpoint is on another machine; its image tokens are compared in any case
        return True
