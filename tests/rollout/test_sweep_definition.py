"""The rows of a sweep, from TOML and from options; numbers of image tokens in place of `match:RUN`."""

import pytest

from vla_bench.errors import UsageError
from vla_bench.paper import POSITIONS
from vla_bench.policies.resolve import resolve_model
from vla_bench.pruners.registry import canonical
from vla_bench.rollout.matching import matched, with_numbers
from vla_bench.rollout.sweep_definition import defined, read_sweep_definition, shipped, sweep_of

FILE = """
title = "Which?"
model = "nano"
base = "dense"
[episodes]
init_states = "0-4"
[[rows]]
name = "dense"
model = "nano-oft"
decoding = "l1"
[[rows]]
name = "other"
model = ["{model}", "{model}-no-noise"]
[[rows]]
pruner = ["fastv", "inverse(fastv)"]
args = {keep = [0.25, "match:dense"], layer = 1}
"""


@pytest.fixture
def file(tmp_path):
    def write(text=FILE):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return str(path)

    return write


def test_lists_are_a_row_for_each_of_their_values(file):
    sweep = read_sweep_definition(file())
    rows = {row.name: (row.model, row.pruner) for row in sweep.rows}
    assert (sweep.name, sweep.title, sweep.base) == ("mine", "Which?", "dense")
    assert rows == {
        "dense": ("nano-oft", None),
        "other nano": ("nano", None),
        "other nano-lightvla-no-noise": ("nano-lightvla-no-noise", None),
        "fastv(keep=0.25)": ("nano", "fastv(keep=0.25,layer=1)"),
        "fastv(keep=match:dense)": ("nano", "fastv(keep=match:dense,layer=1)"),
        "inverse(fastv(keep=0.25))": ("nano", "inverse(fastv(keep=0.25,layer=1))"),
        "inverse(fastv(keep=match:dense))": ("nano", "inverse(fastv(keep=match:dense,layer=1))"),
    }
    assert sweep.rows[0].options == {"decoding": "l1"} and sweep.rows[-1].folder == "inverse-fastv-keep-match-dense"


def test_options_win_over_the_file(file):
    sweep = defined(file(), ["lightvla"], ["grid(keep=9)"], base="grid(keep=9)")
    assert [row.model for row in sweep.rows] == ["nano-oft", "lightvla", "lightvla-no-noise", *["lightvla"] * 5]
    assert sweep.rows[-1].name == sweep.base == "grid(keep=9)"
    assert sweep.selection({"suite": "goal", "trials": None}) == {"suite": "goal", "init_states": "0-4"}
    assert sweep.selection({"trials": 2}) == {"trials": 2}


def test_options_alone_are_models_by_pruners_by_arguments():
    sweep = sweep_of(["nano", "nano-oft"], ["none", "fastv"])
    assert [row.name for row in sweep.rows] == ["nano none", "nano fastv", "nano-oft none", "nano-oft fastv"]
    sweep = sweep_of(["nano"], ["fastv"], ["keep=9", "keep=11,layer=1"])
    assert [row.pruner for row in sweep.rows] == ["fastv(keep=9)", "fastv(keep=11,layer=1)"] and sweep.base == "fastv(keep=9)"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("base =", "bases ="), 'unknown key "bases".* Did you mean "base"'),
        (('base = "dense"', 'base = "danse"'), 'no row is called "danse".* Did you mean "dense"'),
        (('"0-4"', "4"), "init_states = 4 is no str"),
        (('decoding = "l1"', 'decoding = "l2"'), 'not "l2"'),
        (('name = "other"', "prunner = 1"), 'Did you mean "pruner"'),
        (('pruner = ["fastv", "inverse(fastv)"]', 'name = "x"'), "arguments of a pruner"),
        ((FILE, "title = 1"), "has no rows"),
        ((FILE, "= ="), "cannot be read as a sweep"),
    ],
)
def test_what_a_file_cannot_say_is_refused(file, change, said):
    with pytest.raises(UsageError, match=said):
        read_sweep_definition(file(FILE.replace(*change)))


def test_two_rows_of_one_folder_and_unknown_sweeps_are_refused():
    with pytest.raises(UsageError, match="two rows are called"):
        sweep_of(["nano"], ["fastv", "fastv"])
    with pytest.raises(UsageError, match='no sweep "control".* Did you mean "controls"'):
        read_sweep_definition("control")
    with pytest.raises(UsageError, match="is about one model"):
        defined("controls", ["nano", "nano-oft"])


@pytest.mark.parametrize("name", shipped())
def test_shipped_sweeps_name_models_and_pruners_that_there_are(name):
    for row in read_sweep_definition(name).rows:
        resolve_model(row.model)
        if row.pruner is not None:
            canonical(with_numbers(row.pruner, lambda run: 14.0))


def test_table_5_has_every_position_with_bundled_weights():
    pruners = {row.model.removeprefix("nano-") for row in read_sweep_definition("table5-star").rows}
    assert pruners & POSITIONS.keys() == {
        "lightvla",
        "lightvla-star-vision",
        "lightvla-star-llm1",
    }


def test_numbers_stand_in_place_of_runs():
    text = "inverse(fastv(keep=match:a/b.json,layer=1))"
    assert matched(text) == ("a/b.json",) and matched("fastv(keep=3)") == matched(None) == ()
    assert with_numbers(text, {"a/b.json": 13.6}.get) == "inverse(fastv(keep=14,layer=1))"
    assert with_numbers("sparsevlm(counts=match:own)", lambda run: 14.2) == "sparsevlm(counts=50/23/13)"
    with pytest.raises(UsageError, match="keeps 1.2 image tokens"):
        with_numbers(text, lambda run: 1.2)
