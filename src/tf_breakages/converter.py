"""What TensorFlow's own `tf_upgrade_v2` makes of programs: run inside a pin that ships it, never imitated."""

import json
from collections.abc import Sequence
from pathlib import Path

import nbformat

from tf_breakages import notebook
from tf_breakages.breakage import Breakage, Cell, of_notebook
from tf_breakages.cache import Cache
from tf_breakages.errors import MachineryError
from tf_breakages.matrix import ending
from tf_breakages.pins import select
from tf_breakages.pool import Pool
from tf_breakages.program import Program

PIN = "2.15"
"""The release whose `tf_upgrade_v2` is meant; later ones ship the same tool, and their Keras no longer fits what it writes."""

TOOL = """
import tensorflow as tf
import contextlib, io, json, pathlib, sys
from tensorflow.tools.compatibility.tf_upgrade_v2_main import main

converted = []
for source in json.loads({sources!r}):
    pathlib.Path("before.py").write_text(source, "utf-8")
    sys.argv = ["tf_upgrade_v2", "--infile", "before.py", "--outfile", "after.py"]
    with contextlib.redirect_stdout(io.StringIO()):
        main()
    converted.append(pathlib.Path("after.py").read_text("utf-8"))
print(json.dumps(converted))
"""
"""The command itself, once for each program; `sources` is a JSON list."""

HEADING = "## What `tf_upgrade_v2` makes of it"


def convert(sources: Sequence[str], pool: Pool | None = None) -> list[str]:
    """What the tool writes for each program. MachineryError if it can't be run."""
    (pin,) = select(PIN)
    program = Program(TOOL.format(sources=json.dumps(list(sources))))
    (outcome,) = (pool or Pool(Cache.of_user())).run([program], [pin])[0].values()
    if outcome["status"] != "ok":
        raise MachineryError(f"`tf_upgrade_v2` of pin {PIN} failed: {ending(outcome)}", "Run `tfb doctor`.")
    return [text.rstrip("\n") for text in json.loads(outcome["stdout"])]


def wrong(breakage: Breakage) -> list[str]:
    """A sentence for every `before` whose `converter` program is missing, needless, or not what the tool writes."""
    befores = [cell for cell in breakage.programs if cell.role == "before"]
    found = []
    for before, made in zip(befores, convert([cell.source for cell in befores]), strict=True):
        cells = [cell.source for cell in breakage.answers(before, "converter")]
        if cells != ([made] if _changed(before, made) else []):
            found.append(
                f"cell {before.number}: its `converter` is not what tf_upgrade_v2 makes of it; run: tfb convert"
            )
    return found


def update(path: Path) -> bool:
    """Write the `converter` program of every `before` that the tool changes, below what answers it. True if any changed."""
    breakage = of_notebook(path)
    befores = [cell for cell in breakage.programs if cell.role == "before"]
    node = notebook.read(path)
    old = notebook.text_of(node)
    used = {cell.id for cell in node.cells}
    names = (name for number in range(len(used) * 2 + 2) if (name := f"t{number}") not in used)
    for before, made in reversed(list(zip(befores, convert([cell.source for cell in befores]), strict=True))):
        mine = breakage.answers(before, "converter")
        if not _changed(before, made):
            for cell in reversed(mine):
                _remove(node, cell)
        elif mine:
            node.cells[mine[0].number - 1].source = made
        else:
            last = max(cell.number for cell in breakage.programs if breakage.before(cell) is before and cell.role)
            heading = nbformat.v4.new_markdown_cell(HEADING, id=next(names))
            program = nbformat.v4.new_code_cell(made, id=next(names), metadata={"tags": ["converter"]})
            node.cells[last:last] = [heading, program]
    if notebook.text_of(node) == old:
        return False
    notebook.write(path, node)
    return True


def _changed(before: Cell, made: str) -> bool:
    return bool(made) and made != before.source.rstrip("\n")


def _remove(node: nbformat.NotebookNode, cell: Cell) -> None:
    at = cell.number - 1
    heading = at and node.cells[at - 1].cell_type == "markdown" and node.cells[at - 1].source.startswith(HEADING)
    del node.cells[at - 1 if heading else at : at + 1]
