"""Notebooks on disk: read with a clear error, recorded by running every program, written only when something changed."""

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from tf_breakages import matrix
from tf_breakages.errors import MachineryError
from tf_breakages.matrix import MIME, Outcome, Reading
from tf_breakages.pins import Pin, load
from tf_breakages.pool import Pool, Task
from tf_breakages.program import programs

KERNEL = {"display_name": "TensorFlow matrix", "language": "python", "name": "tf-matrix"}
LANGUAGE = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"}


class NotebookError(MachineryError):
    """A notebook that is not what the contract says; the cause names the file and, where it is one, the cell."""


def read(path: Path) -> NotebookNode:
    """The notebook of a file. Raises NotebookError where it is no notebook of format 4 for the kernel `tf-matrix`."""
    try:
        text = path.read_text("utf-8")
        raw = json.loads(text)
    except OSError as error:
        raise NotebookError(
            f"{path}: {error.strerror}", "Name a notebook that exists, or make one: tfb new TOPIC/SLUG"
        ) from error
    except ValueError as error:
        raise NotebookError(
            f"{path} is not JSON: {error}", "Restore it from git, or make a new one: tfb new TOPIC/SLUG"
        ) from error
    if not isinstance(raw, dict) or raw.get("nbformat") != 4:
        found = raw.get("nbformat", "none") if isinstance(raw, dict) else "none"
        raise NotebookError(
            f"{path} is not a notebook of format 4 (nbformat: {found})",
            "Convert it: jupyter nbconvert --to notebook --nbformat 4",
        )
    try:
        nbformat.validate(raw)
        notebook: NotebookNode = nbformat.reads(text, as_version=4)
    except nbformat.ValidationError as error:
        raise NotebookError(
            f"{path} is not a valid notebook: {str(error).splitlines()[0]}",
            "Open and save it in JupyterLab (`make lab`).",
        ) from error
    kernel = notebook.metadata.get("kernelspec", {}).get("name")
    if kernel != KERNEL["name"]:
        raise NotebookError(
            f"{path} is for the kernel {kernel!r}", f"Choose the kernel {KERNEL['display_name']!r} in JupyterLab."
        )
    return notebook


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The code cells, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def writers(paths: Sequence[Path]) -> list[str]:
    """The names of the pins whose files the programs of these notebooks read."""
    found = [programs([cell.source for cell in code_cells(read(path))]) for path in paths]
    return sorted({name for notebook in found for program in notebook for name in program.writers})


def recorded(cell: NotebookNode) -> Reading:
    """The reading recorded in a code cell. Raises MatrixError where there is none, or it is malformed."""
    if cell.execution_count is None or not cell.outputs:
        raise matrix.MatrixError("the cell was not recorded")
    if len(cell.outputs) != 1 or cell.outputs[0].output_type != "execute_result" or MIME not in cell.outputs[0].data:
        raise matrix.MatrixError(f"its output is not one execute_result with {MIME}")
    return matrix.read(cell.outputs[0].data[MIME])


def record(
    path: Path, pins: Sequence[Pin], pool: Pool, on_outcome: Callable[[Task, Outcome], None] | None = None
) -> bool:
    """Run every program of a notebook on the pins and write what they did; outcomes of other pins stay.

    True where the file changed. An unchanged notebook keeps its bytes; an interrupted one its old content.
    """
    notebook = read(path)
    before = text_of(notebook)
    cells = code_cells(notebook)
    readings = pool.run(programs([cell.source for cell in cells]), pins, on_outcome)
    known = [pin.name for pin in load()]
    run = {pin.name for pin in pins}
    for number, (cell, fresh) in enumerate(zip(cells, readings, strict=True), 1):
        try:
            old = {key: outcome for key, outcome in recorded(cell).items() if key[1] not in run and key[1] in known}
        except matrix.MatrixError:
            old = {}
        writers = {writer for writer, _ in fresh}
        merged = {key: outcome for key, outcome in old.items() if key[0] in writers} | fresh
        data = matrix.output(matrix.group(merged, known), known)
        cell.outputs = [nbformat.v4.new_output("execute_result", data, execution_count=number)]
        cell.execution_count = number
    for cell in notebook.cells:
        cell.metadata = NotebookNode({name: value for name, value in cell.metadata.items() if name == "tags" and value})
    if text_of(notebook) == before:
        return False
    write(path, notebook)
    return True


def text_of(notebook: NotebookNode) -> str:
    """A notebook as it is written, which is as JupyterLab saves it: texts as lists of lines, so that a diff is readable."""
    text: str = nbformat.writes(notebook, version=4)
    return text + "\n"


def write(path: Path, notebook: NotebookNode) -> None:
    """Put a notebook in place at once: whoever is interrupted leaves the old file. Raises NotebookError if it can't."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8", newline="\n"
        ) as file:
            temporary = Path(file.name)
            file.write(text_of(notebook))
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(path.stat().st_mode if path.exists() else 0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary:
            temporary.unlink(missing_ok=True)
        raise NotebookError(
            f"{path} could not be written: {error.strerror}; it is as it was",
            "Free some disk space, then run the command again.",
        ) from error


def new(path: Path, topic: str, slug: str) -> None:
    """Write a notebook to start from. Raises NotebookError where the file exists."""
    if path.exists():
        raise NotebookError(f"{path} exists", "Choose another name.")
    cells: list[Any] = []

    def markdown(text: str, *tags: str) -> None:
        cells.append(
            nbformat.v4.new_markdown_cell(text, id=f"c{len(cells)}", metadata={"tags": [*tags]} if tags else {})
        )

    def code(text: str, *tags: str) -> None:
        cells.append(nbformat.v4.new_code_cell(text, id=f"c{len(cells)}", metadata={"tags": [*tags]}))

    markdown(f"# `tf.{slug}` — the message as people see it\n\nWhat happened, in one paragraph.")
    markdown("## What breaks")
    code('import tensorflow as tf\n\nprint("what people wrote, and a value it prints")', "before")
    markdown("## Fix: the shortest that runs on every release\n\nWhen to choose it.")
    code('import tensorflow as tf\n\nprint("what people wrote, and a value it prints")', "fix")
    markdown("## Why\n\nWhat TensorFlow changed, and since when.")
    breakage = {"topic": topic, "kind": "error", "baseline": "1.15", "symbols": [f"tf.{slug}"], "related": []}
    metadata = {"kernelspec": KERNEL, "language_info": LANGUAGE, "breakage": breakage}
    write(path, nbformat.v4.new_notebook(cells=cells, metadata=metadata))
