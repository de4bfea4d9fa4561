"""Scripts and plug-ins written for version 0.1 still find what they import, and are told where it is now."""

import importlib
import subprocess
import sys

import pytest

from vla_bench.moved import MOVED


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_is_the_new_module(old):
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=MOVED[old]):
        module = importlib.import_module(old)
    assert module is importlib.import_module(MOVED[old]) and module.__name__ == module.__spec__.name == MOVED[old]


def test_no_new_name_is_an_old_one():
    assert not MOVED.keys() & set(MOVED.values())


def test_a_plug_in_of_version_0_1_still_works():
    code = """
from vla_bench.pruners.base import LLM_INPUT, Pruner, Selection, View, before_layer
"""
    done = subprocess.run([sys.executable, "-W", "error::DeprecationWarning", "-c", code], capture_output=True, text=True)
    assert "vla_bench.pruners.base is vla_bench.interface.everything" in done.stderr
