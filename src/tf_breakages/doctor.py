"""`tfb doctor`: what is wrong with what `tfb install` left behind, and what to do about each."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tf_breakages import client
from tf_breakages.paths import home
from tf_breakages.pins import Pin, load
from tf_breakages.provision import damage, megabytes


@dataclass(frozen=True)
class Problem:
    """Something wrong on this machine, and the remedy."""

    what: str
    remedy: str


def problems() -> Iterator[Problem]:
    """All that is wrong, as it is found; MachineryError if `pins.toml` itself can't be used."""
    for check in CHECKS:
        yield from check()


def remove_old() -> list[Path]:
    """Remove the environments that no lock of this checkout names any more, and return what they were."""
    old = _old()
    for folder in old:
        shutil.rmtree(folder)
    return old


def _damaged() -> Iterator[Problem]:
    for pin in load():
        again = f"Run `tfb install --force {pin.name}`."
        if not pin.lock.exists():
            yield Problem(f"Pin {pin.name} has no lock: {pin.lock} is missing.", "Run `tfb lock`.")
        elif not pin.installed:
            if pin.environment.exists():
                yield Problem(f"Pin {pin.name}: an install was interrupted.", f"Run `tfb install {pin.name}`.")
        elif not _runs(pin):
            yield Problem(f"Pin {pin.name}: its Python {pin.python} is gone, or does not start.", again)
        elif broken := damage(pin):
            named = ", ".join(path for _, path in broken[:3])
            yield Problem(f"Pin {pin.name}: {len(broken)} files are missing or changed, such as {named}.", again)


def _runs(pin: Pin) -> bool:
    try:
        return (
            subprocess.run([pin.interpreter, "-I", "-c", ""], capture_output=True, timeout=60, check=False).returncode
            == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def _superseded() -> Iterator[Problem]:
    for folder in _old():
        yield Problem(
            f"{folder}, {megabytes(folder)} MB, was made from a lock that this checkout has no more.",
            "Run `tfb doctor --remove-old`, unless another checkout uses it.",
        )


def _old() -> list[Path]:
    current = {pin.environment for pin in load() if pin.lock.exists()}
    return sorted(folder for folder in (home() / "envs").glob("tf-*") if folder not in current)


def _stale_workers() -> Iterator[Problem]:
    for folder in client.stale():
        yield Problem(f"The worker in {folder} belongs to an older lock or source and still runs.", "Run `tfb stop`.")


CHECKS: list[Callable[[], Iterator[Problem]]] = [_damaged, _superseded, _stale_workers]
