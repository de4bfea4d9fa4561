"""A contact sheet of the 40 tasks: the camera image of the first query, one asset pack above the other.

python scripts/contact_sheet.py --assets primitive --assets official --size 150 --out docs/tasks.png
python scripts/contact_sheet.py --suite long --camera robot0_eye_in_hand --out wrist.png
"""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image, ImageDraw, ImageFont

from vla_bench.suites import Task, load_suites
from vla_bench.world.assets import resolve_assets
from vla_bench.world.env import World
from vla_bench.world.gl import choose_gl
from vla_bench.world.observation import Sight

COLUMNS = 10
LINE = 1.25  # of the letters' height


def first_views(suite, pack, camera: str, size: int) -> list[Image.Image]:
    """One upright image per task of the suite."""
    images = []
    world = World(suite, pack)
    for task in suite.tasks:
        world.start(task)
        image = world.reset(0, Sight.IMAGES).images[camera]
        images.append(Image.fromarray(np.ascontiguousarray(image[::-1])).resize((size, size), Image.LANCZOS))
    world.close()
    return images


def caption(suite: str, task: Task, letters: int) -> str:
    """The whole instruction, in lines of at most `letters` letters."""
    return textwrap.fill(f"{suite} {task.id}: {task.language}", letters)


def main(
    assets: Annotated[list[str], typer.Option(help="Asset packs, top to bottom.")] = ["primitive"],  # noqa: B006
    suite: str = "all",
    camera: str = "agentview",
    size: int = 192,
    out: Path = Path("contact-sheet.png"),
):
    os.environ.update(choose_gl().environment())
    packs = [resolve_assets(spec) for spec in assets]
    suites = load_suites(suite)
    font = ImageFont.load_default(size=max(5, size // 14))
    letters, line = int((size - 6) / font.getlength("n")), round(LINE * font.size)
    captions = {each.name: [caption(each.name, task, letters) for task in each.tasks] for each in suites}
    heads = {name: line * max(text.count("\n") + 2 for text in texts) for name, texts in captions.items()}
    sheet = Image.new("RGB", (COLUMNS * size, len(suites) * len(packs) * size + sum(heads.values())), "white")
    draw, top = ImageDraw.Draw(sheet), 0
    for each in suites:
        top += heads[each.name]
        for column, text in enumerate(captions[each.name]):
            place = column * size + 3, top - line // 3
            draw.multiline_text(place, text, fill="black", font=font, anchor="ld", spacing=line - font.size)
        for pack in packs:
            for column, image in enumerate(first_views(each, pack, camera, size)):
                sheet.paste(image, (column * size, top))
            if len(packs) > 1:  # the pack's name in the corner of its row
                place = 3, top + size - 3
                draw.rectangle(draw.textbbox(place, pack.name, font=font, anchor="ld"), fill="white")
                draw.text(place, pack.name, fill="black", font=font, anchor="ld")
            top += size
    sheet.save(out, optimize=True)
    print(f"{out}: {len(suites)} suites x 10 tasks, top to bottom {', '.join(pack.name for pack in packs)}")


if __name__ == "__main__":
    typer.run(main)
