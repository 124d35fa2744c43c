"""Pins for tests of the engine: stubs, which are fast, and a real one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from stub import SESSION, Project, wheel

from tf_breakages.client import Worker
from tf_breakages.pins import Pin, select


@pytest.fixture(scope="session")
def _stub_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = Project(tmp_path_factory.mktemp("stub"))
    wheel(project.wheels, "laid", "2.0", "")
    project.overlays = {"laid-2": ["laid"], "elsewhere": ["laid; python_version < '3'"]}
    project.pin("9.1", SESSION, core=True)
    project.pin("9.2")
    project.pin("9.3", "time.sleep(0.3)", core=True)
    project.done("lock")
    project.done("install")
    yield project
    with pytest.MonkeyPatch.context() as patch:
        for name, value in project.variables.items():
            patch.setenv(name, value)
        for pin in select("all"):
            Worker(pin).stop(force=True)


@pytest.fixture
def stub_pins(_stub_project: Project, monkeypatch: pytest.MonkeyPatch) -> list[Pin]:
    """Installed pins 9.1, 9.2 and 9.3, and the overlays laid-2 and elsewhere: the first pin has `tensorflow.Session`, the last takes 0.3 s to import."""
    for name, value in _stub_project.variables.items():
        monkeypatch.setenv(name, value)
    return list(select("all"))


@pytest.fixture(params=["stub", "real"])
def any_pin(request: pytest.FixtureRequest) -> Pin:
    """A stub, and the newest of the real pins that this run is about (`--pins`)."""
    if request.param == "stub":
        return request.getfixturevalue("stub_pins")[0]
    return select(os.environ["TFB_PINS"])[-1]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with no pin yet, to install and to damage."""
    return Project(tmp_path)
