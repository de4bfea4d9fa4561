"""The files of a pack that the tasks of a suite load: models, textures of the rooms, and the files that a model refers to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from vla_bench.errors import AssetError
from vla_bench.suites import Suite
from vla_bench.world.content import paths
from vla_bench.world.official import listed
from vla_bench.world.required import FOLDERS, places, required_models, required_textures

USE_PRIMITIVE = {"--assets": "primitive"}


def used_files(root: Path, suites: Sequence[Suite]) -> tuple[set[str], set[str]]:
    """Files below `root` that the suites' tasks load, and what is missing there, both relative to `root`.

    Where the pack has a model in several of the places where LIBERO may look for it, all of them count.  Raises AssetError
    for a model that cannot be read or that refers to a file outside the pack.
    """
    textures = required_textures(suites)
    files = {path for path in textures if (root / path).is_file()}
    missing = textures - files
    for name, task in required_models(suites).items():
        models = [path for path in places(name) if (root / path).is_file()]
        if not models:
            own = (path for path in places(name) if path in listed())
            missing.add(next(own, f"a model of {name}, which {task} needs"))
        for model in models:
            files.add(model)
            for path in references(root, model):
                (files if (root / path).is_file() else missing).add(path)
    return files, missing


def pack_files(root: Path) -> set[str]:
    """Every file of the folders of LIBERO's layout, relative to `root`; not what else lies beside them.  Raises AssetError."""
    return {f"{folder}/{path}" for folder in FOLDERS if (root / folder).is_dir() for path in paths(root / folder)}


def references(root: Path, model: str) -> set[str]:
    """The files that a model refers to, and those that files included by it refer to, relative to `root`.  Raises AssetError.

    robosuite looks beside the model for what is directly in the model's first `asset` element, and nowhere for any other
    reference: MuJoCo would search the working folder for it.
    """
    tree = _parse(root / model)
    asset = tree.find("asset")
    looked_up = [*tree.findall("include"), *(() if asset is None else asset)]
    found: set[str] = set()
    pending = [(model, node, key, value) for node, key, value in _named(tree)]
    while pending:
        by, node, key, value = pending.pop()
        if key != "file" or node.tag == "model" or (by == model and node not in looked_up):
            raise _refused(root / by, value, "where LIBERO does not look for it in the pack")
        path = _inside(root, by, value)
        if node.tag == "include" and path not in found and (root / path).is_file():
            pending += [(path, *each) for each in _named(_parse(root / path))]
        found.add(path)
    return found


def _parse(path: Path) -> ET.Element:
    try:
        return ET.parse(path).getroot()
    except (OSError, ET.ParseError, ValueError) as error:
        raise AssetError(f"{path} is not XML: {error}", instead=USE_PRIMITIVE) from error


def _named(tree: ET.Element) -> Iterator[tuple[ET.Element, str, str]]:
    """Every file that an element names, as (element, attribute, file); a texture may have six more: `fileright` and so on."""
    for node in tree.iter():
        for key, value in node.attrib.items():
            if key.startswith("file"):
                yield node, key, value


def _inside(root: Path, model: str, reference: str) -> str:
    """The file `reference` of a model, relative to `root`.  Raises AssetError where it is outside of the pack."""
    folder = Path(model).parent
    path = os.path.normpath(folder / reference)
    if os.path.isabs(reference) or path.split("/")[0] == "..":
        raise _refused(root / model, reference, "outside the pack")
    # Behind a link to a folder, `..` is the parent of the folder that the link leads to.
    loaded = root / folder / reference
    if loaded.exists() and not ((root / path).exists() and os.path.samefile(loaded, root / path)):
        raise _refused(root / model, reference, "outside the pack, through a link")
    return Path(path).as_posix()


def _refused(path: Path, reference: str, why: str) -> AssetError:
    return AssetError(f'{path} refers to "{reference}", {why}', instead=USE_PRIMITIVE)
