"""`pytest --nbval` as anyone runs it: what must fail fails, and says notebook, cell, pin, expected and got."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tf_breakages import notebook
from tf_breakages.matrix import MIME
from tf_breakages.pins import Pin
from tf_breakages.pool import Pool

ROOT = Path(__file__).resolve().parents[2]
Content = dict[str, Any]


@pytest.fixture
def project(tmp_path: Path, stub_pins: list[Pin]) -> Path:
    """A folder with our conftest and one notebook, recorded on the stub pins."""
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    path = tmp_path / "notebooks" / "topic" / "slug.ipynb"
    notebook.new(path, "topic", "slug")
    sources = iter(["import tensorflow as tf\nprint(tf.__version__)", "import tensorflow as tf\ntf.Session"])
    edit(path, lambda content: [cell.update(source=next(sources)) for cell in code(content)])
    notebook.record(path, stub_pins, Pool())
    return tmp_path


def edit(path: Path, change: Callable[[Content], Any]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def code(content: Content) -> list[Content]:
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


def nbval(project: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "--nbval", "-q", "-p", "no:cacheprovider", *arguments, "notebooks"]
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "TFB_COUNTS", "TFB_VERIFY"))
    }
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def path_of(project: Path) -> Path:
    return project / "notebooks" / "topic" / "slug.ipynb"


def test_a_recorded_notebook_is_green_and_the_counts_are_told(project: Path) -> None:
    status, said = nbval(project, "--pins", "all", "--no-cache")
    assert status == 0, said
    assert "2 passed" in said
    assert "outcomes: 6 run, 0 looked up" in said


def test_a_cell_finds_the_files_of_the_cell_above(project: Path, stub_pins: list[Pin]) -> None:
    write, read = "import tensorflow as tf\nopen('left', 'w').write(tf.__version__)", "import tensorflow as tf\n"
    sources = iter([write, read + f"# tfb: from {stub_pins[0].name}\nprint(open('left').read())"])
    path = path_of(project)
    edit(path, lambda content: [cell.update(source=next(sources)) for cell in code(content)])
    notebook.record(path, stub_pins, Pool())
    status, said = nbval(project, "--pins", "all", "--no-cache")
    assert status == 0, said
    edit(path, lambda content: code(content)[0].update(source=write + "\nopen('left', 'a').write('changed')"))
    assert "changed" in nbval(project, "--pins", "all")[1]


def test_a_subset_of_pins_is_a_real_verification(project: Path, stub_pins: list[Pin]) -> None:
    first, _, last = stub_pins
    assert nbval(project, "--pins", f"{first.name},{last.name}")[0] == 0
    edit(path_of(project), lambda content: code(content)[0].update(source="import tensorflow as tf\nprint('other')"))
    status, said = nbval(project, "--pins", last.name)
    assert status == 1
    assert "notebooks/topic/slug.ipynb, cell 3 (before)" in said
    assert f"pin {last.name}\n    recorded  {last.release}\n    got       other" in said
    assert f"pin {first.name}" not in said


def test_under_xdist_one_notebook_stays_in_one_process(project: Path) -> None:
    status, said = nbval(project, "--pins", "all", "-n", "2")
    assert status == 0, said


def test_a_changed_line_number_or_cause_is_told(project: Path, stub_pins: list[Pin]) -> None:
    edit(path_of(project), lambda content: code(content)[1].update(source="\nimport tensorflow as tf\ntf.Session"))
    status, said = nbval(project, "--pins", stub_pins[1].name)
    assert status == 1
    assert "(line 2)" in said and "(line 3)" in said


def unrecorded(cell: Content) -> None:
    cell.update(execution_count=None, outputs=[])


def unnumbered(cell: Content) -> None:
    cell.update(execution_count=None)


def lacking(cell: Content) -> None:
    cell["outputs"][0]["data"][MIME]["groups"].pop()


def malformed(cell: Content) -> None:
    cell["outputs"][0]["data"][MIME] = {"version": 1}


def retold(cell: Content) -> None:
    cell["outputs"][0]["data"]["text/plain"] += " "


def two_outputs(cell: Content) -> None:
    cell["outputs"] *= 2


def tagged(tag: str) -> Callable[[Content], None]:
    return lambda cell: cell["metadata"].update(tags=[tag])


def commented(marker: str) -> Callable[[Content], None]:
    return lambda cell: cell.update(source=f"# {marker}\n" + "".join(cell["source"]))


LOOPHOLES: list[tuple[Callable[[Content], None], str]] = [
    (unrecorded, "not recorded"),
    (unnumbered, "not recorded"),
    (lacking, "lacks pin"),
    (malformed, "'groups' is a required property"),
    (retold, "its table or grouping"),
    (two_outputs, "not one execute_result"),
    (tagged("raises-exception"), "look away"),
    (tagged("nbval-skip"), "look away"),
    (tagged("nbval-ignore-output"), "look away"),
    (commented("NBVAL_SKIP"), "look away"),
    (commented("NBVAL_IGNORE_OUTPUT"), "look away"),
    (commented("PYTEST_VALIDATE_IGNORE_OUTPUT"), "look away"),
]


def test_no_loophole_of_nbval_passes(project: Path) -> None:
    """A cell for each, copies of one that passes."""

    def change(content: Content) -> None:
        good = code(content)[0]
        content["cells"] = [
            json.loads(json.dumps({**good, "id": f"c{number}"})) for number in range(len(LOOPHOLES) + 1)
        ]
        for cell, (loophole, _) in zip(content["cells"], LOOPHOLES, strict=False):
            loophole(cell)

    edit(path_of(project), change)
    status, said = nbval(project, "--pins", "all")
    assert status == 1, said
    assert f"{len(LOOPHOLES)} failed, 1 passed" in said
    for number, (_, says) in enumerate(LOOPHOLES, 1):
        told = said.partition(f"notebooks/topic/slug.ipynb, cell {number} (")[2].splitlines()
        assert says in told[1], f"cell {number}: {told[:3]}"


def test_an_unknown_pin_stops_before_anything_runs(project: Path) -> None:
    status, said = nbval(project, "--pins", "2.99")
    assert status == 4
    assert "Unknown pin '2.99'" in said


def test_a_pin_that_is_not_installed_is_red_and_not_an_outcome(project: Path, stub_pins: list[Pin]) -> None:
    marker = stub_pins[1].marker
    hidden = marker.with_suffix(".hidden")
    marker.rename(hidden)
    try:
        status, said = nbval(project, "--pins", stub_pins[1].name, "--no-cache")
    finally:
        hidden.rename(marker)
    assert status == 1
    assert f"tfb install {stub_pins[1].name}" in said
