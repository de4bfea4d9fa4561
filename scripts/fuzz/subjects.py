"""What is changed: for each kind of file an undamaged set of them, and everything that reads it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from lerobot_sets import make_datasets, read_datasets
from wires import make_frames, read_frames

from vla_bench import results
from vla_bench.checkpoints.checkpoint import load, save
from vla_bench.checkpoints.config_file import ModelFamily
from vla_bench.demonstrations.attempts import AttemptRecord
from vla_bench.demonstrations.folder import DemoFolder
from vla_bench.demonstrations.recording import Ending
from vla_bench.doctor.run_files import examine
from vla_bench.errors import UsageError, VlaBenchError
from vla_bench.interface.config import DINOV2, SIGLIP, LLMConfig, TokenIds, VLAConfig
from vla_bench.interface.presets import SEVEN_B
from vla_bench.measure.recorded import SHIPPED, read_observations, write_observations
from vla_bench.model.images import Normalisation
from vla_bench.model.normalisation import choose_statistics
from vla_bench.model.tokenizer import Tokenizer, build_word_tokenizer
from vla_bench.model.vla import VLA
from vla_bench.planned import pack
from vla_bench.pruners.registry import make_pruner
from vla_bench.pruners.spec import parse_arguments
from vla_bench.queries import read_queries, write_queries
from vla_bench.query_record import QueryRecord
from vla_bench.records import Episode, EpisodeKey, Run, Status, read_actions, write_actions, write_episode, write_run
from vla_bench.report.runs_table import print_runs
from vla_bench.report.shown_episode import print_episode
from vla_bench.report.shown_run import print_run
from vla_bench.results.comparison import compare
from vla_bench.results.gate import GateRule, gate
from vla_bench.results.listed import list_runs
from vla_bench.results.merge import merge
from vla_bench.results.summary_file import read_folder, summary_of, write_summary
from vla_bench.results.whole_run import whole_run
from vla_bench.rollout.plan import worker_count
from vla_bench.rollout.selection import numbers, select, shard_numbers
from vla_bench.suites import load_suite, read_suite, suites_dir
from vla_bench.trace import Cut, QueryTrace
from vla_bench.training.log import read_log
from vla_bench.training.optimiser import Optimisers
from vla_bench.training.recipe import recipe
from vla_bench.training.shares import parse_shares
from vla_bench.training.state import load_state, save_state
from vla_bench.world.init_states import read_init_states
from vla_bench.world.libero import init_states_file

SHA = "0" * 64
EPISODES = 12


@dataclass(frozen=True)
class Subject:
    """One kind of files.

    make: writes them into an empty folder.  names: those that are changed.
    read: takes them as commands do, and returns the verdict.
    sealed: they have checksums, so that other bytes must not give another verdict.
    written: files that reading leaves, and that are removed before the next one.
    """

    name: str
    make: Callable[[Path], None]
    names: tuple[str, ...]
    read: Callable[[Path], object]
    sealed: bool = False
    written: tuple[str, ...] = ()

    def files(self, folder: Path) -> Iterable[str]:
        return [path.relative_to(folder).as_posix() for name in self.names for path in sorted(folder.glob(name))]

    def mend(self, folder: Path, files: dict[str, bytes]) -> None:
        for name in self.written:
            for path in folder.glob(name):
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.relative_to(folder).as_posix() not in files:
                    path.unlink()
        for name, data in files.items():
            if not (folder / name).is_file() or (folder / name).read_bytes() != data:
                (folder / name).write_bytes(data)


def a_run(folder: Path, losses: int, checksums: bool = True) -> Path:
    """Twelve episodes of one task with queries and actions."""
    folder.mkdir()
    keys = [EpisodeKey("object", 3, i) for i in range(EPISODES)]
    assets = {"name": "primitive", "sha256": SHA}
    packages = {"mujoco": "3.3.3", "robosuite": "1.4.0", "hf-libero": "0.1.4"}
    config = {"model": "noop", "seed": 0, "pruner": None, "policy": {"visual_tokens": 512}, "suites": {"object": SHA}}
    config |= {"assets": assets, "gl_backend": "egl", "drawn_by": "cpu", "packages": packages}
    environment = {"python": "3.11", "gpu": None, "cores": 2}
    run = Run(
        "id", "2026-01-01T00:00:00+00:00", "vla-bench eval", config, {"object": {"horizon": 280}}, assets, environment, None
    )
    write_run(folder, replace(run, status="complete", planned=pack(keys), checksums=checksums))
    trace = QueryTrace((Cut("before layer 2", 512, 128),), (b"\xf0\x0f",), None, {"share": 0.5})
    for i, key in enumerate(keys):
        query = QueryRecord.of(0, (60, 18), 28, {"vision": 3.5}, 12.5, trace, 4.0)
        write_queries(folder, key, [query, query])
        write_actions(folder, key, np.zeros((3, 7)))
        status = Status.FAILURE if i < losses else Status.SUCCESS
        write_episode(
            folder,
            Episode(
                *key[:2],
                "pick_up",
                key.init_state,
                0,
                "0" * 16,
                status,
                3,
                2,
                1,
                3.5,
                state_hash="1" * 16,
                metrics={"gflops_mean": 2.0},
            ),
        )
    return folder


def make_runs(folder: Path) -> None:
    a_run(folder / "base", 0)
    a_run(folder / "new", 10)


def make_unsealed_run(folder: Path) -> None:
    make_runs(folder)
    for name in ("new/episodes.jsonl", "new/queries.jsonl"):
        lines = [json.loads(line) for line in (folder / name).read_text().splitlines()]
        (folder / name).write_text(
            "".join(json.dumps({k: v for k, v in line.items() if k != "checksum"}) + "\n" for line in lines)
        )
    run, _ = read_folder(folder / "base")
    write_run(folder / "new", replace(run, checksums=False))


def look_at(folder: Path, new: Path) -> None:
    """As `runs`, `show` and pandas do; that they refuse a run says nothing of the other readers."""
    print_runs(*list_runs([folder]))
    try:
        whole = whole_run(new)
        print_run(whole)
        json.dumps(whole.to_dict(), allow_nan=False)
        print_episode(whole, *whole.episode("object-t3-i00"))
        results.load(new).queries  # noqa: B018
    except VlaBenchError:
        pass


def read_runs(folder: Path) -> object:
    base, new = folder / "base", folder / "new"
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        look_at(folder, new)
    examined = examine(new)
    str(examined.to_dict())
    read_queries(new)
    for key in [EpisodeKey("object", 3, 0)]:
        read_actions(new, key)
    rows = [row.to_dict() for row in compare([base, new])]
    merge([new])
    verdict = gate(base, new, GateRule())
    json.dumps(summary_of(*read_folder(new)), allow_nan=False)
    return verdict, rows


def make_summaries(folder: Path) -> None:
    for name, losses in (("base", 0), ("new", 10)):
        write_summary(folder / f"{name}.json", summary_of(*read_folder(a_run(folder / name, losses))))
        shutil.rmtree(folder / name)


def read_summaries(folder: Path) -> object:
    base, new = folder / "base.json", folder / "new.json"
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        look_at(folder, new)
    str(examine(new).to_dict())
    rows = [row.to_dict() for row in compare([base, new])]
    verdict = gate(base, new, GateRule())
    return verdict, rows


def make_demos(folder: Path) -> None:
    DemoFolder(folder, {"seed": 0, "suites": {"object": SHA}}, "vla-bench demos").close()
    attempts = [AttemptRecord("object", 0, i, 7 + i, Ending.FAILURE, steps=280) for i in range(4)]
    (folder / "attempts.jsonl").write_text("".join(a.to_json() + "\n" for a in attempts))


def read_demos(folder: Path) -> object:
    from vla_bench.demonstrations.attempts import TaskProgress

    suite = load_suite("object")
    demos = DemoFolder(folder, {"seed": 0, "suites": {"object": SHA}}, "vla-bench demos")
    try:
        progress = TaskProgress(suite, suite.tasks[0], 1)
        demos.resume([progress])
        demos.others([progress])
        return progress.rate, progress.next(())
    finally:
        demos.close()


TOKENS = TokenIds(bos=1, stop=2, pad=312, space=5, actions_end=312)
TINY = VLAConfig(
    name="tiny",
    image_size=28,
    dino=replace(DINOV2, width=16, depth=3, heads=2),
    siglip=replace(SIGLIP, width=24, depth=2, heads=2),
    llm=LLMConfig(width=16, layers=2, heads=2, mlp=40, vocab=320),
    tokens=TOKENS,
)
STATISTICS = {
    "libero_object_no_noops": {
        "action": {"q01": [-0.5] * 7, "q99": [0.25] * 7, "mask": [True] * 6 + [False]},
        "proprio": {"q01": [-0.5] * 8, "q99": [0.25] * 8},
    }
}


def make_checkpoint(folder: Path) -> None:
    torch.manual_seed(0)
    tokenizer = folder / "tokenizer.json"
    sentence = "In: What action should the robot take to pick up the milk?\nOut:"
    build_word_tokenizer([sentence], TOKENS).save(str(tokenizer))
    options = {"statistics": STATISTICS, "normalisation": Normalisation(), "kind": ModelFamily.OPENVLA_OFT}
    save(folder / "own", VLA(TINY).eval(), **options, tokenizer_file=tokenizer)
    save(folder / "shards", VLA(TINY).eval(), **options, tokenizer_file=tokenizer, max_shard_size=40_000)
    tokenizer.unlink()


def read_checkpoint(folder: Path) -> object:
    for name in ("own", "shards"):
        loaded = load(folder / name, device="cpu")
        choose_statistics(loaded.statistics, "libero_object")
        Tokenizer(loaded.tokenizer_file, loaded.config.tokens).prompt("pick up the milk")
    return loaded.sha256


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)


def make_training(folder: Path) -> None:
    module, plan = Small(), recipe("nano-oft")
    optimisers = Optimisers(plan, module)
    module.layer(torch.ones(1, 3)).sum().backward()
    optimisers.step(1.0)
    save_state(folder, plan, {"data": SHA}, 1, module, optimisers)
    (folder / "log.csv").write_text("step,loss\n1,0.5\n2,0.25\n")


def read_training(folder: Path) -> object:
    module, plan = Small(), recipe("nano-oft")
    step = load_state(folder, plan, {"data": SHA}, module, Optimisers(plan, module))
    return step, read_log(folder / "log.csv")


PRUNERS = (
    "fastv(layer=3, keep=0.25)",
    "inverse(score-norm(keep=0.5))",
    "plus-random(lightvla, seed=3)",
    "grid(keep=64)",
    "sparsevlm(profile=release)",
    "vla-cache",
    "divprune(keep=0.1)",
    "spvla",
    "vla-adp",
    "efficientvla-tokens",
    "pool(keep=64)",
)


def argument(path: Path) -> str:
    """An argument of the command line, which no shell lets be longer."""
    return path.read_bytes()[:100_000].decode(errors="replace") if path.is_file() and path.stat().st_size < 10**6 else "1"


def make_pruners(folder: Path) -> None:
    for i, text in enumerate(PRUNERS):
        (folder / f"{i}.txt").write_text(text)
    (folder / "arguments.toml").write_text("layer = 3\nkeep = 0.25\n")


def read_pruners(folder: Path) -> object:
    for i in range(len(PRUNERS)):
        text = argument(folder / f"{i}.txt")
        try:
            pruner = make_pruner(text)
        except UsageError:
            continue
        if pruner is not None:
            pruner.attach(SEVEN_B)
    return make_pruner("fastv", parse_arguments(str(folder / "arguments.toml"))).label


OPTIONS: dict[str, tuple[str, Callable[[str], object]]] = {
    "workers": ("3", lambda text: worker_count(text, 4, type("Pack", (), {"embedded": True}))),
    "init-states": ("0-9,12", lambda text: numbers(text, 50, "--init-states")),
    "tasks": ("0,3-4", lambda text: select([load_suite("object")], text, "0-1", None)),
    "trials": (
        "3",
        lambda text: select([load_suite("object")], None, None, int(text) if text.isascii() and text.isdigit() else 1),
    ),
    "shard": ("2/8", shard_numbers),
    "shares": ("long=3,object=1", lambda text: parse_shares(text)),
    "alpha": ("0.05", lambda text: GateRule(alpha=_number(text))),
    "margin": ("0.02", lambda text: GateRule(margin=_number(text))),
}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.05


def make_options(folder: Path) -> None:
    for name, (text, _) in OPTIONS.items():
        (folder / name).write_text(text)


def read_options(folder: Path) -> object:
    found = []
    for name, (_, read) in OPTIONS.items():
        found.append(read(argument(folder / name)))
    return len(found)


def make_suite(folder: Path) -> None:
    shutil.copy(suites_dir() / "object.toml", folder)
    shutil.copy(suites_dir() / "about.toml", folder)


def make_arrays(folder: Path) -> None:
    suite = load_suite("object")
    shutil.copy(init_states_file(suite, suite.tasks[0]), folder / "init")
    np.savez(folder / "init.npz", states=read_init_states(folder / "init")[:3])  # as LIBERO-PRO has them
    write_observations(folder / "observations.npz", read_observations(SHIPPED, suites=("object",))[:1])


def read_arrays(folder: Path) -> object:
    states, more = read_init_states(folder / "init"), read_init_states(folder / "init.npz")
    return states.shape, more.shape, len(read_observations(folder / "observations.npz"))


SUBJECTS = (
    Subject("run", make_runs, ("new/run.json", "new/*.jsonl", "new/actions/*i00.npy"), read_runs, sealed=True),
    Subject("old-run", make_unsealed_run, ("new/run.json", "new/*.jsonl"), read_runs),
    Subject("summary", make_summaries, ("new.json",), read_summaries, sealed=True),
    Subject("demos", make_demos, ("demos.json", "attempts.jsonl"), read_demos, written=(".lock",)),
    Subject(
        "checkpoint",
        make_checkpoint,
        ("own/*.json", "own/*.safetensors", "own/*.pt", "shards/*.json", "shards/*"),
        read_checkpoint,
    ),
    Subject("training", make_training, ("state.pt", "log.csv"), read_training),
    Subject("pruner", make_pruners, ("*.txt", "*.toml"), read_pruners),
    Subject("options", make_options, ("*",), read_options),
    Subject("suite", make_suite, ("object.toml", "about.toml"), lambda folder: read_suite(folder / "object.toml").protocol),
    Subject("arrays", make_arrays, ("init", "init.npz", "observations.npz"), read_arrays),
    Subject("wires", make_frames, ("*.msgpack",), read_frames),
    Subject(
        "datasets",
        make_datasets,
        tuple(f"*/{name}" for name in ("meta/*.json", "meta/episodes/*/*.parquet", "data/*/*.parquet", "videos/*/*/*.mp4")),
        read_datasets,
    ),
)
