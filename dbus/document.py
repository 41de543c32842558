# SPDX-License-Identifier: Apache-2.0
"""document.py INPUT OUTPUT: the contract with its comments as annotations, which D-Bus tools show.

The comment right before an interface, method, signal or property is its documentation; without one it is an error.
"""
from __future__ import annotations

import inspect
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

ANNOTATION = "org.gtk.GDBus.DocString"
DOCUMENTED = ("interface", "method", "signal", "property")


def annotate(parent: xml.Element, where: str) -> list[str]:
    """Returns what has no documentation."""
    missing = []
    comment = ""
    for child in list(parent):
        if child.tag is xml.Comment:
            comment = inspect.cleandoc(child.text or "").strip()
            parent.remove(child)
            continue
        if child.tag in DOCUMENTED:
            name = f"{where}{child.get('name')}"
            missing += annotate(child, f"{name}.")
            if not comment:
                missing.append(name)
            child.insert(0, xml.Element("annotation", {"name": ANNOTATION, "value": comment}))
        comment = ""
    return missing


def main(source: Path, target: Path) -> int:
    text = source.read_text(encoding="utf-8")
    node = xml.fromstring(text, xml.XMLParser(target=xml.TreeBuilder(insert_comments=True)))
    if missing := annotate(node, ""):
        print(f"{source}: no comment right before: {', '.join(missing)}", file=sys.stderr)
        return 1
    xml.indent(node)
    head = text[:text.index("<node")]
    target.write_text(f"{head}{xml.tostring(node, encoding='unicode')}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
