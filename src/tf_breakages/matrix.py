"""The matrix: what one program did on all pins, consecutive equal outcomes grouped. The recorded format lives here.

A matrix is the JSON value that `docs/format.md` describes and `SCHEMA` checks. A *reading* is its other form, one
outcome per (writer, pin); writer is None except for a program that reads files other pins wrote.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import jsonschema

MIME = "application/vnd.tf-matrix+json"
VERSION = 1

Outcome = dict[str, Any]
Matrix = dict[str, Any]
Reading = dict[tuple[str | None, str], Outcome]

_TEXT: dict[str, Any] = {"type": "string"}
_STREAMS = {"stdout": _TEXT, "stderr": _TEXT}
_THROWN = {"type": _TEXT, "message": _TEXT}
_RAN = {
    **_STREAMS,
    "warnings": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"category": _TEXT, "message": _TEXT},
            "required": ["category", "message"],
            "additionalProperties": False,
        },
    },
}
_ERROR = {
    "type": "object",
    "properties": {
        **_THROWN,
        "line": {"type": ["integer", "null"]},
        "causes": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": _THROWN,
                "required": ["type", "message"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["type", "message", "line"],
    "additionalProperties": False,
}


def _group(status: str, properties: dict[str, Any], optional: Iterable[str] = (), **more: Any) -> dict[str, Any]:
    known = {
        "pins": {"type": "array", "items": _TEXT, "minItems": 1, "uniqueItems": True},
        "from": _TEXT,
        "status": {"const": status},
        **properties,
    }
    required = [name for name in known if name not in {"from", *optional}]
    return {"type": "object", "properties": known, "required": required, "additionalProperties": False, **more}


SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "tf-matrix",
    "type": "object",
    "properties": {
        "version": {"const": VERSION},
        "groups": {
            "type": "array",
            "items": {
                "oneOf": [
                    _group("ok", {**_RAN, "result": {"type": ["string", "null"]}}),
                    _group("error", {**_RAN, "result": {"type": "null"}, "error": _ERROR}),
                    _group("timeout", {"seconds": {"type": "integer"}}),
                    _group(
                        "crash",
                        {
                            **_STREAMS,
                            "signal": _TEXT,
                            "exit": {"type": "integer"},
                            "limit": {"enum": ["output", "memory"]},
                        },
                        optional=("signal", "exit", "limit"),
                        oneOf=[{"required": [cause]} for cause in ("signal", "exit", "limit")],
                    ),
                ]
            },
        },
    },
    "required": ["version", "groups"],
    "additionalProperties": False,
}
_validator = jsonschema.Draft202012Validator(SCHEMA)


class MatrixError(ValueError):
    """A recorded matrix that is not what the contract says."""


def group(reading: Reading, order: Sequence[str]) -> Matrix:
    """Group a reading: pins in the order given, one group per run of equal outcomes, writers one after the other."""
    groups = []
    position = {pin: number for number, pin in enumerate(order)}
    keys = sorted(reading, key=lambda key: (-1 if key[0] is None else position[key[0]], position[key[1]]))
    for (writer, _), same in groupby(keys, key=lambda key: (key[0], canonical(reading[key]))):
        members = list(same)
        origin = {"from": writer} if writer is not None else {}
        groups.append({"pins": [pin for _, pin in members], **origin, **reading[members[0]]})
    return {"version": VERSION, "groups": groups}


def read(matrix: Matrix) -> Reading:
    """The outcomes of a matrix. Raises MatrixError where it breaks the contract."""
    fault = jsonschema.exceptions.best_match(_validator.iter_errors(matrix))
    if fault is not None:
        where = "/".join(map(str, fault.absolute_path)) or "the matrix"
        raise MatrixError(f"{where}: {fault.message[:300]}")
    reading: Reading = {}
    for each in matrix["groups"]:
        for pin in each["pins"]:
            key = (each.get("from"), pin)
            if key in reading:
                raise MatrixError(f"pin {pin} stands in two groups")
            reading[key] = {name: value for name, value in each.items() if name not in ("pins", "from")}
    return reading


def pins_of(reading: Reading) -> list[str]:
    """The pins a reading speaks of, each once, in its order."""
    return list(dict.fromkeys(pin for _, pin in reading))


def cut(reading: Reading, pins: Sequence[str]) -> Reading:
    """The part of a reading that speaks of these pins."""
    return {key: outcome for key, outcome in reading.items() if key[1] in set(pins)}


def canonical(value: object) -> str:
    """One string for one JSON value."""
    return json.dumps(value, sort_keys=True)


def output(matrix: Matrix, known: Sequence[str]) -> dict[str, Any]:
    """The data of a cell's `execute_result`: the text table and the matrix itself."""
    return {MIME: matrix, "text/plain": render(matrix, known)}


def label(pins: Sequence[str], known: Sequence[str]) -> str:
    """`2.2 – 2.5, 2.8`: the pins, in ranges that span no known pin that is not among them."""
    position = {pin: number for number, pin in enumerate(known)}
    runs: list[list[str]] = []
    for pin in pins:
        if runs and position.get(pin, -2) == position.get(runs[-1][-1], -2) + 1:
            runs[-1].append(pin)
        else:
            runs.append([pin])
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]} – {run[-1]}" for run in runs)


def render(matrix: Matrix, known: Sequence[str]) -> str:
    """The matrix as a table for people: a label and an outcome per group."""
    rows = [(_row_label(each, known), summary(each)) for each in matrix["groups"]]
    width = max([15, *(len(name) + 2 for name, _ in rows)])
    lines = []
    for name, body in rows:
        for number, line in enumerate(body):
            lines.append(f"{name if number == 0 else '':<{width}}{line}".rstrip())
    return "\n".join(lines)


def _row_label(each: Mapping[str, Any], known: Sequence[str]) -> str:
    name = label(each["pins"], known)
    return f"{each['from']} → {name}" if "from" in each else name


def summary(outcome: Mapping[str, Any]) -> list[str]:
    """An outcome as lines of printable text, the way a person would see it in a terminal."""
    lines = visible(outcome.get("stdout", "")).splitlines()
    if outcome.get("result") is not None:
        lines += visible(outcome["result"]).splitlines()
    lines += [f"stderr: {line}" for line in visible(outcome.get("stderr", "")).splitlines()]
    for warning in outcome.get("warnings", []):
        lines += f"warning: {warning['category']}: {visible(warning['message'])}".splitlines()
    lines += ending(outcome).splitlines()
    return lines or ["ok"]


def ending(outcome: Mapping[str, Any]) -> str:
    """How a program ended that did not end well: the error's last line as Python prints it; empty where it is `ok`."""
    if outcome["status"] == "error":
        error = outcome["error"]
        return visible(f"{error['type']}: {error['message']}" if error["message"] else error["type"])
    if outcome["status"] == "timeout":
        return f"timeout: stopped after {outcome['seconds']} s"
    if outcome["status"] == "crash":
        if "limit" in outcome:
            return f"crash: stopped at the limit of {outcome['limit']}"
        return f"crash: {outcome['signal']}" if "signal" in outcome else f"crash: exit status {outcome['exit']}"
    return ""


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]")


def visible(text: str) -> str:
    """Text with control and bidi characters escaped, so that an output can neither clear a screen nor reorder a line."""
    return _CONTROL.sub(
        lambda match: f"\\x{ord(match.group()):02x}" if ord(match.group()) < 256 else f"\\u{ord(match.group()):04x}",
        text.replace("\r\n", "\n"),
    )
