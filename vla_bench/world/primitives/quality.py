"""How finely the pack is drawn.

Every ball and cylinder of MuJoCo is cut into 28 by 16 facets, every box into 96, and every pixel is sampled four times.
That suits a few large shapes; a scene of three hundred small ones is drawn five times faster with what is asked for
here, and looks the same at 256 pixels but for slightly harder edges.  The physics does not know of it.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

QUALITY = {"offsamples": "0", "numslices": "16", "numstacks": "8", "numquads": "2"}


def draw_coarsely(xml: str) -> str:
    """The whole model with `QUALITY` asked for; made for robosuite's `set_xml_processor`."""
    root = ET.fromstring(xml)
    visual = root.find("visual")
    if visual is None:
        visual = ET.SubElement(root, "visual")
    quality = visual.find("quality")
    if quality is None:
        quality = ET.SubElement(visual, "quality")
    quality.attrib.update(QUALITY)
    return ET.tostring(root, encoding="unicode")
