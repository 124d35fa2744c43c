"""Measure the engine: `make bench`. Writes docs/benchmark.md; every figure there comes from one run of this file.

1. The same notebook on the same pins, in turn: nbval with the kernel `tf-matrix` and warm workers, and nbval with one
   ordinary kernel per pin.
2. Recording every notebook: the children's own CPU seconds over wall time x cores.
3. The cold start of all workers against the sum of their import times over cores.
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
import time
from datetime import date
from pathlib import Path

import nbformat

from tf_breakages import breakage, notebook
from tf_breakages.client import Worker
from tf_breakages.paths import root
from tf_breakages.pins import Pin, load
from tf_breakages.pool import Pool
from tf_breakages.program import programs

TEN = ["1.15", "2.0", "2.2", "2.4", "2.8", "2.11", "2.15", "2.16", "2.18", "2.21"]
SEED = "keras-backend/get-session"
CELLS = 6
"""Code cells of the compared notebook: the first warm ones of the seed."""


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=3, help="how often the two ways are timed in turn")
    rounds = options.parse_args().rounds
    ten = [pin for pin in load() if pin.name in TEN]
    cold = cold_start(load())
    ways = compare(ten, rounds)
    busy = recording(load())
    page = report(cold, ways, busy, rounds)
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


def compare(pins: list[Pin], rounds: int) -> dict[str, list[float]]:
    """Wall seconds of both ways, in turn. Both run unmodified nbval on the same cells; both must pass."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = [cell.source for cell, program in _cells() if not program.cold][:CELLS]
        matrix_notebook = _write(folder / "matrix.ipynb", sources, "tf-matrix")
        ordinary = [_ordinary(folder, pin, sources) for pin in pins]
        environment = {**os.environ, "TFB_PINS": ",".join(pin.name for pin in pins)}
        _record_matrix(matrix_notebook, pins)
        times: dict[str, list[float]] = {"matrix": [], "ordinary": []}
        for _ in range(rounds):
            times["matrix"].append(_nbval([matrix_notebook], "tf-matrix", environment, folder))
            times["ordinary"].append(sum(_nbval([path], path.stem, environment, folder) for path in ordinary))
        return times


def _cells() -> list[tuple[nbformat.NotebookNode, object]]:
    cells = notebook.code_cells(notebook.read(root() / "notebooks" / f"{SEED}.ipynb"))
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
    """Record all notebooks on copies, workers warm, nothing looked up."""
    with tempfile.TemporaryDirectory() as name:
        copies = Path(name) / "notebooks"
        shutil.copytree(root() / "notebooks", copies)
        pool = Pool()
        begun = time.monotonic()
        for path in breakage.paths(copies):
            notebook.record(path, pins, pool)
        wall = time.monotonic() - begun
    return {
        "wall": wall,
        "cpu": pool.count.cpu,
        "ran": pool.count.ran,
        "cores": pool.cores,
        "notebooks": len(breakage.paths()),
    }


def report(cold: dict[str, float], ways: dict[str, list[float]], busy: dict[str, float], rounds: int) -> str:
    quick, slow = (statistics.median(ways[way]) for way in ("matrix", "ordinary"))
    ideal = cold["summed"] / cold["cores"]
    return f"""# Benchmark

Measured on {date.today():%-d %B %Y} by `make bench`: {cold["cores"]:.0f} cores, {platform.machine()}, Linux. Shared machines are noisy: read ratios, not seconds.

| What | Measured |
|---|---|
| {CELLS} cells of `{SEED}` on {len(TEN)} pins, verified by nbval with the kernel `tf-matrix`, workers warm, no cache | {quick:.1f} s (median of {rounds}; {min(ways["matrix"]):.1f} – {max(ways["matrix"]):.1f}) |
| The same cells on the same pins, one ordinary kernel per pin | {slow:.1f} s (median of {rounds}; {min(ways["ordinary"]):.1f} – {max(ways["ordinary"]):.1f}) |
| Ratio, the two timed in turn | {slow / quick:.1f} |
| Recording {busy["notebooks"]:.0f} notebooks on {cold["pins"]:.0f} pins, nothing looked up | {busy["ran"]:.0f} outcomes in {busy["wall"]:.0f} s |
| The children's CPU time over wall time × cores while recording | {busy["cpu"] / busy["wall"] / busy["cores"]:.2f} |
| Cold start of all {cold["pins"]:.0f} workers | {cold["wall"]:.0f} s |
| The workers' own start times, summed, over {cold["cores"]:.0f} cores | {ideal:.0f} s |
"""


if __name__ == "__main__":
    main()
