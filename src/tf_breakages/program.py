"""A program: one code cell, how it has to be run, and the limits it runs under."""

import ast
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tf_breakages.errors import MachineryError

BRINGS_TENSORFLOW = frozenset(
    {
        "tensorflow",
        "keras",
        "tf_keras",
        "tf_slim",
        "tensorflow_probability",
        "tensorflow_addons",
        "tensorflow_hub",
        "transformers",
    }
)
"""Packages whose import imports TensorFlow: a program is warm when the first of them comes before anything that acts."""

ENVIRONMENT = re.compile(r"(TF|KERAS|CUDA)_[A-Z0-9_]+")
"""Variables that TensorFlow and Keras read while they are imported."""

DIRECTIVE = re.compile(r"^# tfb:\s*(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Limits:
    """What a program may use: seconds of wall time, bytes of output, bytes of resident memory."""

    seconds: int = 60
    output: int = 1 << 20
    memory: int = 4 << 30


@dataclass(frozen=True)
class Program:
    """One program; `writer` is the code cell above it where the program reads the files that cell left."""

    source: str
    limits: Limits = field(default_factory=Limits)
    writer: "Program | None" = None

    @cached_property
    def cold(self) -> bool:
        """Whether it needs a fresh interpreter: something could act before TensorFlow is imported, or TensorFlow never is."""
        try:
            tree = ast.parse(self.source)
        except (SyntaxError, ValueError):
            return True
        if self.overlays or any(
            isinstance(node, ast.Constant) and _names_environment(node.value) for node in ast.walk(tree)
        ):
            return True
        for statement in tree.body:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                if any(name.partition(".")[0] in BRINGS_TENSORFLOW for name in _imported(statement)):
                    return False
            elif not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
                return True
        return True

    @property
    def writers(self) -> tuple[str, ...]:
        """The pins named by `# tfb: from 1.15 2.15`: each leaves its files to this program.

        Raises MachineryError for a directive that does not exist; so does `overlays`.
        """
        return self._directives["from"]

    @property
    def overlays(self) -> tuple[str, ...]:
        """The overlays named by `# tfb: with numpy-2`: their packages come before the pin's own."""
        return self._directives["with"]

    @cached_property
    def _directives(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {"from": [], "with": []}
        for directive in DIRECTIVE.findall(self.source):
            what, *words = re.split(r"[\s,]+", directive.strip())
            if what not in found or not words:
                raise MachineryError(
                    f"the directive `# tfb: {directive}` is not known",
                    "Known: `# tfb: from PIN [PIN …]` and `# tfb: with OVERLAY [OVERLAY …]`, on a line of its own.",
                )
            found[what] += words
        return {what: tuple(dict.fromkeys(words)) for what, words in found.items()}

    def key(self, *determined_by: str) -> str:
        """The address of this program's outcome where everything in `determined_by` is the same."""
        parts = [self.source, repr(self.limits), *determined_by]
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def programs(sources: Sequence[str], limits: Limits | None = None) -> list[Program]:
    """The programs of a notebook's code cells, in order; one that reads files has the nearest one above that reads none.

    Raises MachineryError where no such cell stands above a reader, or a directive is unknown.
    """
    made: list[Program] = []
    writer = None
    for source in sources:
        program = Program(source, limits or Limits())
        if not program.writers:
            writer = program
        elif writer is None:
            raise MachineryError(
                "a cell says `# tfb: from …`, but no code cell stands above it",
                "Put the program that writes the files first.",
            )
        else:
            program = Program(source, program.limits, writer)
        made.append(program)
    return made


def _names_environment(value: object) -> bool:
    return isinstance(value, str) and ENVIRONMENT.fullmatch(value) is not None


def _imported(statement: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(statement, ast.ImportFrom):
        yield statement.module or ""
    else:
        for alias in statement.names:
            yield alias.name
