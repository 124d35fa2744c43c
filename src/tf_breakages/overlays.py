"""Overlays: locked packages that a program lays over a pin's own with `# tfb: with NAME`."""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tf_breakages.errors import MachineryError
from tf_breakages.paths import home, root
from tf_breakages.pins import Pin, read


@dataclass(frozen=True)
class Overlay:
    """Requirements that are imported instead of what a pin has under the same name.

    A requirement with a marker (`numpy>=2; python_version >= "3.9"`) leaves a pin of another Python as it is.
    """

    name: str
    requirements: tuple[str, ...]

    @property
    def lock(self) -> Path:
        """The hash-locked requirements file, which `tfb lock` makes."""
        return root() / "pins" / "overlays" / f"{self.name}.txt"

    @property
    def lock_hash(self) -> str:
        """The SHA-256 of the lock's bytes, in hex; MachineryError without a lock."""
        try:
            return hashlib.sha256(self.lock.read_bytes()).hexdigest()
        except FileNotFoundError:
            raise MachineryError(
                f"The overlay {self.name} has no lock: {self.lock} is missing.", "Run `tfb lock`."
            ) from None

    def folder(self, pin: Pin) -> Path:
        """Where its packages are for the Python of this pin; the folder exists only when all of them are there."""
        return home() / "overlays" / f"{self.name}-{self.lock_hash[:12]}-{pin.python}"


def load() -> dict[str, Overlay]:
    """All overlays of `pins.toml` by name; MachineryError if a table of it can't be used."""
    found = {}
    for table in read().get("overlay", []):
        name, requirements = table.get("name"), table.get("requirements")
        if table.keys() != {"name", "requirements"} or not isinstance(name, str) or not isinstance(requirements, list):
            raise MachineryError(
                f"{root() / 'pins.toml'}: an [[overlay]] has {sorted(table)}, not a name and a list of requirements.",
                "Correct that file; CONTRIBUTING.md says what each key means.",
            )
        found[name] = Overlay(name, tuple(map(str, requirements)))
    return found


def named(names: Sequence[str]) -> list[Overlay]:
    """The overlays that a program names; MachineryError for one that `pins.toml` does not have."""
    known = load()
    for name in names:
        if name not in known:
            raise MachineryError(f"`# tfb: with {name}` names no overlay.", f"Known: {', '.join(known) or 'none'}.")
    return [known[name] for name in names]


def packages(names: Sequence[str], pin: Pin) -> list[Path]:
    """The folders a program finds its overlays in on this pin; MachineryError for one that is not installed."""
    folders = [overlay.folder(pin) for overlay in named(names)]
    for name, folder in zip(names, folders, strict=True):
        if not folder.is_dir():
            raise MachineryError(
                f"the overlay {name} is not installed for Python {pin.python}", f"Run: tfb install {pin.name}"
            )
    return folders


def missing(pins: Sequence[Pin]) -> list[tuple[Overlay, Pin]]:
    """What `tfb install` of these pins has still to lay beside them: each overlay once for each Python."""
    pythons = {pin.python: pin for pin in pins}
    return [
        (overlay, pin) for overlay in load().values() for pin in pythons.values() if not overlay.folder(pin).is_dir()
    ]


def install(overlay: Overlay, pin: Pin) -> None:
    """Install an overlay for the Python of an installed pin; MachineryError if that fails, and then nothing is left."""
    from tf_breakages.uv import Children, Failed, explain

    folder = overlay.folder(pin)
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        Children().uv(
            *("pip", "install", "--quiet", "--python", pin.interpreter, "--target", fresh),
            *("--no-deps", "--require-hashes", "-r", overlay.lock),
        )
        fresh.rename(folder)
    except Failed as failure:
        raise explain(
            failure.output, f"The overlay {overlay.name} is not installed", f"run `tfb install {pin.name}` again"
        ) from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
