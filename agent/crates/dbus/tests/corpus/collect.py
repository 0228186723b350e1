#!/usr/bin/env python3
"""Prints the distinct types of arguments and properties in introspection XML, one a line.

    collect.py DIRECTORY ... >types

Every file whose name ends with .xml is read, at any depth.
"""

import pathlib
import sys
import xml.etree.ElementTree

types = set()
for directory in sys.argv[1:]:
    for file in sorted(pathlib.Path(directory).rglob("*.xml")):
        try:
            root = xml.etree.ElementTree.parse(file).getroot()
        except xml.etree.ElementTree.ParseError as error:
            print(f"{file}: {error}", file=sys.stderr)
            continue
        for element in root.iter():
            if element.tag in ("arg", "property") and "type" in element.attrib:
                types.add(element.attrib["type"])
print("\n".join(sorted(types)))
