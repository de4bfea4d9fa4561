"""The documentation is true where a machine can tell: its commands parse, and what it names and links to exists."""

import itertools
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer

from vla_bench.cli import app

from .conftest import ROOT
from .pages import FENCE, PAGES, read

LEFT_OUT = "..."  # in a command: options that the reader adds
INLINE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NAMED = re.compile(r"(?<![\w./])(?:vla_bench|scripts|tests|suites)/[\w./*-]*[\w*]")

all_pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def without_fences(text: str) -> str:
    return FENCE.sub("", text)


def command_lines(text: str) -> Iterator[str]:
    """Lines of code blocks, and code within a sentence."""
    fenced = [body for language, body in FENCE.findall(text) if language in ("", "sh", "bash", "console")]
    text = without_fences(text)
    indented = [line for line in text.replace("\\\n", " ").splitlines() if line.startswith("    ")]
    yield from itertools.chain("\n".join(fenced).replace("\\\n", " ").splitlines(), indented)
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    yield from (" ".join(code.split()) for code in INLINE.findall(prose))


def arguments(line: str) -> list[str] | None:
    """Those of vla-bench, also where torchrun starts it; None for another command."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # no command of a shell
        return None
    start = next((i for i, word in enumerate(words) if word.removeprefix(".venv/bin/") == "vla-bench"), None)
    if start is None and words[:1] == ["torchrun"] and "vla_bench" in words:
        start = words.index("vla_bench")
    if start is None or not all(re.match(r"[A-Z_]+=|do$", word) for word in words[:start] if words[0] != "torchrun"):
        return None
    words = itertools.takewhile(lambda word: word not in ("&&", "|", ";", ">"), words[start + 1 :])
    return [each for word in words for each in braces(word)]


def braces(word: str) -> list[str]:
    """`a{b,c}` as a shell expands it."""
    found = re.fullmatch(r"(.*?)\{([^{}]*,[^{}]*)\}(.*)", word)
    if found is None:
        return [word]
    before, parts, after = found.groups()
    return [each for part in parts.split(",") for each in braces(before + part + after)]


@cache
def program():
    return typer.main.get_command(app)


def check(words: list[str]) -> str | None:
    """Why the command line does not parse; None where it does."""
    open_end = LEFT_OUT in words
    words = [word for word in words if word != LEFT_OUT]
    if len(words) == 0 or words[0] == "COMMAND":
        return None
    try:
        context = program().make_context("vla-bench", list(words))
        command = program().get_command(context, words[0])
        if command is None:
            return f"there is no command {words[0]}"
        if len(words) > 1:  # else the name alone, in a sentence
            command.make_context(words[0], words[1:])
    except (typer.Exit, SystemExit):  # --help and --version
        return None
    except Exception as error:  # noqa: BLE001  which of the parser's errors it is does not matter
        if not (open_end and type(error).__name__ == "MissingParameter"):
            return f"{type(error).__name__}: {getattr(error, 'message', error)}"
    return None


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {slug(line.lstrip("#").strip()) for line in without_fences(read(page)).splitlines() if line.startswith("#")}


@all_pages
def test_commands_parse(page):
    wrong = []
    for line in command_lines(read(page)):
        words = arguments(line)
        if words is not None and (why := check(words)) is not None:
            wrong.append(f"{line.strip()}\n    {why}")
    assert not wrong, "\n".join(wrong)


@all_pages
def test_links_lead_somewhere(page):
    dead = []
    for target in LINK.findall(without_fences(read(page))):
        path, _, anchor = target.partition("#")
        if path.startswith(("http://", "https://")):
            continue
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            dead.append(target)
    assert not dead, f"{dead}"


@all_pages
def test_named_files_exist(page):
    named = {name for name in NAMED.findall(read(page)) if "NAME" not in name}
    assert not [name for name in sorted(named) if not any(ROOT.glob(name))]


def test_make_targets_exist():
    targets = set(re.findall(r"^([\w-]+):", read(ROOT / "Makefile"), re.MULTILINE))
    named = {word for page in PAGES for line in command_lines(read(page)) for word in re.findall(r"^\s*make ([a-z-]+)", line)}
    assert named and named <= targets


def test_the_readme_is_short_and_begins_with_the_main_commands():
    text = read(ROOT / "README.md")
    assert len(text.splitlines()) < 150
    for command in (
        "make eval",
        "make test",
        "vla-bench eval --suite long",
        "vla-bench flops",
        "vla-bench ablate --noise-schedule none",
    ):
        assert command in "\n".join(text.splitlines()[:30])


def test_every_command_of_the_program_is_in_the_documentation():
    used = {words[0] for page in PAGES for line in command_lines(read(page)) if (words := arguments(line))}
    assert set(program().commands) <= used


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("vla-bench eval --suite $suite --model MODEL  # comment", ["eval", "--suite", "$suite", "--model", "MODEL"]),
        (".venv/bin/vla-bench compare {a,b}.json", ["compare", "a.json", "b.json"]),
        ('vla-bench agree --pruner "inverse(fastv)" && ls', ["agree", "--pruner", "inverse(fastv)"]),
        ("OMP_NUM_THREADS=1 vla-bench verify", ["verify"]),
        ("torchrun --nproc-per-node 8 -m -- vla_bench train --data DIR", ["train", "--data", "DIR"]),
        ("python scripts/kill_storm.py", None),
        ("pip install vla-bench", None),
        ("it's no command", None),
    ],
)
def test_command_lines_are_read_as_a_shell_does(line, words):
    assert arguments(line) == words


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("vla-bench evaluate --suite long", "no command evaluate"),
        ("vla-bench eval --suites long", "NoSuchOption"),
        ("vla-bench eval --trials many", "BadParameter"),
        ("vla-bench eval --device tpu", "--device takes auto, cpu, cuda"),
        ("vla-bench train --recipe paper", "MissingParameter"),
        ("vla-bench gate RUN", "MissingParameter"),
        ("vla-bench models everything", "UsageError"),
    ],
)
def test_wrong_commands_are_found(line, why):
    assert why in check(arguments(line))


@pytest.mark.parametrize(
    "line", ["vla-bench", "vla-bench --version", "vla-bench gate", "vla-bench eval --help", "vla-bench train --recipe paper ..."]
)
def test_mentions_and_open_ends_pass(line):
    assert check(arguments(line)) is None
