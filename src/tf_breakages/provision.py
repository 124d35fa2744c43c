"""`tfb install`: from a lock to an environment that was seen to work, or to a sentence that says why not."""

import csv
import json
import os
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tf_breakages.errors import MachineryError
from tf_breakages.interpreters import interpreter
from tf_breakages.lock import build_lock
from tf_breakages.paths import home
from tf_breakages.pins import Pin
from tf_breakages.uv import Children, Failed, explain

_SEE = """
import importlib, sys
import tensorflow
for name in sys.argv[2:]:
    importlib.import_module(name)
if tensorflow.__version__ != sys.argv[1]:
    sys.exit("it says that it is TensorFlow " + tensorflow.__version__)
"""
"""Run by an environment's own Python, 3.7 or later."""

_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
_MODULES = {"pillow": "PIL"}
"""Companions that are imported by another name than they are installed by."""


def install(pins: Sequence[Pin], *, console: Console, force: bool = False) -> None:
    """Install the pins that are not installed yet; with `force`, the others anew.

    A pin that fails keeps none of the others from being installed. MachineryError at the end names each that failed,
    with the cause and the remedy. Stopped by Ctrl-C or killed, it leaves nothing that counts as installed, and what was
    downloaded is kept for the next time.
    """
    with _only_install(console):
        missing = [pin for pin in pins if force or not pin.installed]
        _check_space(missing)
        failures = _install_all(missing, console)
    if failures:
        causes = "\n".join(f"\n{error.cause}\n{error.remedy}" for error in failures.values())
        raise MachineryError(
            f"{len(failures)} of {len(missing)} pins are not installed: {', '.join(failures)}.\n{causes}"
        )


def installed_mb(pin: Pin) -> int | None:
    """The size of a pin's environment in MB as it was installed; None if it is not."""
    try:
        return int(json.loads(pin.marker.read_text(encoding="utf-8"))["size_mb"]) if pin.lock.exists() else None
    except FileNotFoundError:
        return None


def damage(pin: Pin) -> list[tuple[str, str]]:
    """The files that an installed pin lacks, or that have another size than was installed: (distribution, path)."""
    site = next((pin.environment / "lib").glob("python3*/site-packages"), None)
    if not site:
        return [(pin.requirement.partition("==")[0], f"{pin.environment}/lib")]
    sizes: dict[str, set[int]] = defaultdict(set)
    owner: dict[str, str] = {}
    for record in site.glob("*.dist-info/RECORD"):
        with record.open(newline="", encoding="utf-8") as rows:
            for path, _, size in csv.reader(rows):
                # Two distributions may own one path (namespace packages): whichever came last is what stands there.
                sizes[path].add(int(size) if size else -1)
                owner[path] = record.parent.name.partition("-")[0]
    return [(owner[path], path) for path, known in sizes.items() if not _stands(site / path, known)]


def megabytes(folder: Path) -> int:
    """The size of all files in a folder, in MB, those included that it shares with other folders."""
    return round(sum(state.st_size for state in _files(folder)) / 1e6)


def _stands(path: Path, sizes: set[int]) -> bool:
    try:
        return -1 in sizes or path.stat().st_size in sizes
    except OSError:
        return False


@contextmanager
def _only_install(console: Console) -> Iterator[None]:
    """Be the only install in this home; wait for another one to end."""
    try:
        home().mkdir(parents=True, exist_ok=True)
        lock = FileLock(home() / "install.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            console.print("Another `tfb install` is at work; waiting for it to end.")
            lock.acquire()
    except OSError as error:
        raise MachineryError(f"{home()} can't be used: {error.strerror}.", "Point TFB_HOME at another place.") from None
    try:
        yield
    finally:
        lock.release()


def _check_space(pins: Sequence[Pin]) -> None:
    """MachineryError if the disk has less room than these pins are known to take."""
    need = sum(pin.size_mb for pin in pins)
    free = shutil.disk_usage(home()).free // 10**6
    # What an interrupted install downloaded is no part of an environment yet, and will not be downloaded again.
    if free < need and free + _unused_mb(home() / "uv-cache") < need:
        each = ", ".join(f"{pin.name}: {pin.size_mb}" for pin in pins)
        raise MachineryError(
            f"The disk of {home()} has {free} MB free; {len(pins)} pins take {need} MB ({each}).",
            "Free some space, point TFB_HOME at another disk, or install fewer pins: `tfb install core`.",
        )


def _unused_mb(cache: Path) -> int:
    return sum(state.st_size for state in _files(cache) if state.st_nlink == 1) // 10**6


def _files(folder: Path) -> Iterator[os.stat_result]:
    return (Path(inner, file).lstat() for inner, _, files in os.walk(folder) for file in files)


def _install_all(pins: Sequence[Pin], console: Console) -> dict[str, MachineryError]:
    children = Children()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total:.0f} MB {task.fields[stage]}"),
        TimeRemainingColumn(),
    )
    failures = {}
    with (
        Progress(*columns, console=console, transient=True) as progress,
        # Downloads, unpacking and imports overlap: one more than there are cores keeps all of them busy.
        ThreadPoolExecutor(max_workers=(os.cpu_count() or 1) + 1) as threads,
    ):
        whole = progress.add_task("all", total=sum(pin.size_mb for pin in pins), stage="")
        jobs = [(pin, threads.submit(_Install(pin, children, progress, whole).run)) for pin in pins]
        try:
            for pin, job in jobs:
                try:
                    job.result()
                except MachineryError as error:
                    failures[pin.name] = error
        except KeyboardInterrupt:
            children.stop()
            threads.shutdown(cancel_futures=True)
            raise KeyboardInterrupt("Stopped. `tfb install` goes on from here: what is downloaded is kept.") from None
    return failures


class _Install:
    """One pin on its way from nothing to its marker."""

    def __init__(self, pin: Pin, children: Children, progress: Progress, whole: TaskID) -> None:
        self._pin = pin
        self._children = children
        self._progress = progress
        self._whole = whole
        self._reached = 0.0
        self._sizes: dict[str, float] = {}
        self._arrived: set[str] = set()

    def run(self) -> None:
        """Install, verify and mark the pin; MachineryError if that fails, and then nothing of it is left."""
        pin, start = self._pin, time.monotonic()
        pin.marker.unlink(missing_ok=True)
        self._task = self._progress.add_task(pin.name, total=pin.size_mb, stage="")
        try:
            self._build()
            if broken := damage(pin):
                # The cache shares its files with the environments, so what was damaged there is damaged here too.
                self._uv("cache", "clean", *sorted({distribution for distribution, _ in broken}))
                self._build()
            if broken := damage(pin):
                raise MachineryError(f"Pin {pin.name}: {broken[0][1]} is not as it should be.", _again(pin))
            self._reach(0.85, "importing")
            self._see()
            size = self._mark()
            self._reach(1, "")
            self._progress.console.print(f"{pin.name:>5}  {size} MB, {time.monotonic() - start:.0f} s")
        except OSError as error:
            raise explain(
                f"{error} (os error {error.errno})", f"Pin {pin.name} is not installed", _again(pin)
            ) from None
        finally:
            if not pin.installed:
                shutil.rmtree(pin.environment, ignore_errors=True)
            self._progress.remove_task(self._task)

    def _build(self) -> None:
        pin, python = self._pin, interpreter(self._pin.python)
        which = (python,) if python else (pin.python, "--managed-python")
        # An environment can't be moved, so it is built where it stays, over whatever an interrupted install left.
        try:
            self._children.uv("venv", "--quiet", "--no-project", "--clear", pin.environment, "--python", *which)
        except Failed as failure:
            if python or "os error 28" in failure.output:
                raise explain(failure.output, f"Pin {pin.name} is not installed", _again(pin)) from None
            raise MachineryError(
                f"Pin {pin.name} needs Python {pin.python}: there is none on PATH nor among pyenv's, and uv got none.\n"
                + "\n".join(f"    {line}" for line in failure.output.strip().splitlines()),
                f"Install Python {pin.python} so that `python{pin.python}` is on PATH; then {_again(pin)}.",
            ) from None
        # The lock is whole, so nothing needs to be resolved; what TensorFlow asks for may be left out of it on purpose.
        self._uv(
            *("pip", "install", "--python", pin.interpreter, "--no-deps", "--require-hashes", "-r", pin.lock),
            *("--build-constraints", build_lock()),
        )

    def _uv(self, *arguments: str | Path) -> None:
        try:
            self._children.uv(*arguments, heard=self._hear)
        except Failed as failure:
            raise explain(failure.output, f"Pin {self._pin.name} is not installed", _again(self._pin)) from None

    def _hear(self, line: str) -> None:
        """Follow what uv says: "Downloading numpy (18.2MiB)", later " Downloaded numpy"."""
        if match := re.match(r"\s*Downloading (\S+) \(([\d.]+)([KMG])iB\)", line):
            self._sizes[match[1]] = float(match[2]) * {"K": 1e-3, "M": 1, "G": 1e3}[match[3]]
        elif match := re.match(r"\s*Downloaded (\S+)", line):
            self._arrived.add(match[1])
        elif line.startswith("Prepared"):
            self._reach(0.7, "unpacking")
            return
        if self._sizes:
            share = sum(self._sizes.get(name, 0) for name in self._arrived) / sum(self._sizes.values())
            self._reach(0.7 * share, "downloading")

    def _reach(self, share: float, stage: str) -> None:
        more = max(0.0, share - self._reached) * self._pin.size_mb
        self._reached = max(share, self._reached)
        self._progress.update(self._task, advance=more, stage=stage)
        self._progress.advance(self._whole, more)

    def _see(self) -> None:
        pin = self._pin
        names = [re.split(r"[^\w-]", companion)[0] for companion in pin.companions]
        modules = [_MODULES.get(name, name.replace("-", "_")) for name in names]
        command = (pin.interpreter, "-I", "-W", "ignore", "-c", _SEE, pin.release, *modules)
        try:
            self._children.run(*command, environment={**os.environ, **_QUIET})
        except Failed as failure:
            said = "\n".join(f"    {line}" for line in failure.output.strip().splitlines()[-12:])
            raise MachineryError(
                f"Pin {pin.name} was installed, but does not work here.\n{said}",
                "TensorFlow runs on x86_64 Linux with glibc and a CPU that has AVX. If this one has, please report it.",
            ) from None

    def _mark(self) -> int:
        """Write the marker, last of all and whole; returns the size of the environment in MB."""
        pin = self._pin
        size = megabytes(pin.environment)
        fresh = pin.marker.with_suffix(".new")
        fresh.write_text(json.dumps({"requirement": pin.requirement, "python": pin.python, "size_mb": size}) + "\n")
        fresh.replace(pin.marker)
        return size


def _again(pin: Pin) -> str:
    return f"run `tfb install {pin.name}` again"
