"""The pinned TensorFlows: what `pins.toml` says of each, and where each one's lock and environment are.

Free of uv and of anything slow, because the kernel imports it; `provision` makes the locks and the environments.
"""

import difflib
import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from tf_breakages.errors import MachineryError
from tf_breakages.paths import home, root

T = TypeVar("T")

GROUPS = ("core", "all")
"""Words that stand for several pins wherever a list of pins is taken."""


@dataclass(frozen=True)
class Pin:
    """One TensorFlow release with its Python and its locked dependencies. `size_mb` is what it takes on disk, in MB."""

    name: str
    requirement: str
    python: str
    released: date
    era: str
    core: bool
    constraints: tuple[str, ...]
    companions: tuple[str, ...]
    size_mb: int

    @property
    def release(self) -> str:
        """The version of TensorFlow, "2.16.2"."""
        return self.requirement.partition("==")[2]

    @property
    def lock(self) -> Path:
        """The hash-locked requirements file, which `tfb lock` makes."""
        return root() / "pins" / f"tf-{self.name}.txt"

    @property
    def lock_hash(self) -> str:
        """The SHA-256 of the lock's bytes, in hex; MachineryError without a lock."""
        try:
            return hashlib.sha256(self.lock.read_bytes()).hexdigest()
        except FileNotFoundError:
            raise MachineryError(f"Pin {self.name} has no lock: {self.lock} is missing.", "Run `tfb lock`.") from None

    @property
    def environment(self) -> Path:
        """Where it is installed: named by its lock, so that a changed lock is a new environment."""
        return home() / "envs" / f"tf-{self.name}-{self.lock_hash[:12]}"

    @property
    def interpreter(self) -> Path:
        """The environment's Python."""
        return self.environment / "bin" / "python"

    @property
    def marker(self) -> Path:
        """Written last of all by `tfb install`, so that an interrupted install is never mistaken for a whole one."""
        return self.environment / "tfb-installed.json"

    @property
    def installed(self) -> bool:
        """Whether an install was finished. `tfb doctor` says whether it is still whole."""
        return self.marker.is_file()


def load() -> tuple[Pin, ...]:
    """All pins, in the order of `pins.toml`, oldest first; MachineryError if that file can't be used."""
    document = read()
    tables = document.get("pin", [])
    if not isinstance(tables, list) or not tables:
        raise _wrong("it needs at least one [[pin]] table")
    shared = _texts(document, "constraints", "the top level")
    pins = tuple(_pin(number, table, shared) for number, table in enumerate(tables, 1))
    for number, pin in enumerate(pins):
        if any(pin.name == other.name for other in pins[:number]):
            raise _wrong(f"pin {pin.name} stands in it twice")
    return pins


def select(spec: str | None, default: str = "core") -> tuple[Pin, ...]:
    """The pins that `spec` means: `core`, `all`, or a list as in `2.2,2.16`; in the file's order, each once.

    Without a spec, the environment variable TFB_PINS is taken, then `default`. MachineryError if a pin is unknown.
    """
    pins = load()
    words = [word.strip() for word in (spec or os.environ.get("TFB_PINS") or default).split(",") if word.strip()]
    known = [pin.name for pin in pins]
    for word in words:
        if word not in known and word not in GROUPS:
            close = difflib.get_close_matches(word, [*known, *GROUPS], n=1, cutoff=0.5)
            guess = f" Did you mean {close[0]}?" if close else ""
            raise MachineryError(
                f"Unknown pin {word!r}.{guess}", f"The pins are {', '.join(known)}; also `core`, `all`."
            )
    chosen = tuple(pin for pin in pins if pin.name in words or "all" in words or (pin.core and "core" in words))
    if not chosen:
        raise MachineryError(f"No pin is selected by {spec or default!r}.", f"The pins are {', '.join(known)}.")
    return chosen


def installed() -> tuple[Pin, ...]:
    """The pins that are installed here, oldest first; MachineryError if none is."""
    found = tuple(pin for pin in load() if pin.lock.exists() and pin.installed)
    if not found:
        raise MachineryError("No pin is installed.", "Run: tfb install core")
    return found


def usual() -> tuple[Pin, ...]:
    """The pins a program runs on where nobody says which: those of TFB_PINS, else all that are installed."""
    return select(None) if os.environ.get("TFB_PINS") else installed()


def read() -> Mapping[str, Any]:
    """`pins.toml` as it stands; MachineryError if it is missing or no TOML."""
    try:
        return tomllib.loads(_file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MachineryError(
            f"{_file()} is missing.",
            "Run tfb inside the repository's own environment, or point TFB_ROOT at a checkout.",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _wrong(str(error)) from None


def _file() -> Path:
    return root() / "pins.toml"


def _wrong(what: str) -> MachineryError:
    return MachineryError(f"{_file()}: {what}.", "Correct that file; CONTRIBUTING.md says what each key means.")


def _pin(number: int, table: Any, shared: tuple[str, ...]) -> Pin:
    if not isinstance(table, dict):
        raise _wrong(f"pin number {number} is not a table")
    where = f"pin {table.get('name', f'number {number}')}"
    if unknown := sorted(table.keys() - Pin.__dataclass_fields__.keys()):
        raise _wrong(f"{where}: unknown key {unknown[0]!r}")

    def value(key: str, kind: type[T], form: str = "") -> T:
        if key not in table:
            raise _wrong(f"{where}: the key {key!r} is missing")
        if type(table[key]) is not kind:
            raise _wrong(f"{where}: {key!r} is {table[key]!r}, not of type {kind.__name__}")
        if form and not re.fullmatch(form, str(table[key])):
            raise _wrong(f"{where}: {key!r} is {table[key]!r}, which does not look like {form!r}")
        return table[key]  # type: ignore[no-any-return]

    return Pin(
        name=value("name", str, r"\d+\.\d+"),
        requirement=value("requirement", str, r"tensorflow(-cpu)?==[\w.]+"),
        python=value("python", str, r"3\.\d+"),
        released=value("released", date),
        era=value("era", str),
        core=value("core", bool) if "core" in table else False,
        constraints=(*shared, *_texts(table, "constraints", where)),
        companions=_texts(table, "companions", where),
        size_mb=value("size_mb", int),
    )


def _texts(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    texts = table.get(key, [])
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise _wrong(f"{where}: {key!r} is not a list of strings")
    return tuple(texts)
