#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the lists of metrics and rules in docs/ anew, each between two comments, from what `nauha analyzers` says.
With --check it only says which are out of date."""
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAUHA = os.environ.get("NAUHA", ROOT / "build/nauha")


def cell(text):
    return text.replace("|", "\\|")


def anchors(page):
    """The address of the section about each name: "## mean, sum" is about two."""
    return {name: re.sub(r"[^\w -]", "", heading).replace(" ", "-")
            for heading in re.findall(r"^## (.*)$", page, re.M) for name in heading.split(", ")}


def rows(entries, page):
    places = anchors(page)
    for entry in entries:
        name = f"`{entry['name']}`"
        name = f"[{name}](#{places[entry['name']]})" if entry["name"] in places else name
        keys = ", ".join(f"`{key['key']}={key.get('default', '')}`" for key in entry["parameters"])
        yield f"| {name} | {cell(entry['summary'])} | {keys} |\n"


def updated(page, columns, entries):
    begin, end = "<!-- make docs writes this list -->\n", "<!-- end of the list -->\n"
    table = f"| {columns} | keys, with defaults |\n|---|---|---|\n" + "".join(rows(entries, page))
    before, rest = page.split(begin)
    return before + begin + table + end + rest.split(end)[1]


def main():
    analyzers = json.loads(subprocess.run([NAUHA, "analyzers", "--json"], stdout=subprocess.PIPE, check=True,
                                          env={**os.environ, "NAUHA_PLUGIN_PATH": ""}).stdout)
    stale = []
    for name, columns, rule in (("metrics", "metric | what it gives", False), ("health", "rule | what it finds", True)):
        path = ROOT / f"docs/{name}.md"
        page = path.read_text()
        new = updated(page, columns, [entry for entry in analyzers if entry["rule"] == rule and not entry["plugin"]])
        if new != page:
            stale.append(f"docs/{name}.md")
            if "--check" not in sys.argv:
                path.write_text(new)
    if stale and "--check" in sys.argv:
        sys.exit(f"out of date: {', '.join(stale)}; run make docs")


if __name__ == "__main__":
    main()
