"""The command line, `tfb`. Commands import what they need when they run, so that every one of them starts fast."""

import contextlib
import functools
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tf_breakages.errors import MachineryError

if TYPE_CHECKING:
    from tf_breakages.matrix import Outcome
    from tf_breakages.pool import Pool, Task

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Run TensorFlow programs on every pinned TensorFlow at once."""


Names = Annotated[list[str] | None, typer.Argument(metavar="[PIN…|core|all]", help="Pins; all unless said otherwise.")]
Pins = Annotated[str | None, typer.Option("--pins", metavar="LIST", help="core, all, or a list such as 2.2,2.16.")]

Cached = Annotated[bool, typer.Option("--cache/--no-cache", help="Look up outcomes of unchanged programs, or run all.")]
Paths = Annotated[list[Path], typer.Argument(metavar="NOTEBOOK…", help="Notebooks, or folders of them.")]


def command(function: Callable[..., Any]) -> Callable[..., Any]:
    """Register a command that prints our own failures as cause and remedy (exit 2) and ends on Ctrl-C with 130."""

    @functools.wraps(function)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            function(*arguments, **options)
        except MachineryError as error:
            print(error.cause, file=sys.stderr)
            if error.remedy:
                print(error.remedy, file=sys.stderr)
            raise typer.Exit(2) from None
        except KeyboardInterrupt as stop:
            print(str(stop) or "Stopped.", file=sys.stderr)
            raise typer.Exit(130) from None

    return app.command()(run)


@command
def lock(
    names: Names = None,
    pins: Pins = None,
    upgrade: Annotated[bool, typer.Option(help="Take the newest versions that fit, not those already locked.")] = False,
) -> None:
    """Resolve pins.toml into pins/*.txt and pins/overlays/*.txt, with hashes; and the driver's own environment into pins/driver.txt."""
    from tf_breakages.lock import lock as make
    from tf_breakages.pins import select

    make(select(_spec(names, pins), default="all"), upgrade=upgrade, say=print)


@command
def install(
    names: Names = None,
    pins: Pins = None,
    force: Annotated[bool, typer.Option(help="Make environments anew that are installed already.")] = False,
    read_by: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Also the pins whose files these notebooks read.")
    ] = None,
) -> None:
    """Install pins: `tfb install core`, `tfb install 2.2 2.16`. Can be stopped, and run again, at any time."""
    from tf_breakages import overlays
    from tf_breakages.pins import select

    chosen = select(_spec(names, pins), default="all")
    if read_by:
        from tf_breakages.notebook import writers

        chosen = select(",".join([*(pin.name for pin in chosen), *writers(_notebooks([read_by]))]))
    if force or not all(pin.installed for pin in chosen):
        from rich.console import Console

        from tf_breakages.provision import install as make

        # Being killed is being stopped: the same tidy end.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        make(chosen, console=Console(highlight=False), force=force)
    for overlay, pin in overlays.missing(chosen):
        print(f"The overlay {overlay.name} for Python {pin.python}")
        overlays.install(overlay, pin)
    print(f"Installed: {', '.join(pin.name for pin in chosen)}.")


@command
def run(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="A program, or - for standard input.")],
    pins: Pins = None,
    json: Annotated[bool, typer.Option("--json", help="Print the recorded format instead of a table.")] = False,
    seconds: Annotated[int, typer.Option(help="How long the program may take on each pin.")] = 60,
    cache: Cached = True,
) -> None:
    """Run a program on every selected pin and print what each made of it. Without --pins: all that are installed."""
    from json import dumps

    from tf_breakages import matrix
    from tf_breakages.pins import load, select, usual
    from tf_breakages.program import Limits, programs

    try:
        source = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MachineryError(f"{file} can't be read: {error}", "Name a Python file, or - for standard input.") from None
    chosen = select(pins) if pins else usual()
    with _progress("program", len(chosen)) as (pool, on_outcome):
        reading = pool(cache).run(programs([source], Limits(seconds=seconds)), chosen, on_outcome)[0]
    known = [pin.name for pin in load()]
    grouped = matrix.group(reading, known)
    print(dumps(grouped, indent=1, ensure_ascii=False) if json else matrix.render(grouped, known))


@command
def record(notebooks: Paths, pins: Pins = None, cache: Cached = True) -> None:
    """Run every program of the notebooks on all pins and write what they did; --pins replaces only those pins' outcomes."""
    from tf_breakages import notebook
    from tf_breakages.pins import select

    chosen, paths = select(pins, default="all"), _notebooks(notebooks)
    for path in paths:
        cells = notebook.code_cells(notebook.read(path))
        with _progress(f"{path.parent.name}/{path.stem}", len(cells) * len(chosen)) as (pool, on_outcome):
            made = pool(cache)
            changed = notebook.record(path, chosen, made, on_outcome)
        print(f"{path}: {'changed' if changed else 'unchanged'}; {made.count}")


@command
def new(name: Annotated[str, typer.Argument(metavar="TOPIC/SLUG")]) -> None:
    """Write a notebook to start from."""
    from tf_breakages import notebook
    from tf_breakages.paths import root

    if not re.fullmatch(r"[a-z0-9-]+/[a-z0-9-]+", name):
        raise MachineryError(
            f"{name!r} is not of the form topic/slug.", "Use lower-case letters, digits and dashes: sessions/session"
        )
    path = root() / "notebooks" / f"{name}.ipynb"
    notebook.new(path, *name.split("/"))
    print(f"{path}\nWrite it with `make lab`, then: tfb record {path}")


@command
def convert(notebooks: Paths) -> None:
    """Write the `converter` programs: what TensorFlow's own tf_upgrade_v2 makes of each `before`. Record afterwards."""
    from tf_breakages import converter

    for path in _notebooks(notebooks):
        print(f"{path}: {'changed; run: tfb record' if converter.update(path) else 'unchanged'}")


@command
def check(notebooks: Paths) -> None:
    """Say which rules of the notebook contract do not hold; exit 1 if any."""
    from tf_breakages import breakage

    found = [f"{path}: {problem}" for path in _notebooks(notebooks) for problem in breakage.problems(path)]
    print("\n".join(found) or "Every rule holds.")
    raise typer.Exit(1 if found else 0)


@command
def pins() -> None:
    """List the pins: installed or not, how big, where."""
    from rich.console import Console
    from rich.table import Table

    from tf_breakages.client import Worker
    from tf_breakages.paths import home
    from tf_breakages.pins import load
    from tf_breakages.provision import installed_mb

    table = Table(box=None, header_style="bold")
    print(f"Environments are in {home() / 'envs'}.")
    for heading in ("pin", "TensorFlow", "Python", "MB", "worker", "environment"):
        table.add_column(heading, justify="right" if heading == "MB" else "left", overflow="fold")
    for pin in load():
        size = installed_mb(pin)
        where = "no lock" if not pin.lock.exists() else pin.environment.name if pin.installed else "not installed"
        name = f"{pin.name} (core)" if pin.core else pin.name
        worker = "running" if pin.lock.exists() and Worker(pin).running else ""
        table.add_row(name, pin.release, pin.python, str(size or ""), worker, where)
    Console(highlight=False).print(table)


@command
def doctor(
    remove_old: Annotated[bool, typer.Option(help="Remove the environments of locks that are no more.")] = False,
) -> None:
    """Look for what is wrong on this machine, and say the remedy. Exit 1 if anything is."""
    from tf_breakages import doctor

    for folder in doctor.remove_old() if remove_old else ():
        print(f"Removed {folder}.")
    found = False
    for problem in doctor.problems():
        found = True
        print(f"{problem.what}\n    {problem.remedy}")
    if found:
        raise typer.Exit(1)
    print("Nothing is wrong.")


@command
def stop() -> None:
    """Stop all workers; programs that run go on to their end."""
    from tf_breakages import client

    stopped = [folder.name for folder in client.folders() if client.stop_folder(folder, force=True)]
    print(f"Stopped {', '.join(stopped)}." if stopped else "No worker was running.")


def _spec(names: list[str] | None, pins: str | None) -> str | None:
    return ",".join([*(names or []), *([pins] if pins else [])]) or None


def _notebooks(named: list[Path]) -> list[Path]:
    """The notebooks meant, those below a folder included. MachineryError if there is none."""
    found = [path for each in named for path in (sorted(each.rglob("[!.]*.ipynb")) if each.is_dir() else [each])]
    if not found:
        raise MachineryError(f"No notebook in {', '.join(map(str, named))}.", "Make one: tfb new TOPIC/SLUG")
    return [path.absolute() for path in found]


@contextlib.contextmanager
def _progress(what: str, total: int) -> Iterator[tuple[Callable[[bool], "Pool"], Callable[["Task", "Outcome"], None]]]:
    """A bar on standard error while programs run, gone afterwards; nothing where that is no terminal."""
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeRemainingColumn

    from tf_breakages.cache import Cache
    from tf_breakages.pool import Pool

    columns = (*Progress.get_default_columns()[:-1], TimeRemainingColumn(), TextColumn("{task.fields[last]}"))
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(what, total=total, last="starting workers where none run")
        yield (
            lambda cached: Pool(Cache.of_user() if cached else None),
            lambda task, outcome: progress.update(bar, advance=1, last=f"{task.pin.name}: {outcome['status']}"),
        )
