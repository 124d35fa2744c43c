"""Measure the engine: `make bench`. Writes docs/benchmark.md; every figure there comes from one run of this file.

1. The same notebook on the same pins, in turn: nbval with the kernel `tf-matrix` and warm workers, and nbval with one
   ordinary kernel per pin.
2. Recording every notebook: the children's own CPU seconds over wall time x cores.
3. The cold start of all workers against the sum of their import times over cores.
4. All pins within a budget of 8 GiB: workers give way to each other.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import date
from pathlib import Path

import nbformat
import psutil

from tf_breakages import notebook
from tf_breakages.client import Worker
from tf_breakages.paths import root
from tf_breakages.pins import Pin, load
from tf_breakages.pool import Pool
from tf_breakages.program import programs

TEN = ["1.15", "2.0", "2.2", "2.4", "2.8", "2.11", "2.15", "2.16", "2.18", "2.21"]
COMPARED = ("sessions/session", "keras-backend/get-session")
"""A notebook of small programs, and one whose programs build Keras models."""
TWELVE = (
    "arguments/keep-dims",
    "contrib/contrib",
    "keras-backend/get-session",
    "layers/dense",
    "math/log-and-renames",
    "optimizers/adam-lr",
    "optimizers/adam-minimize",
    "saving/model-save",
    "sessions/placeholder",
    "sessions/session",
    "silent/tensor-equality",
    "variables/get-variable",
)
"""The first notebooks: the same ones each time, so that figures of different days can be compared."""
BUDGET = 8
"""GiB that the workers may take in the last measurement."""
CELLS = 6
"""Code cells of a compared notebook: its first warm ones."""


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=3, help="how often the two ways are timed in turn")
    rounds = options.parse_args().rounds
    ten = [pin for pin in load() if pin.name in TEN]
    cold = cold_start(load())
    ways = {name: compare(name, ten, rounds) for name in COMPARED}
    busy = recording(load())
    small = within(BUDGET, load())
    page = report(cold, ways, busy, small, rounds)
    (root() / "docs" / "benchmark.md").write_text(page, "utf-8")
    print(page)


def cold_start(pins: tuple[Pin, ...]) -> dict[str, float]:
    """Seconds until every worker listens, and the workers' own start times, summed."""
    for pin in pins:
        Worker(pin).stop(force=True)
    pool = Pool()
    begun = time.monotonic()
    pool.run(programs(["import tensorflow"]), pins)
    return {"wall": time.monotonic() - begun, "summed": pool.count.starting, "pins": len(pins), "cores": pool.cores}


def compare(name: str, pins: list[Pin], rounds: int) -> dict[str, list[float]]:
    """Wall seconds of both ways, in turn. Both run unmodified nbval on the same cells; both must pass."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        sources = [cell.source for cell, program in _cells(name) if not program.cold][:CELLS]
        matrix_notebook = _write(folder / "matrix.ipynb", sources, "tf-matrix")
        ordinary = [_ordinary(folder, pin, sources) for pin in pins]
        environment = {**os.environ, "TFB_PINS": ",".join(pin.name for pin in pins)}
        _record_matrix(matrix_notebook, pins)
        times: dict[str, list[float]] = {"matrix": [], "ordinary": []}
        for _ in range(rounds):
            times["matrix"].append(_nbval([matrix_notebook], "tf-matrix", environment, folder))
            times["ordinary"].append(sum(_nbval([path], path.stem, environment, folder) for path in ordinary))
        return times


def _cells(name: str) -> list[tuple[nbformat.NotebookNode, object]]:
    cells = notebook.code_cells(notebook.read(root() / "notebooks" / f"{name}.ipynb"))
    return list(zip(cells, programs([cell.source for cell in cells]), strict=True))


def _write(path: Path, sources: list[str], kernel: str) -> Path:
    cells = [nbformat.v4.new_code_cell(source, id=f"c{number}") for number, source in enumerate(sources)]
    metadata = {"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}}
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells, metadata=metadata)), "utf-8")
    return path


def _record_matrix(path: Path, pins: list[Pin]) -> None:
    notebook.record(path, pins, Pool())


def _ordinary(folder: Path, pin: Pin, sources: list[str]) -> Path:
    """The notebook for one pin's own kernel, executed once so that nbval has something to compare with.

    An ordinary kernel keeps state between cells, and an error ends nbval's comparison of it, so every cell is wrapped to
    print its error; ipykernel comes from a folder beside the pin's packages, which stay as they are.
    """
    packages = folder / f"ipykernel-{pin.python}"
    if not packages.exists():
        subprocess.run(
            [
                str(Path(sys.executable).with_name("uv")),
                "pip",
                "install",
                "--quiet",
                "--python",
                str(pin.interpreter),
                "--target",
                str(packages),
                "ipykernel<7",
            ],
            check=True,
        )
    spec = folder / "kernels" / f"pin-{pin.name}"
    spec.mkdir(parents=True)
    arguments = [str(pin.interpreter), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    variables = {"PYTHONPATH": str(packages), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    (spec / "kernel.json").write_text(
        json.dumps({"argv": arguments, "display_name": pin.name, "language": "python", "env": variables})
    )
    wrapped = [
        "try:\n"
        + "\n".join(f"    {line}" for line in source.splitlines())
        + "\nexcept Exception as error:\n    print(type(error).__name__)"
        for source in sources
    ]
    path = _write(folder / f"pin-{pin.name}.ipynb", wrapped, f"pin-{pin.name}")
    subprocess.run(
        [sys.executable, "-m", "jupyter", "nbconvert", "--to", "notebook", "--inplace", "--execute", str(path)],
        check=True,
        env={**os.environ, "JUPYTER_PATH": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return path


def _nbval(paths: list[Path], kernel: str, environment: dict[str, str], folder: Path) -> float:
    """Wall seconds of one nbval run without the outcome cache."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval-lax" if kernel != "tf-matrix" else "--nbval",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(folder),
        *map(str, paths),
    ]
    begun = time.monotonic()
    done = subprocess.run(
        command,
        env={**environment, "JUPYTER_PATH": str(folder), "TFB_NO_CACHE": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}")
    return time.monotonic() - begun


def recording(pins: tuple[Pin, ...]) -> dict[str, float]:
    """Record the twelve on copies, workers warm, nothing looked up."""
    with tempfile.TemporaryDirectory() as name:
        copies = Path(name) / "notebooks"
        shutil.copytree(root() / "notebooks", copies)
        pool = Pool()
        begun = time.monotonic()
        for each in TWELVE:
            notebook.record(copies / f"{each}.ipynb", pins, pool)
        wall = time.monotonic() - begun
    return {
        "wall": wall,
        "cpu": pool.count.cpu,
        "ran": pool.count.ran,
        "cores": pool.cores,
        "notebooks": len(TWELVE),
    }


def within(gib: int, pins: tuple[Pin, ...]) -> dict[str, float]:
    """One program on all pins, no worker running at first, with `TFB_MEMORY`; the most that workers and children took."""
    for pin in pins:
        Worker(pin).stop(force=True)
    done, peaks = threading.Event(), [0]

    def watch() -> None:
        while not done.wait(0.25):
            peaks.append(_resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    os.environ["TFB_MEMORY"] = str(gib)
    begun = time.monotonic()
    try:
        reading = Pool().run(programs(["import tensorflow as tf\ntf.__version__"]), pins)[0]
    finally:
        del os.environ["TFB_MEMORY"]
        done.set()
        watcher.join()
    wall = time.monotonic() - begun
    ok = sum(outcome["status"] == "ok" for outcome in reading.values())
    return {"wall": wall, "ok": ok, "peak": max(peaks) / (1 << 30), "left": sum(Worker(pin).running for pin in pins)}


def _resident() -> int:
    """Bytes of all workers and their children, a page that several share counted once."""
    total = 0
    for process in psutil.process_iter():
        try:
            if any(part.endswith("/worker.py") for part in process.cmdline()):
                total += process.memory_full_info().pss
        except psutil.Error:
            continue  # it ended meanwhile
    return total


def report(
    cold: dict[str, float],
    ways: dict[str, dict[str, list[float]]],
    busy: dict[str, float],
    small: dict[str, float],
    rounds: int,
) -> str:
    rows = []
    for name, times in ways.items():
        quick, slow = (statistics.median(times[way]) for way in ("matrix", "ordinary"))
        spread = {way: f"{min(found):.1f} – {max(found):.1f}" for way, found in times.items()}
        rows += [
            f"| {CELLS} programs of `{name}` on {len(TEN)} pins, verified by nbval with the kernel `tf-matrix`, workers warm, no cache | {quick:.1f} s ({spread['matrix']}) |",
            f"| The same programs on the same pins: nbval with one ordinary kernel per pin | {slow:.1f} s ({spread['ordinary']}) |",
            f"| Ratio, the two timed in turn, medians of {rounds} | {slow / quick:.1f} |",
        ]
    ideal = cold["summed"] / cold["cores"]
    rows += [
        f"| Recording the first {busy['notebooks']:.0f} notebooks on {cold['pins']:.0f} pins, nothing looked up | {busy['ran']:.0f} outcomes in {busy['wall']:.0f} s |",
        f"| The children's CPU time over wall time × cores while recording | {busy['cpu'] / busy['wall'] / busy['cores']:.2f} |",
        f"| Cold start of all {cold['pins']:.0f} workers | {cold['wall']:.0f} s |",
        f"| The workers' own start times, summed, over {cold['cores']:.0f} cores | {ideal:.0f} s |",
        f"| One program on all {cold['pins']:.0f} pins within {BUDGET} GiB (`TFB_MEMORY={BUDGET}`), no worker running at first | {small['ok']:.0f} ok in {small['wall']:.0f} s; workers and programs took {small['peak']:.1f} GiB at most |",
    ]
    table = "\n".join(rows)
    return f"""---
hide: [navigation]
---
# Benchmark

Measured on {date.today():%-d %B %Y} by `make bench`: {cold["cores"]:.0f} cores, {platform.machine()}, Linux. Shared machines are noisy: read ratios, not seconds.
Both sides of a ratio include the start of pytest and of their kernels.

| What | Measured |
|---|---|
{table}
"""


if __name__ == "__main__":
    main()
