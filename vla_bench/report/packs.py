"""The listing of asset packs for people."""

from __future__ import annotations

from vla_bench.tables import print_table
from vla_bench.terminal import show
from vla_bench.world.installed import Installed


def print_packs(rows: list[Installed], auto: str) -> None:
    """A table, then the folders, what is wrong and the commands that help; `auto` is what `--assets auto` takes."""
    cells = [[row.pack or "-", row.source, row.state, "-" if row.size is None else f"{row.size / 1e6:,.1f} MB"] for row in rows]
    print_table(("pack", "source", "state", "size"), cells)
    for row in rows:
        about = {"folder": row.folder, "why": row.why, "get": row.get}
        lines = [f"  {name:6}  {value}" for name, value in about.items() if value]
        if lines:
            show("\n".join([row.source, *lines]))
    show(f"--assets auto takes {auto}")
