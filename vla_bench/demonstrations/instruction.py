"""The instruction of a demonstration file: what stands in it, in the words that evaluation uses.

Evaluation takes a task's instruction from its name, as the reference does.  LIBERO's own files have it in `problem_info`, too,
but as their BDDL files word it, and that differs for 29 of the 130 tasks: "pick the akita black bowl ..." where the name has
"pick up the black bowl ...".  A model that was trained on that wording would be asked in another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache

from vla_bench.suites import Task, load_suites

LONGEST = 500  # characters; LIBERO's longest instruction has 107
# LIBERO's BDDL wording -> the task's, where no rule leads from one to the other.
OTHER_WORDS = {
    "open the middle layer of the drawer": "open the middle drawer of the cabinet",
    "open the top layer of the drawer and put the bowl inside": "open the top drawer and put the bowl inside",
    "put the bowl on the top of the drawer": "put the bowl on top of the cabinet",
    "put the wine bottle on the top of the drawer": "put the wine bottle on top of the cabinet",
    "put the cream cheese on the bowl": "put the cream cheese in the bowl",
    "pick up the red mug and place it to the right compartment of the caddy": (
        "pick up the red mug and place it to the right of the caddy"
    ),
    "pick up the white mug and place it to the right compartment of the caddy": (
        "pick up the white mug and place it to the right of the caddy"
    ),
    "stack the black bowl in the middle on the black bowl at the front": "stack the middle black bowl on the back black bowl",
    "put the black bowl in the middle on the plate": "put the middle black bowl on the plate",
}
RULES = (  # Spatial and Object; applied where they lead to a task's instruction
    ("pick the ", "pick up the "),
    ("akita black bowl", "black bowl"),
    ("cookies box", "cookie box"),
    ("top layer of the wooden cabinet", "top drawer of the wooden cabinet"),
)


def instruction_of(stem: str, attributes: Mapping[str, object]) -> tuple[str, str | None]:
    """The instruction of a file, lower case, and what there is to say about it, or None.

    stem: the file's name without `_demo.hdf5`.  attributes: of the group `data`.
    The file's own word counts; its name only where it says nothing.
    """
    named = Task(0, stem).language.lower()
    if "problem_info" not in attributes:
        return named, None
    said = _said(attributes["problem_info"])
    if said is None:
        return named, f'no instruction in problem_info: "{named}", from the file\'s name'
    said = as_evaluated(said)
    if said == named:
        return said, None
    return said, f'instruction "{said}", from problem_info; by the file\'s name it were "{named}"'


def as_evaluated(instruction: str) -> str:
    """An instruction as evaluation words it, if it is the BDDL wording of one of LIBERO's tasks; any other as it is."""
    if instruction in OTHER_WORDS:
        return OTHER_WORDS[instruction]
    changed = instruction
    for bddl, name in RULES:
        changed = changed.replace(bddl, name)
    return changed if changed in _instructions() else instruction


@cache
def _instructions() -> frozenset[str]:
    return frozenset(task.language.lower() for suite in load_suites() for task in suite.tasks)


def _said(problem_info: object) -> str | None:
    """`language_instruction` of the JSON text `problem_info`: a string, or in some files a list of words or a quoted string."""
    try:
        text = problem_info.decode() if isinstance(problem_info, bytes) else problem_info
        said = json.loads(text)["language_instruction"]
        said = " ".join(said) if isinstance(said, list) else said
        said = re.sub(r"\s+", " ", said).strip().strip('"').strip().lower()
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return said if said and len(said) <= LONGEST and said.isprintable() else None
