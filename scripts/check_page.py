"""Test a page of `vla-bench report --html` in Chromium: no error, no request but for films, filters, keys, light, dark, narrow.

pip install playwright                       # not of the project's environment; and Debian's package chromium
python scripts/check_page.py report.html --pictures screenshots
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
from pathlib import Path
from urllib.parse import urlparse

from playwright.sync_api import Page, sync_playwright

SIZES = {"desktop": (1280, 900), "narrow": (360, 740)}
ANY = ""


def expected(
    data: dict, suite: str = ANY, task: str = ANY, run: str = ANY, status: str = ANY, winner: str = ANY, film=False
) -> int:
    """How many episodes the filters are to leave, worked out from the page's data on its own."""
    browser, count = data["browser"], 0
    of = [int(run)] if run else range(len(data["runs"]))
    for place, (at, _, _) in enumerate(browser["episodes"]):
        letters = [(own[place] or "n")[0] for own in browser["outcomes"]]
        filmed = ["film" in own.get(str(place), {}) for own in browser["details"]]
        wanted = [(letters[i] == status if status else letters[i] != "n") and (filmed[i] or not film) for i in of]
        if winner:
            same = [
                i for i, group in enumerate(browser["groups"]) if group == browser["groups"][int(winner)] and i != int(winner)
            ]
            others = {letters[i] for i in same} & {"s", "f"}
            wanted = [each and letters[int(winner)] == "s" and others == {"f"} for each in wanted]
        count += any(wanted) and suite in (ANY, browser["tasks"][at][0]) and task in (ANY, str(at))
    return count


def counted(page: Page) -> int:
    words = page.inner_text("#count").split()
    return int(words[-2]) if words[0].isdigit() else 0


def check_filters(page: Page, data: dict) -> int:
    """Every value of every filter by itself, and two together; the number of settings tried."""
    tried = 0
    names = {"suite": "by-suite", "task": "by-task", "run": "by-run", "status": "by-status", "winner": "by-winner"}
    settings = [{}, {"film": True}]
    for name, select in names.items():
        values = page.eval_on_selector_all(f"#{select} option", "all => all.map(one => one.value)")
        settings += [{name: value} for value in values if value]
    settings += [{"run": str(i), "status": status} for i in range(len(data["runs"])) for status in "sf"]
    for setting in settings:
        page.click("#filters button[type=reset]")
        page.wait_for_timeout(20)
        for name, value in setting.items():
            page.check("#by-film") if name == "film" else page.select_option(f"#{names[name]}", value)
        assert counted(page) == expected(data, **setting), (setting, page.inner_text("#count"))
        tried += 1
    page.click("#filters button[type=reset]")
    page.wait_for_timeout(20)
    return tried


def check_keys(page: Page, data: dict) -> None:
    total = len(data["browser"]["episodes"])
    page.focus("#rows button")
    seen = [page.inner_text("#episode h3")]
    for _ in range(min(26, total - 1)):  # over the end of the first page
        page.keyboard.press("ArrowDown")
        seen.append(page.inner_text("#episode h3"))
    assert len(set(seen)) == min(27, total), seen
    page.keyboard.press("ArrowUp")
    assert page.inner_text("#episode h3") == (seen[-2] if total > 1 else seen[-1])
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "by-suite"


def check_plot(page: Page, data: dict) -> None:
    if data["plot"] is None:
        return
    every = page.locator("#plot-drawn .point")
    whole = [point for point in data["plot"]["points"] if not point["suite"]]
    assert every.count() == len(whole)
    for axis in data["plot"]["axes"]:
        page.select_option("#plot-axis", axis)
        every.first.focus()
        assert data["plot"]["axes"][axis] in page.inner_text("#plot-said"), axis
    page.uncheck("#plot-legend input >> nth=0")
    assert every.count() == len(whole) - 1
    page.check("#plot-legend input >> nth=0")
    every.last.focus()
    page.keyboard.press("Enter")
    assert page.input_value("#by-run") == str(whole[-1]["run"])


class Watched:
    """A page, with what it said on the console and what it asked for."""

    def __init__(self, page: Page):
        self.wrong: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda said: self.wrong.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))


def photograph(page: Page, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    page.screenshot(path=folder / f"{name}.png")
    for part in ("plot", "tables", "episodes", "environment"):
        page.evaluate(f"document.getElementById('{part}').scrollIntoView()")
        page.screenshot(path=folder / f"{name}-{part}.png")


def check(path: Path, pictures: Path | None, chromium: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme, (name, (width, height)) in itertools.product(("light", "dark"), SIZES.items()):
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            watched = Watched(page)
            page.goto(path.resolve().as_uri())
            data = json.loads(page.text_content("#data"))
            tried = 0
            if data["browser"]["episodes"]:
                check_plot(page, data)
                tried = check_filters(page, data)
                check_keys(page, data)
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{wide} pixels wide at {width}"
            assert not watched.wrong, watched.wrong
            assert all(urlparse(url).scheme in ("file", "data", "blob") for url in watched.asked), watched.asked
            if pictures is not None:
                photograph(page, pictures, f"{name}-{scheme}")
            print(f"{name}, {scheme}: {len(data['browser']['episodes'])} episodes, {tried} settings of the filters")
            page.close()
        browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder for screenshots")
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="the program")
    given = parser.parse_args()
    check(given.page, given.pictures, given.chromium)
