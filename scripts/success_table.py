"""A Markdown table of kept runs, each paired with the first on the same init states.

    python scripts/success_table.py results/pruners/*.json

`lost` are episodes that the first run won and this one did not, `gained` the reverse; p is McNemar's exact test on them,
two-sided, and Holm's correction counts the rows.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from vla_bench.stats import holm, mcnemar, wilson

Outcomes = dict[tuple[str, int], str]  # (task, init state) -> s, f or e


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", help="of scripts/keep_run.py; the others are compared with the first")
    files = parser.parse_args().files
    print("\n".join(table([file.stem for file in files], [json.loads(file.read_text()) for file in files])))


def table(names: list[str], runs: list[dict]) -> list[str]:
    suites = list(runs[0]["totals"]["suites"])
    first, *others = map(outcomes, runs)
    pairs = [paired(first, other) for other in others]
    adjusted = holm([p for _, _, p in pairs])
    compared = [["", ""], *([f"{lost}, {gained}", f"{p:.2g}"] for (lost, gained, _), p in zip(pairs, adjusted, strict=True))]
    rows = [
        [name, *(won(run["totals"]["suites"][suite]) for suite in suites), *totals(run["totals"]), *last]
        for name, run, last in zip(names, runs, compared, strict=True)
    ]
    head = ["run", *suites, "all, 95 % interval", "tokens", "GFLOP", "lost, gained", "p"]
    return [line(head), line(["---", *["---:"] * (len(head) - 1)]), *map(line, rows)]


def line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def won(group: dict) -> str:
    return f"{group['successes']}/{group['successes'] + group['failures']}"


def totals(group: dict) -> list[str]:
    rate = wilson(group["successes"], group["successes"] + group["failures"])
    tokens, gflops = group["kept_tokens_mean"], group["gflops_mean"]  # None where no model acted
    return [str(rate), "" if tokens is None else f"{tokens:.1f}", "" if gflops is None else f"{gflops:.3f}"]


def outcomes(run: dict) -> Outcomes:
    return {
        (name, init): outcome
        for name, task in run["tasks"].items()
        for init, outcome in zip(task["init_states"], task["outcomes"], strict=True)
    }


def paired(first: Outcomes, other: Outcomes) -> tuple[int, int, float]:
    """Episodes lost and gained against the first run, and the exact p.  An error is a missing pair."""
    both = [(first[key], other[key]) for key in first.keys() & other.keys() if "e" not in (first[key], other[key])]
    lost, gained = both.count(("s", "f")), both.count(("f", "s"))
    return lost, gained, mcnemar(lost, gained)


if __name__ == "__main__":
    main()
