"""The copy of a notebook that mkdocs-jupyter renders: text and programs, nothing else.

Notebooks come from pull requests, and mkdocs-jupyter lets HTML, tags and metadata through as they are. So the copy has
no outputs, no tags, no metadata, and no `<` for a Markdown renderer to take for HTML: a character that means nothing
stands in its place until `extract` writes it back as `&lt;`.
"""

import json
from pathlib import Path

from tf_breakages.breakage import Breakage

GUARD = "\ue000"
"""Stands for `<` while others render; of the private use area, so no text needs it, and one that has it stays text."""


def prepared(breakage: Breakage) -> str:
    """The copy, as JSON: a cell for each of the breakage's cells, in order."""
    cells = []
    for cell in breakage.cells:
        base = {"id": f"c{cell.number}", "metadata": {}}
        if cell.kind == "code":
            cells.append({"cell_type": "code", "execution_count": None, "outputs": [], "source": cell.source, **base})
        else:
            cells.append({"cell_type": "markdown", "source": cell.source.replace("<", GUARD), **base})
    kernel = {"display_name": "Python", "language": "python", "name": "python3"}
    return json.dumps({"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5})


def put(path: Path, text: str) -> None:
    """Write a file where its content differs: whoever watches it, or reads it at the same time, sees no half of it."""
    if path.exists() and path.read_text("utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)
