"""Recorded commands: read, joined again, and without the folders of the machine that they ran on."""

import shlex

import pytest

from vla_bench.results.recorded_command import commands, joined, without_folders

TWO = "vla-bench eval --suite long --out 'a b' && vla-bench eval --suite goal"


def test_commands_of_a_merged_run_are_told_apart():
    assert commands(TWO) == [shlex.split(part) for part in TWO.split(" && ")] and joined(commands(TWO)) == TWO


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("vla-bench eval --out /home/me/runs/1 --model /data/oft/", "vla-bench eval --out 1 --model oft"),
        ("vla-bench eval --out=/srv/run --suite long", "vla-bench eval --out=run --suite long"),
        (
            "vla-bench eval --out '/home/my self/a run' && vla-bench eval --out x/y",
            "vla-bench eval --out 'a run' && vla-bench eval --out x/y",
        ),
        ("vla-bench eval --model owner/name --pruner-args keep=1/2", "vla-bench eval --model owner/name --pruner-args keep=1/2"),
        ("vla-bench eval --model ws://127.0.0.1:8000", "vla-bench eval --model ws://127.0.0.1:8000"),
        ("no shell's", "no shell's"),
    ],
)
def test_no_folder_of_a_machine_is_left(given, kept):
    assert without_folders(given) == kept
