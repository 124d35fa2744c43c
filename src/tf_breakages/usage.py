"""How much of what public TensorFlow 1 code calls is answered by the notebooks: the share of its broken call sites.

The call sites are those of `data/usage.json`, which tells their origin. A site is broken on a release where its symbol does
not resolve. It is answered there if a `before` program really uses the symbol, through its imports, and fails on that
release, and a fix of that same program is a way out on that release. A program that uses several missing symbols fails
at the first; each of them alone would make it fail, and its fixes replace them all, so it answers for each.
"""

import ast
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from tf_breakages.breakage import Breakage
from tf_breakages.paths import root

PRIVATE = ("python", "examples", "core", "tools")
"""Below these, `tensorflow` is not spelt `tf` in the survey: they are no part of the public API."""


@dataclass(frozen=True)
class Symbol:
    """A symbol of the survey: its name, its call sites, and the surveyed releases on which it resolves."""

    name: str
    sites: int
    resolves_on: frozenset[str]


@dataclass(frozen=True)
class Share:
    """Call sites that are broken on a release, and how many of them some notebook answers there."""

    release: str
    broken: int
    answered: int

    @property
    def part(self) -> float:
        return self.answered / self.broken if self.broken else 1.0


@cache
def survey() -> tuple[tuple[str, ...], tuple[Symbol, ...]]:
    """The surveyed releases, oldest first, and the symbols, most used first."""
    data = json.loads((root() / "data" / "usage.json").read_text("utf-8"))
    symbols = tuple(
        Symbol(name, each["sites"], frozenset(each["resolves_on"])) for name, each in data["symbols"].items()
    )
    return tuple(data["releases"]), symbols


def used(source: str) -> frozenset[str]:
    """Every dotted name that a program imports or reads through its imports, and what stands before each of its dots.

    Spelt as in the survey: `tf.…` whatever TensorFlow is called in the program, `tensorflow.python.…` for what is private.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return frozenset()
    meaning: dict[str, str] = {}
    found: set[str] = set()
    for node in _in_order(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.add(alias.name)
                meaning[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                meaning[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                found.add(f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Attribute | ast.Name) and (name := _dotted(node, meaning)):
            found.add(name)
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            value = _dotted(node.value, meaning)  # `slim = tf.contrib.slim`
            if value:
                meaning[node.targets[0].id] = value
            else:
                meaning.pop(node.targets[0].id, None)
    return frozenset(_spelt(prefix) for name in found for prefix in _prefixes(name))


def answered(breakages: Iterable[Breakage]) -> dict[str, set[str]]:
    """For each surveyed release the symbols that are broken there and answered by some notebook."""
    releases, symbols = survey()
    by_name = {symbol.name: symbol for symbol in symbols}
    found: dict[str, set[str]] = {release: set() for release in releases}
    for breakage in breakages:
        for before in (cell for cell in breakage.programs if cell.role == "before"):
            names = used(before.source) & by_name.keys()
            fixes = breakage.answers(before, "fix")
            for release in releases:
                if (
                    before.at(release)
                    and not before.ok(release)
                    and any(breakage.solves(fix, release) for fix in fixes)
                ):
                    found[release] |= {name for name in names if release not in by_name[name].resolves_on}
    return found


def call_sites(breakage: Breakage) -> int:
    """How common a breakage is: the survey's call sites of the symbols it names, of those that some release lost."""
    releases, symbols = survey()
    lost = (symbol for symbol in symbols if len(symbol.resolves_on) < len(releases))
    return sum(symbol.sites for symbol in lost if symbol.name in breakage.symbols)


def shares(breakages: Sequence[Breakage]) -> list[Share]:
    """The share of each surveyed release on which anything is broken."""
    releases, symbols = survey()
    by_release = answered(breakages)
    made = []
    for release in releases:
        broken = [symbol for symbol in symbols if release not in symbol.resolves_on]
        told = sum(symbol.sites for symbol in broken if symbol.name in by_release[release])
        made.append(Share(release, sum(symbol.sites for symbol in broken), told))
    return [share for share in made if share.broken]


def unanswered(breakages: Sequence[Breakage], release: str) -> list[Symbol]:
    """The symbols broken on a release that no notebook answers there, most used first: the next notebooks."""
    told = answered(breakages)[release]
    return [symbol for symbol in survey()[1] if release not in symbol.resolves_on and symbol.name not in told]


def _in_order(node: ast.AST) -> Iterable[ast.AST]:
    """Statements as they stand; of an assignment its value first, so that a name means what it meant before."""
    for child in ast.iter_child_nodes(node):
        yield from _in_order(child)
        yield child


def _dotted(node: ast.AST, meaning: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return meaning.get(node.id)
    if isinstance(node, ast.Attribute) and (base := _dotted(node.value, meaning)):
        return f"{base}.{node.attr}"
    return None


def _prefixes(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _spelt(name: str) -> str:
    first, _, rest = name.partition(".")
    return name if first != "tensorflow" or rest.partition(".")[0] in PRIVATE else f"tf.{rest}".rstrip(".")
