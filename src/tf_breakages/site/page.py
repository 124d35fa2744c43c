"""A breakage's page: the facts, the strip, the messages, then the notebook's cells with each program's evidence."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, zip_longest
from typing import Any

from tf_breakages import matrix
from tf_breakages.breakage import BEFORE_ALL, Breakage, Cell
from tf_breakages.matrix import Outcome
from tf_breakages.site import strips
from tf_breakages.site.corpus import code
from tf_breakages.site.extract import Extract
from tf_breakages.site.strips import Strip
from tf_breakages.site.templating import render
from tf_breakages.site.verdict import section, verdicts

ROLES = {"before": "Breaks", "fix": "Fix", "trap": "Trap", "converter": "Converter", None: "Program"}
Group = Mapping[str, Any]
"""A group of the recorded matrix."""

KINDS = {
    "error": "raises an error",
    "silent": "raises nothing and does something else",
    "install": "fails to install or to import",
}
SOURCE_LINE = re.compile(r"(<cell>:|<(?:site|python)>/\S+\.py:)\d+")
"""Where a warning was raised: in TensorFlow's source that moves with every release, and says nothing to a reader."""

STYLE = re.compile(r"\x1b\[[\d;]*m|\\x1b\[[\d;]*m")
"""What makes a terminal print bold or in colour (Keras 3 does so in messages), as it is and as `matrix.visible` shows it."""

LONGEST = 20_000
"""Characters of one output that a page shows; the notebook has them all."""


@dataclass(frozen=True)
class Part:
    """One text of an outcome: what it is, and the text."""

    label: str
    text: str


@dataclass(frozen=True)
class Row:
    """The evidence of neighbouring pins that did the same: a line, and behind it what the line could not hold.

    Pins are one group of the recorded matrix only if their warnings agree too, to the line of TensorFlow's source they
    came from. A reader asks what the program did, so here they share a row, and their warnings are notes to it.
    """

    anchor: str
    label: str
    classes: str
    failed: bool
    head: str
    line: int | None
    notes: tuple[tuple[int, str], ...]
    """The first of neighbouring notes, and what they are called: `5`, or `31–44`."""
    parts: tuple[Part, ...]
    open: bool


@dataclass
class Notes:
    """The warnings of a page, each once, numbered as they come, with the pins that they were seen on."""

    seen: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def add(self, groups: Sequence[Group]) -> tuple[tuple[int, str], ...]:
        """What these groups warned of, as a row has it."""
        numbers = set()
        for group in groups:
            for warning in group.get("warnings", []):
                key = (
                    matrix.visible(warning["category"]),
                    matrix.visible(SOURCE_LINE.sub(r"\1…", unstyled(warning["message"]))).strip("\n"),
                )
                self.seen.setdefault(key, []).extend(group["pins"])
                numbers.add(list(self.seen).index(key) + 1)
        starts = [number for number in sorted(numbers) if number - 1 not in numbers]
        ends = [number for number in sorted(numbers) if number + 1 not in numbers]
        pairs = zip(starts, ends, strict=True)
        return tuple((start, str(start) if start == end else f"{start}–{end}") for start, end in pairs)

    def told(self, order: Sequence[str]) -> list[tuple[str, str, str]]:
        """Category, pins and text of each."""
        return [
            (category, matrix.label([pin for pin in order if pin in pins], order), clipped(message))
            for (category, message), pins in self.seen.items()
        ]


@dataclass(frozen=True)
class Program:
    cell: Cell
    role: str
    strip: Strip
    at: Mapping[str, str]
    """Each pin's evidence."""
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Message:
    label: str
    text: str


def page(breakage: Breakage, extract: Extract, urls: Mapping[str, str], title_of: Callable[[str], str]) -> str:
    """The page's HTML. `urls` leads to `releases` and `notebook`, and to each related breakage by its id."""
    notes = Notes()
    programs = {cell.number: program(breakage, cell, notes) for cell in breakage.programs}
    return render(
        "breakage.html",
        breakage=breakage,
        extract=extract,
        facts=facts(breakage),
        strip=strips.of_page(breakage, lambda pin: evidence(breakage, programs, pin)),
        messages=messages(breakage),
        verdicts=verdicts(breakage),
        no_fix=no_fix(breakage),
        section=section,
        code=code,
        cells=list(zip(breakage.cells, extract.cells, strict=True)),
        programs=programs,
        notes=notes.told(breakage.order),
        related=[(urls[other], title_of(other)) for other in breakage.related if other in urls],
        urls=urls,
    )


def no_fix(breakage: Breakage) -> str:
    """The program above the first text that says why there is no fix: where a verdict leads that has none to offer."""
    notes = [cell for cell in breakage.cells if "no-fix" in cell.tags]
    before = breakage.before(notes[0]) if notes else None
    return f"C{before.number}" if before else breakage.slug


def facts(breakage: Breakage) -> list[str]:
    """Since when, until when, of which kind: what a reader asks first, a few words each."""
    told = [KINDS.get(breakage.kind, breakage.kind)]
    newest = breakage.order[-1]
    if breakage.baseline == BEFORE_ALL:
        told.insert(0, f"Gone before TensorFlow {breakage.order[0]}")
    elif breakage.since is not None:
        still = newest in breakage.broken_pins
        told[:0] = [f"Since TensorFlow {breakage.since}", f"still so in {newest}" if still else f"not in {newest}"]
    return told


def messages(breakage: Breakage) -> tuple[list[Message], list[Message]]:
    """What people see: on the newest release that shows any, and what else, the newer the earlier."""
    order = breakage.order
    found = sorted(breakage.messages, key=lambda each: -order.index(each[1][-1]))
    newest = found[0][1][-1] if found else ""
    told = [(Message(matrix.label(pins, order), STYLE.sub("", text)), newest in pins) for text, pins in found]
    return [each for each, now in told if now], [each for each, now in told if not now]


def program(breakage: Breakage, cell: Cell, notes: Notes) -> Program:
    made = rows(breakage, cell, notes)
    at = {pin: f"#{row.anchor}" for pins, row in made for pin in pins}
    strip = strips.of_program(breakage, cell, lambda pin: at.get(pin, "#"))
    return Program(cell, ROLES[cell.role], strip, at, tuple(row for _, row in made))


def evidence(breakage: Breakage, programs: Mapping[int, Program], pin: str) -> str:
    """Where the page's own strip leads on a pin: to the program that breaks there, else to the first that may."""
    befores = [cell for cell in breakage.programs if cell.role == "before"]
    cell = next((each for each in befores if pin in breakage.broken(each)), befores[0] if befores else None)
    return programs[cell.number].at.get(pin, "#") if cell else "#"


def rows(breakage: Breakage, cell: Cell, notes: Notes) -> list[tuple[list[str], Row]]:
    """A program's rows, each with the pins that it stands for in the strip: those whose outcome it shows."""
    recorded = matrix.group(cell.reading, breakage.order)["groups"]
    made = []
    merged = [list(same) for _, same in groupby(recorded, key=did)]
    for number, (groups, head) in enumerate(
        zip(merged, heads([unstyled(groups[0]) for groups in merged]), strict=True), 1
    ):
        outcome = unstyled(groups[0])
        pins = [pin for group in groups for pin in group["pins"]]
        stands_for = [pin for pin in pins if did(cell.at(pin) or {}) == did({**groups[0], "from": None})]
        failed = outcome["status"] != "ok"
        state = breakage.state(cell, stands_for[0]) if stands_for else "broken" if failed else "ok"
        label = matrix.label(pins, breakage.order)
        row = Row(
            anchor=f"C{cell.number}-{number}",
            label=f"{outcome['from']} → {label}" if "from" in outcome else label,
            classes=strips.classes([state]),
            failed=failed,
            head=head,
            line=outcome["error"]["line"] if outcome["status"] == "error" else None,
            notes=notes.add(groups),
            parts=tuple(part for part in parts(outcome) if part.text != head),
            open=breakage.order[-1] in stands_for,
        )
        made.append((stands_for, row))
    return made


def did(outcome: Outcome) -> dict[str, object]:
    """What a program did, warnings apart."""
    return {"from": None, **{name: value for name, value in outcome.items() if name not in ("pins", "warnings")}}


def unstyled(value: Any) -> Any:
    """A recorded value as a terminal's text: without what only styles it."""
    if isinstance(value, str):
        return STYLE.sub("", value) if "\x1b" in value else value
    if isinstance(value, Mapping):
        return {name: unstyled(each) for name, each in value.items()}
    return [unstyled(each) for each in value] if isinstance(value, list) else value


def heads(outcomes: Sequence[Outcome]) -> list[str]:
    """For each outcome the one line that tells it from the others: how it failed, else where what it printed differs."""
    shown = [(matrix.ending(each).splitlines() or matrix.summary({**each, "warnings": []})) for each in outcomes]
    ran = [lines for lines, each in zip(shown, outcomes, strict=True) if each["status"] == "ok"]
    differs = next((at for at, column in enumerate(zip_longest(*ran)) if len(set(column)) > 1), 0)
    return [
        lines[differs] if each["status"] == "ok" and differs < len(lines) else lines[0]
        for lines, each in zip(shown, outcomes, strict=True)
    ]


def parts(outcome: Outcome) -> list[Part]:
    """An outcome's texts, each in full, in the order in which they matter; none where it left none."""
    made = [Part("Raised" if outcome["status"] == "error" else "Ended", matrix.ending(outcome))]
    if outcome["status"] == "error":
        made += [
            Part("Caused by", f"{cause['type']}: {cause['message']}") for cause in outcome["error"].get("causes", [])
        ]
    made.append(Part("Printed", outcome.get("stdout", "")))
    made.append(Part("Value", outcome.get("result") or ""))
    made.append(Part("On stderr", outcome.get("stderr", "")))
    return [Part(part.label, clipped(matrix.visible(part.text).strip("\n"))) for part in made if part.text.strip()]


def clipped(text: str) -> str:
    """A text a page can hold: the middle of an overlong one is left out, and that is said."""
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters left out; the notebook has them …\n{text[-half:]}"
