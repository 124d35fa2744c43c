"""Recording: atomic, byte-identical where nothing changed, nothing lost, every bad file told apart."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from stub import own_mounts

from tf_breakages import matrix, notebook
from tf_breakages.errors import MachineryError
from tf_breakages.pins import Pin
from tf_breakages.pool import Pool

SOURCES = ["import tensorflow as tf\ntf.Session", "import tensorflow as tf\nprint(tf.__version__)"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "topic" / "slug.ipynb"
    notebook.new(path, "topic", "slug")
    content = json.loads(path.read_text())
    for cell, source in zip((cell for cell in content["cells"] if cell["cell_type"] == "code"), SOURCES, strict=True):
        cell["source"] = source
    path.write_text(json.dumps(content))
    return path


def readings(path: Path) -> list[matrix.Reading]:
    return [notebook.recorded(cell) for cell in notebook.code_cells(notebook.read(path))]


def test_record_writes_the_contract(path: Path, stub_pins: list[Pin]) -> None:
    assert notebook.record(path, stub_pins, Pool())
    first, second = readings(path)
    assert [first[(None, pin.name)]["status"] for pin in stub_pins] == ["ok", "error", "error"]
    assert [second[(None, pin.name)]["stdout"] for pin in stub_pins] == [f"{pin.release}\n" for pin in stub_pins]
    cell = notebook.code_cells(notebook.read(path))[0]
    assert set(cell.outputs[0].data) == {matrix.MIME, "text/plain"}


def test_an_unchanged_notebook_keeps_its_bytes(path: Path, stub_pins: list[Pin]) -> None:
    notebook.record(path, stub_pins, Pool())
    text = path.read_bytes() + b"\n"  # as another program may have saved it
    path.write_bytes(text)
    before = path.stat()
    assert not notebook.record(path, stub_pins, Pool())
    assert path.read_bytes() == text
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def test_recording_some_pins_replaces_only_theirs(path: Path, stub_pins: list[Pin]) -> None:
    notebook.record(path, stub_pins, Pool())
    content = json.loads(path.read_text())
    cells = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    cells[1]["source"] = "import tensorflow as tf\nprint('changed')"
    path.write_text(json.dumps(content))
    notebook.record(path, stub_pins[1:2], Pool())
    assert [readings(path)[1][(None, pin.name)]["stdout"] for pin in stub_pins] == [
        f"{stub_pins[0].release}\n",
        "changed\n",
        f"{stub_pins[2].release}\n",
    ]


def test_a_notebook_is_written_as_jupyterlab_saves_it(path: Path, stub_pins: list[Pin]) -> None:
    notebook.record(path, stub_pins, Pool())
    nbformat.write(nbformat.read(path, as_version=4), path.with_name("saved.ipynb"))
    assert path.with_name("saved.ipynb").read_text() == path.read_text()
    assert not notebook.record(path, stub_pins, Pool())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{not json", "is not JSON"),
        ("[]", "is not a notebook of format 4"),
        (json.dumps({"nbformat": 3, "worksheets": []}), "format 4"),
        (
            json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": [{"cell_type": "strange"}], "metadata": {}}),
            "not a valid notebook",
        ),
        (json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": [], "metadata": {}}), "is for the kernel None"),
    ],
)
def test_a_file_that_is_no_notebook_of_ours(content: str, says: str, path: Path, stub_pins: list[Pin]) -> None:
    path.write_text(content)
    with pytest.raises(notebook.NotebookError, match=says) as raised:
        notebook.record(path, stub_pins, Pool())
    assert str(path) in raised.value.cause
    assert raised.value.remedy
    assert path.read_text() == content


def test_a_full_disk_leaves_the_old_notebook(path: Path, stub_pins: list[Pin], tmp_path: Path) -> None:
    """The file system below the notebook has 64 KiB; the write fails with ENOSPC and the file is as it was."""
    code = (
        "import sys; from pathlib import Path; from tf_breakages import notebook\n"
        "path = Path(sys.argv[1]); node = notebook.read(path)\n"
        "node.cells[0].source = 'x' * 200000\n"
        "notebook.write(path, node)"
    )
    small = tmp_path / "small"
    small.mkdir()
    script = 'mount -t tmpfs -o size=64k none "$1" && cp "$2" "$1/n.ipynb" && "$3" -c "$4" "$1/n.ipynb"; echo "exit $?"; cmp "$1/n.ipynb" "$2" && ls -A "$1"'
    done = subprocess.run(
        [*own_mounts(), "sh", "-c", script, "sh", str(small), str(path), sys.executable, code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "No space left on device; it is as it was" in done.stderr
    assert done.stdout.splitlines() == ["exit 1", "n.ipynb"]


def test_an_interrupted_record_leaves_the_old_notebook_and_no_process(path: Path, stub_pins: list[Pin]) -> None:
    content = json.loads(path.read_text())
    next(cell for cell in content["cells"] if cell["cell_type"] == "code")["source"] = (
        "import tensorflow, os\nos.execvp('sleep', ['sleep', '60777'])"
    )
    path.write_text(json.dumps(content))
    before = path.read_bytes()
    command = [
        str(Path(sys.executable).with_name("tfb")),
        "record",
        "--pins",
        ",".join(pin.name for pin in stub_pins),
        str(path),
    ]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 60
    while not _sleeping():
        assert time.monotonic() < deadline and running.poll() is None, running.communicate()
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=60)[0]
    assert running.returncode == 130
    assert "Traceback" not in said
    assert path.read_bytes() == before
    deadline = time.monotonic() + 60
    while _sleeping():
        assert time.monotonic() < deadline, "an interrupted record left a program running"
        time.sleep(0.05)


def _sleeping() -> bool:
    return subprocess.run(["pgrep", "-f", "^sleep 60777"], stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_new_refuses_to_overwrite(path: Path) -> None:
    with pytest.raises(notebook.NotebookError, match="exists"):
        notebook.new(path, "topic", "slug")


def test_an_unknown_pin_or_directive_names_itself(path: Path, stub_pins: list[Pin]) -> None:
    content = json.loads(path.read_text())
    cells = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    cells[1]["source"] = "# tfb: from 3.14\nimport tensorflow"
    path.write_text(json.dumps(content))
    with pytest.raises(MachineryError, match=r"3\.14.*names no pin"):
        notebook.record(path, stub_pins, Pool())
    cells[1]["source"] = "# tfb: on a whim\nimport tensorflow"
    path.write_text(json.dumps(content))
    with pytest.raises(MachineryError, match="on a whim"):
        notebook.record(path, stub_pins, Pool())
