"""A report as one HTML file that needs no network: findings first, then plot, tables, episodes, and where it all comes from.

The plot and the charts are SVG that `page.js` draws, as a library for them would be larger than all the rest.  Text of run files
is data here: Jinja escapes it, the script gets it as JSON and sets it as text, and the page allows no other script or style.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

from vla_bench.errors import UsageError
from vla_bench.records import make_room, write_atomically
from vla_bench.report.figure import COLOURS
from vla_bench.report.page.episodes import browser
from vla_bench.report.page.findings import findings
from vla_bench.report.page.origin import commands, facts
from vla_bench.report.page.plotted import plot_data
from vla_bench.report.parts import Part
from vla_bench.results.reported import ReportedRun

OPEN_ROWS = 20  # of a table that is shown at once; longer ones unfold


def write_page(path: Path, runs: Sequence[ReportedRun], parts: Sequence[Part], command: str) -> None:
    """parts: of `report_parts`, for their tables and for what is missing.  Raises UsageError, RecordError."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder; --html takes the file to write", f"vla-bench report --html {path}/report.html ...")
    make_room(path)
    write_atomically(path, page(path.parent, runs, parts, command))


def page(folder: Path, runs: Sequence[ReportedRun], parts: Sequence[Part], command: str) -> str:
    """folder: of the file, from which films are linked."""
    from jinja2 import Environment, StrictUndefined

    texts = {name: files(__package__).joinpath(name).read_text(encoding="utf-8") for name in ("page.html", "page.css", "page.js")}
    browsed = browser(runs, folder)
    plot = plot_data(runs)
    data = {"runs": [run.name for run in runs], "colours": COLOURS, "plot": plot, "browser": asdict(browsed)}
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    written = template.from_string(texts["page.html"]).render(
        runs=runs,
        findings=findings(runs),
        parts=parts,
        plot=plot,
        browser=browsed,
        commands=commands(runs),
        facts=facts(runs),
        command=command,
        css=texts["page.css"],
        js=texts["page.js"],
        hashes={name: _hash(texts[name]) for name in ("page.css", "page.js")},
        data=_json(data),
        open_rows=OPEN_ROWS,
    )
    return written.encode("utf-8", "replace").decode()  # half a character, which JSON can hold and a file cannot


def _json(data: object) -> str:
    """JSON that cannot end the element that it stands in."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(text: str) -> str:
    """As a Content-Security-Policy names the script or style that it allows."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
