"""The pages of the documentation, and the blocks of code in them."""

import re
from pathlib import Path

from .conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("results/**/*.md")])]
PAGES = [page for page in PAGES if "runs" not in page.relative_to(ROOT).parts]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")
