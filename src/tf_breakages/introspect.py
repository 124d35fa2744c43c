"""Completion and inspection for the kernel, answered by the newest pin: the cell's imports run there, nothing else does."""

import ast
import json
import re
from typing import Any

from tf_breakages.errors import MachineryError
from tf_breakages.pins import installed
from tf_breakages.pool import Pool
from tf_breakages.program import Limits, Program

NAME = re.compile(r"[A-Za-z_][\w.]*\Z")

COMPLETE = """
import json, rlcompleter
completer, found = rlcompleter.Completer(globals()), []
while True:
    match = completer.complete({name!r}, len(found))
    if match is None or len(found) == 500:
        break
    found.append(match)
print("\\n" + json.dumps(found))
"""

INSPECT = """
import inspect, json
subject = {name}
try:
    signature = str(inspect.signature(subject))
except (TypeError, ValueError):
    signature = ""
print("\\n" + json.dumps({name!r} + signature + "\\n\\n" + (inspect.getdoc(subject) or "")))
"""


def complete(code: str, cursor: int) -> dict[str, Any]:
    """Matches for the name before the cursor, and where it stands in the code."""
    name = _name_at(code[:cursor])
    nothing = {"matches": [], "cursor_start": cursor, "cursor_end": cursor}
    found = _ask(code, COMPLETE.format(name=name)) if name else None
    if not found:
        return nothing
    matches = list(dict.fromkeys(match.removesuffix("(").removesuffix(")") for match in found))
    return {"matches": matches, "cursor_start": cursor - len(name), "cursor_end": cursor}


def inspect(code: str, cursor: int) -> str:
    """Signature and docstring of the name at the cursor; empty where there is none."""
    rest = re.match(r"\w*", code[cursor:])
    name = _name_at(code[:cursor] + (rest.group() if rest else "")).rstrip(".")
    return str(_ask(code, INSPECT.format(name=name)) or "") if name else ""


def _name_at(text: str) -> str:
    match = NAME.search(text)
    return match.group() if match else ""


def _ask(code: str, question: str) -> Any:
    """What the question printed last on the newest installed pin, below the cell's imports; None where it could not."""
    source = "\n".join([*_imports(code), question])
    try:
        pin = installed()[-1]
        outcome = Pool().run([Program(source, Limits(seconds=20))], [pin])[0][(None, pin.name)]
        return json.loads(outcome["stdout"].rstrip().rpartition("\n")[2]) if outcome["status"] == "ok" else None
    except (MachineryError, ValueError):
        return None


def _imports(code: str) -> list[str]:
    """The cell's top-level import lines, however unfinished the rest is."""
    found = []
    for line in code.splitlines():
        if line.startswith(("import ", "from ")):
            try:
                ast.parse(line)
            except SyntaxError:
                continue
            found.append(line)
    return found
