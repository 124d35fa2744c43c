"""What pytest compares: a recorded matrix cut down to the pins being run, and how a difference is told to a person."""

from collections.abc import Sequence
from typing import Any

from nbformat import NotebookNode

from tf_breakages import matrix, notebook
from tf_breakages.breakage import NBVAL
from tf_breakages.matrix import MIME, Outcome, Reading

LOOPHOLES = ("nbval-", "raises-exception")


class Refused(Exception):
    """A cell that can't be verified: nbval would let it pass, or its recording does not speak of every pin run."""


def expected(cell: NotebookNode, pins: Sequence[str], known: Sequence[str]) -> dict[str, Any]:
    """The output a cell must have on these pins, from its recording. Raises Refused, which says why and what to do."""
    tags = [tag for tag in cell.metadata.get("tags", []) if tag.startswith(LOOPHOLES)]
    if tags or NBVAL.search(cell.source):
        raise Refused(f"it asks nbval to look away ({', '.join(tags) or 'a comment'}); remove that")
    try:
        reading = notebook.recorded(cell)
    except matrix.MatrixError as error:
        raise Refused(f"{error}; record the notebook: tfb record") from error
    missing = [pin for pin in pins if pin not in matrix.pins_of(reading)]
    if missing:
        raise Refused(
            f"its recording lacks pin {', '.join(missing)}; record the notebook: tfb record --pins {','.join(missing)}"
        )
    if dict(cell.outputs[0].data) != matrix.output(matrix.group(reading, known), known):
        raise Refused("its table or grouping is not what its outcomes give; record the notebook: tfb record")
    return matrix.output(matrix.group(matrix.cut(reading, pins), known), known)


def differences(wanted: dict[str, Any], got: Sequence[NotebookNode]) -> list[str]:
    """Pin by pin, what was recorded and what was seen, one block a pin."""
    if len(got) != 1 or MIME not in got[0].get("data", {}):
        said = [f"{each.get('ename', each.output_type)}: {each.get('evalue', '')}" for each in got]
        return ["the kernel gave no matrix: " + ("; ".join(said) or "nothing")]
    recorded, seen = matrix.read(wanted[MIME]), matrix.read(got[0].data[MIME])
    lines = []
    for key in dict.fromkeys([*recorded, *seen]):
        if recorded.get(key) != seen.get(key):
            writer, pin = key
            lines.append(f"pin {pin}" + (f", files from {writer}" if writer else ""))
            lines += _told("recorded", recorded, key) + _told("got", seen, key)
    return lines


def _told(word: str, reading: Reading, key: tuple[str | None, str]) -> list[str]:
    outcome: Outcome | None = reading.get(key)
    body = ["no outcome"] if outcome is None else [*matrix.summary(outcome), *_line(outcome)]
    return [f"    {word if number == 0 else '':<10}{line}" for number, line in enumerate(body)]


def _line(outcome: Outcome) -> list[str]:
    """The line that raised, and the chained causes: they are compared too, though the table does not show them."""
    error = outcome.get("error")
    if not error:
        return []
    return [
        f"(line {error['line']})",
        *(f"(caused by {cause['type']}: {cause['message']})" for cause in error.get("causes", [])),
    ]
