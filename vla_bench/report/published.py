"""The paper's rows beside ours: every printed cell, the rows marked with a dagger, and notes where the tables contradict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from vla_bench import paper
from vla_bench.paper_notes import EVERY, footnotes
from vla_bench.report.latex import marked
from vla_bench.stats import wilson

DAGGER = "†"
EPISODES = 500  # of a suite, of the paper's own rows
BESIDE = (
    f"{DAGGER} as printed in the LightVLA paper (arXiv 2509.12594): another model, on LIBERO's own assets; a run of the nano "
    "models or on other assets is not comparable with it"
)


def below() -> list[str]:
    """What published rows lack."""
    own = paper.table1()["LightVLA"].success["spatial"]
    rate = wilson(round(own / 100 * EPISODES), EPISODES)
    interval = f"{own} is {100 * (rate.low or 0):.1f} to {100 * (rate.high or 0):.1f}"
    return [
        BESIDE,
        f"published rates have no interval; with {EPISODES} episodes a suite, as in the paper's own rows, {interval}",
    ]


class Published:
    """The rows of one of the paper's tables; gives each footnote its number when a cell first needs it."""

    def __init__(self, table: str):
        self.table = table
        self.notes: dict[int, str] = {}

    def column(self, column: str, name: str) -> str:
        """A heading, with the numbers of the footnotes that are about every row."""
        return self.cell(EVERY, column, name)

    def cell(self, row: str, column: str, text: str) -> str:
        """A cell as printed, "-" where it is empty, with the numbers of its footnotes."""
        return marked(text or "-", list(self._numbers(row, column)))

    def cells(self, row: str, columns: Sequence[str], texts: Sequence[str]) -> list[str]:
        return [self.cell(row, column, text) for column, text in zip(columns, texts, strict=True)]

    def _numbers(self, row: str, column: str) -> Iterator[int]:
        for note in footnotes():
            if note.at(self.table, row, column):
                known = {text: number for number, text in self.notes.items()}
                number = known.get(note.text, len(self.notes) + 1)
                self.notes[number] = note.text
                yield number


def published_rates(success: Mapping[str, float], average: float) -> dict[str, object]:
    """For a CSV: fractions by suite, and over all."""
    return {suite: round(rate / 100, 4) for suite, rate in success.items()} | {"all": round(average / 100, 4)}
