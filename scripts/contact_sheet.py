"""A picture of the 40 tasks: what a policy sees at its first query, one asset pack above the other.

python scripts/contact_sheet.py --assets primitive --assets PATH/libero-assets --out contact-sheet.png
python scripts/contact_sheet.py --suite long --camera robot0_eye_in_hand --out wrist.png
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image, ImageDraw

from vla_bench.suites import load_suites
from vla_bench.world.assets import resolve_assets
from vla_bench.world.env import World
from vla_bench.world.gl import choose_gl
from vla_bench.world.observation import Sight

COLUMNS = 10


def first_views(suite, pack, camera: str, size: int) -> list[Image.Image]:
    """One picture per task of the suite, the right way up."""
    pictures = []
    world = World(suite, pack)
    for task in suite.tasks:
        world.start(task)
        seen = world.reset(0, Sight.IMAGES).images[camera]
        pictures.append(Image.fromarray(np.ascontiguousarray(seen[::-1])).resize((size, size), Image.LANCZOS))
    world.close()
    return pictures


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
    label = 16
    block = len(packs) * size + label
    sheet = Image.new("RGB", (COLUMNS * size, len(suites) * block), "white")
    draw = ImageDraw.Draw(sheet)
    for row, each in enumerate(suites):
        for line, pack in enumerate(packs):
            for column, picture in enumerate(first_views(each, pack, camera, size)):
                sheet.paste(picture, (column * size, row * block + label + line * size))
        for column, task in enumerate(each.tasks):
            draw.text((column * size + 3, row * block + 2), f"{each.name} {task.id}: {task.language}"[: size // 6], fill="black")
    sheet.save(out)
    print(f"{out}: {len(suites)} suites x 10 tasks, top to bottom {', '.join(pack.name for pack in packs)}")


if __name__ == "__main__":
    typer.run(main)
