import sys

import pytest

from vla_bench.cli import completion, main
from vla_bench.cli.own_command import own_command


@pytest.mark.parametrize(
    ("instead", "command"),
    [
        ({"--device": "cpu"}, "vla-bench eval --suite object --pruner 'fastv(layer=2)' --device cpu"),
        ({"--suite": None, "--pruner": "none"}, "vla-bench eval --device=cuda --pruner none"),
        ({"--device": None, "--suite": "goal"}, "vla-bench eval --pruner 'fastv(layer=2)' --suite goal"),
        ({"--random-weights": ""}, "vla-bench eval --suite object --device=cuda --pruner 'fastv(layer=2)' --random-weights"),
    ],
)
def test_the_user_s_command_with_other_options(instead, command):
    assert own_command(instead, ["eval", "--suite", "object", "--device=cuda", "--pruner", "fastv(layer=2)"]) == command


@pytest.mark.parametrize(
    ("arguments", "message", "fix"),
    [
        (
            "eval --suite object --suite goal --seed 1",
            "--suite takes one value, not object and goal",
            "--seed 1 --suite object,goal",
        ),
        ("latency --vs none --vs fastv --queries 3 --queries=4", "--queries takes one value", "--vs fastv --queries 4"),
        ("compare --by suite a b --by task", "--by takes one value", "compare a b --by task"),
        ("demos --learner nan --per-task 1", 'Did you mean "nano"?', "--per-task 1 --learner nano"),
        ("eval --model nan --suite object", 'unknown model "nan"', "eval --suite object --model nano"),
        ("latency --model 7b", "sizes alone", "latency --model nano"),
        ("ablate --model lightvla --noise-schedule none", "no weights of lightvla", "ablate --model lightvla --tokens 0.9k"),
        ("gate TYPO B", "TYPO does not exist", "ls "),
        ("eval --suite object --device gpu", "--device takes auto, cpu, cuda", "--device auto"),
    ],
)
def test_a_fix_is_the_user_s_own_command(monkeypatch, tmp_path, capsys, arguments, message, fix):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["vla-bench", *arguments.split()])
    monkeypatch.setattr("vla_bench.cli.ignore", lambda: None)  # the process of the tests goes on
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code in (2, 6) and message in said and fix in said.split("fix: ")[1]


def test_the_shell_is_offered_names():
    assert completion.suites("object,g") == ["object,goal"] and "all" in completion.suites("")
    assert completion.suites("all,pro-spatial-s") == ["all,pro-spatial-swap"] and {"pro", "libero-90"} <= set(
        completion.suites("")
    )
    assert completion.pruners("fast") == ["fastv"] and "paper" in completion.recipes("p")
    assert {"nano", "nano-lightvla", "lightvla", "expert"} <= set(completion.models(""))
