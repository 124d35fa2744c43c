"""A breakage: one recorded notebook, what follows from its matrices, and the rules that must hold of it.

Nothing here is typed by an author: since when a program is broken, where each fix works and whether it is equivalent
are derived from what the pins did.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tf_breakages import matrix, notebook
from tf_breakages.matrix import MIME, Outcome, Reading
from tf_breakages.paths import root
from tf_breakages.pins import Pin, load

ROLES = ("before", "fix", "trap", "converter")
KINDS = ("error", "silent", "install")
TAGS = {"code": {*ROLES, "differs"}, "markdown": {"differs", "no-fix"}}
BEFORE_ALL = "<1.15"
"""The baseline of what was gone before the oldest pin: it fails everywhere."""

NBVAL = re.compile(r"#\s*(NBVAL_|PYTEST_VALIDATE_)\w*", re.IGNORECASE)
PIN_OR_RANGE = re.compile(r"\b(\d+\.\d+)(?:\s*(?:–|-|to|through)\s*(\d+\.\d+))?\b")


@dataclass(frozen=True)
class Cell:
    """One cell of a notebook, numbered from 1 as JupyterLab shows them; a code cell has a reading."""

    number: int
    kind: str
    source: str
    tags: frozenset[str]
    reading: Reading = field(default_factory=dict)

    @property
    def role(self) -> str | None:
        """`before`, `fix`, `trap`, `converter`, or None for an illustration and for text."""
        return next((role for role in ROLES if role in self.tags), None) if self.kind == "code" else None

    def at(self, pin: str) -> Outcome | None:
        """The outcome on a pin; where several writers' files were read, the first that is not ok."""
        outcomes = [outcome for (_, on), outcome in self.reading.items() if on == pin]
        return next((outcome for outcome in outcomes if outcome["status"] != "ok"), outcomes[0] if outcomes else None)

    def ok(self, pin: str) -> bool:
        outcome = self.at(pin)
        return outcome is not None and outcome["status"] == "ok"

    def value(self, pin: str) -> tuple[str, str | None] | None:
        """What the program printed on a pin, stdout and result; None where it was not ok."""
        outcome = self.at(pin)
        return (outcome["stdout"], outcome["result"]) if outcome and outcome["status"] == "ok" else None

    @property
    def pins(self) -> list[str]:
        return matrix.pins_of(self.reading)


@dataclass(frozen=True)
class Breakage:
    """One notebook below `notebooks/`, read and derived."""

    path: Path
    cells: tuple[Cell, ...]
    metadata: dict[str, Any]
    order: tuple[str, ...]
    """The names of all pins, oldest first."""

    @property
    def topic(self) -> str:
        return self.path.parent.name

    @property
    def slug(self) -> str:
        return self.path.stem

    @property
    def id(self) -> str:
        return f"{self.topic}/{self.slug}"

    @property
    def kind(self) -> str:
        return str(self.metadata.get("kind", ""))

    @property
    def baseline(self) -> str:
        return str(self.metadata.get("baseline", "1.15"))

    @property
    def symbols(self) -> list[str]:
        return list(self.metadata.get("symbols", []))

    @property
    def related(self) -> list[str]:
        return list(self.metadata.get("related", []))

    @property
    def title(self) -> str:
        """The H1, as Markdown."""
        first = self.cells[0].source.strip().splitlines() if self.cells else []
        return first[0].removeprefix("# ").strip() if first and first[0].startswith("# ") else ""

    @property
    def api(self) -> str:
        """The H1's part before the dash, as Markdown."""
        return self.title.partition(" — ")[0]

    @property
    def message(self) -> str:
        """The H1's part after the dash: the message, or what happens where nothing raises."""
        return self.title.partition(" — ")[2]

    @property
    def summary(self) -> str:
        """The first paragraph: what happened, as Markdown."""
        paragraphs = re.split(r"\n\s*\n", self.cells[0].source.strip()) if self.cells else []
        return " ".join(paragraphs[1].split()) if len(paragraphs) > 1 else ""

    @cached_property
    def programs(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.kind == "code"]

    def before(self, cell: Cell) -> Cell | None:
        """The program a cell answers or is about: the nearest `before` above it, or itself."""
        above = [each for each in self.programs if each.role == "before" and each.number <= cell.number]
        return above[-1] if above else None

    def answers(self, before: Cell, role: str) -> list[Cell]:
        """The fixes (or traps, or converters) of a `before`, in the recommended order."""
        return [cell for cell in self.programs if cell.role == role and self.before(cell) is before]

    def expected(self, before: Cell) -> tuple[str, str | None] | None:
        """What `before` printed on the baseline; None where the baseline is older than every pin."""
        return None if self.baseline == BEFORE_ALL else before.value(self.baseline)

    def later(self, pins: Iterable[str]) -> list[str]:
        """Those pins that come after the baseline."""
        if self.baseline == BEFORE_ALL:
            return list(pins)
        after = self.order.index(self.baseline) if self.baseline in self.order else -1
        return [pin for pin in pins if pin in self.order and self.order.index(pin) > after]

    def broken(self, before: Cell) -> list[str]:
        """The pins after the baseline on which `before` is not ok, or prints something else."""
        return [
            pin for pin in self.later(before.pins) if not before.ok(pin) or before.value(pin) != self.expected(before)
        ]

    def equivalent(self, cell: Cell, pin: str) -> bool:
        """Whether a program prints on this pin what its `before` printed on the baseline."""
        before = self.before(cell)
        return before is not None and cell.ok(pin) and cell.value(pin) == self.expected(before)

    def solves(self, fix: Cell, pin: str) -> bool:
        """Whether a fix is a way out on this pin: ok, and equivalent unless it is tagged `differs` or nothing was printed."""
        before = self.before(fix)
        expected = self.expected(before) if before else None
        free = "differs" in fix.tags or expected in (None, ("", None))
        return fix.ok(pin) and (free or self.equivalent(fix, pin))

    def unsolved(self, before: Cell) -> list[str]:
        """The broken pins on which no fix is a way out."""
        fixes = self.answers(before, "fix")
        return [pin for pin in self.broken(before) if not any(self.solves(fix, pin) for fix in fixes)]

    def state(self, cell: Cell, pin: str) -> str:
        """How a pin is drawn in the cell's strip: `equivalent`, `ok`, `differs` or `broken`; `unknown` where it was not run.

        For a `before`: `ok` up to the baseline's behaviour, `differs` where it prints something else, `broken` where it fails.
        """
        if cell.at(pin) is None:
            return "unknown"
        if not cell.ok(pin):
            return "broken"
        before = self.before(cell)
        expected = self.expected(before) if before and cell.role else None
        if expected in (None, ("", None)):
            return "ok"
        if cell.value(pin) == expected:
            return "ok" if cell.role == "before" else "equivalent"
        return "differs"

    @cached_property
    def broken_pins(self) -> list[str]:
        """The pins on which any `before` is broken, oldest first."""
        found = {pin for cell in self.programs if cell.role == "before" for pin in self.broken(cell)}
        return [pin for pin in self.order if pin in found]

    @property
    def since(self) -> str | None:
        """The first pin it is broken on."""
        return self.broken_pins[0] if self.broken_pins else None

    @cached_property
    def messages(self) -> list[tuple[str, list[str]]]:
        """Every error a `before` ended with, as Python prints it, and the pins it was seen on."""
        seen: dict[str, list[str]] = {}
        for cell in self.programs:
            if cell.role == "before":
                for pin in self.broken(cell):
                    outcome = cell.at(pin)
                    if outcome and outcome["status"] != "ok":
                        seen.setdefault(matrix.ending(outcome), []).append(pin)
        return [(text, [pin for pin in self.order if pin in pins]) for text, pins in seen.items()]


def of_notebook(path: Path, pins: Sequence[Pin] | None = None) -> Breakage:
    """The breakage of a notebook file. Raises NotebookError where it is not a notebook of ours.

    A cell that was not recorded, or whose matrix is malformed, has an empty reading; `problems` says so.
    """
    node = notebook.read(path)
    cells = []
    for number, cell in enumerate(node.cells, 1):
        reading: Reading = {}
        if cell.cell_type == "code":
            try:
                reading = notebook.recorded(cell)
            except matrix.MatrixError:
                reading = {}
        cells.append(Cell(number, cell.cell_type, cell.source, frozenset(cell.metadata.get("tags", [])), reading))
    order = tuple(pin.name for pin in pins or load())
    return Breakage(path, tuple(cells), dict(node.metadata.get("breakage") or {}), order)


def paths(folder: Path | None = None) -> list[Path]:
    """All notebooks, by topic and slug."""
    top = folder or root() / "notebooks"
    return sorted(path for path in top.glob("*/*.ipynb") if not path.name.startswith("."))


def problems(path: Path, pins: Sequence[Pin] | None = None) -> list[str]:
    """Every rule of a notebook that does not hold, a sentence each, naming the cell and the pins. Empty if all hold."""
    try:
        breakage = of_notebook(path, pins)
    except notebook.NotebookError as error:
        return [str(error)]
    return [*_form(breakage), *_recording(path, breakage), *_rules(breakage)]


def _form(breakage: Breakage) -> Iterable[str]:
    """The notebook's contract: first cell, metadata, tags."""
    first = breakage.cells[0] if breakage.cells else None
    if first is None or first.kind != "markdown" or not breakage.api or not breakage.message:
        yield "cell 1: is not Markdown that begins with `# API — the message`"
    elif not breakage.summary:
        yield "cell 1: has no paragraph below the H1 that says what happened"
    metadata = breakage.metadata
    for name, fits in (
        ("topic", metadata.get("topic") == breakage.topic),
        ("kind", metadata.get("kind") in KINDS),
        ("baseline", metadata.get("baseline") in (*breakage.order, BEFORE_ALL)),
        (
            "symbols",
            isinstance(metadata.get("symbols"), list) and all(isinstance(each, str) for each in metadata["symbols"]),
        ),
        ("related", isinstance(metadata.get("related"), list)),
    ):
        if not fits:
            yield f"metadata.breakage.{name} is {metadata.get(name)!r}, which does not fit {breakage.path.parent.name}/{breakage.path.name}"
    for other in breakage.related:
        if not (breakage.path.parents[1] / f"{other}.ipynb").exists():
            yield f"metadata.breakage.related names {other!r}, which is no notebook"
    for cell in breakage.cells:
        unknown = cell.tags - TAGS.get(cell.kind, set())
        if unknown:
            yield f"cell {cell.number}: has the tags {sorted(unknown)}, which are not ours (rule 6 refuses nbval's)"
        if len(cell.tags & set(ROLES)) > 1:
            yield f"cell {cell.number}: has more than one role"
        if cell.kind == "code" and NBVAL.search(cell.source):
            yield f"cell {cell.number}: has a comment that tells nbval to look away (rule 6)"


def _recording(path: Path, breakage: Breakage) -> Iterable[str]:
    """Every program is recorded, once, on every pin, in the one form the matrix has."""
    known = list(breakage.order)
    for cell, node in zip(breakage.programs, notebook.code_cells(notebook.read(path)), strict=True):
        try:
            reading = notebook.recorded(node)
        except matrix.MatrixError as error:
            yield f"cell {cell.number}: {error}; run: tfb record {path}"
            continue
        missing = [pin for pin in known if pin not in cell.pins]
        strange = [pin for pin in cell.pins if pin not in known]
        if missing or strange:
            yield f"cell {cell.number}: its recording lacks {missing} and has the unknown {strange}; run: tfb record {path}"
        elif dict(node.outputs[0].data) != matrix.output(matrix.group(reading, known), known):
            yield f"cell {cell.number}: its table or grouping is not what its outcomes give; run: tfb record {path}"
        if set(node.outputs[0].data) != {MIME, "text/plain"}:
            yield f"cell {cell.number}: its output has representations besides the matrix and its table"


def _rules(breakage: Breakage) -> Iterable[str]:
    """Rules 1 to 5 of a breakage, from its matrices."""
    befores = [cell for cell in breakage.programs if cell.role == "before"]
    if not befores:
        yield "no cell is tagged `before`"
    for before in befores:
        if breakage.baseline == BEFORE_ALL:
            working = [pin for pin in before.pins if before.ok(pin)]
            if working:
                yield f"cell {before.number}: its baseline is {BEFORE_ALL}, but it is ok on {matrix.label(working, breakage.order)} (rule 1)"
        elif not before.ok(breakage.baseline):
            yield f"cell {before.number}: `before` is not ok on its baseline {breakage.baseline} (rule 1)"
        if not breakage.broken(before):
            yield f"cell {before.number}: `before` is broken on no later pin (rule 2)"
        yield from _solved(breakage, before)
    for cell in breakage.programs:
        if cell.role and breakage.before(cell) is None:
            yield f"cell {cell.number}: `{cell.role}` has no `before` above it (rule 3)"
        elif cell.role == "trap" and all(breakage.solves(cell, pin) for pin in cell.pins):
            yield f"cell {cell.number}: `trap` is ok and equivalent on every pin (rule 5)"
        elif cell.role == "fix" and "differs" in cell.tags:
            near = [each for each in breakage.cells if abs(each.number - cell.number) == 1 and each.kind == "markdown"]
            if not any("differs" in each.tags for each in near):
                yield f"cell {cell.number}: `differs`, but no Markdown cell next to it has that tag and says how (rule 4)"


def _solved(breakage: Breakage, before: Cell) -> Iterable[str]:
    """Rule 3, both ways: a broken pin has a fix or a `no-fix` cell that names it, never both."""
    unsolved = set(breakage.unsolved(before))
    notes = [cell for cell in breakage.cells if "no-fix" in cell.tags and breakage.before(cell) is before]
    named = {pin for cell in notes for pin in named_pins(cell.source, breakage.order)}
    if unsolved - named:
        missing = [pin for pin in breakage.order if pin in unsolved - named]
        yield f"cell {before.number}: no fix is ok and equivalent on {matrix.label(missing, breakage.order)}, and no `no-fix` cell names them (rule 3)"
    if named - unsolved:
        needless = [pin for pin in breakage.order if pin in named - unsolved]
        yield f"cell {notes[0].number}: `no-fix` names {matrix.label(needless, breakage.order)}, where a fix works or nothing is broken (rule 3)"


def named_pins(text: str, order: Sequence[str]) -> list[str]:
    """The pins a text names, ranges such as `2.16 – 2.21` included."""
    found = set()
    for first, last in PIN_OR_RANGE.findall(text):
        if first in order:
            end = order.index(last) if last in order else order.index(first)
            found |= set(order[order.index(first) : end + 1])
    return [pin for pin in order if pin in found]
