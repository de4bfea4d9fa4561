"""The instruction of a file: its own word, as evaluation words it."""

import json
import re

import numpy as np
import pytest

from vla_bench.demonstrations.instruction import as_evaluated, instruction_of
from vla_bench.suites import Task
from vla_bench.world.libero import libero_root

NAMED = "open_the_middle_drawer_of_the_cabinet"


def said(instruction):
    return {"problem_info": json.dumps({"language_instruction": instruction})}


def test_every_wording_of_libero_s_bddl_files_is_what_evaluation_says():
    """LIBERO's published files have these in problem_info; the reference trains on the names."""
    files = sorted((libero_root() / "bddl_files").glob("libero_*/*.bddl"))
    assert len(files) == 130
    for file in files:
        wording = " ".join(re.search(r"\(:language\s+([^)]*)\)", file.read_text()).group(1).lower().split())
        named = Task(0, file.stem).language.lower()
        assert as_evaluated(wording) == named and as_evaluated(named) == named
        assert instruction_of(file.stem, said(wording)) == (named, None)  # in silence
        assert instruction_of("task_3", said(wording))[0] == named


@pytest.mark.parametrize("instruction", ["Stack the Mugs", ["stack", "the", "mugs"], '"stack the mugs"', " stack\n the  mugs "])
def test_the_file_s_word_counts_before_its_name(instruction):
    found, about = instruction_of(NAMED, said(instruction))
    assert found == "stack the mugs" and "stack the mugs" in about and "middle drawer of the cabinet" in about


def test_pick_the_is_left_alone_where_it_is_no_wording_of_libero_s():
    assert instruction_of("x", said("pick the red pen"))[0] == "pick the red pen"


def test_bytes_are_text():
    assert instruction_of("x", {"problem_info": np.bytes_(said("go")["problem_info"])})[0] == "go"


@pytest.mark.parametrize(
    "attribute",
    ["no JSON", "[1]", "{}", json.dumps({"language_instruction": 3}), 5, np.zeros(3), "[" * 10**5, *said(" ").values()],
)
def test_where_the_file_says_nothing_its_name_counts(attribute):
    found, about = instruction_of(NAMED, {"problem_info": attribute})
    assert found == NAMED.replace("_", " ") and "no instruction in problem_info" in about
    assert instruction_of(NAMED, {}) == (found, None)
