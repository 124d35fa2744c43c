"""The rules of DESIGN's notebook contract, for every notebook, from its recorded matrices."""

from pathlib import Path

import pytest

from tf_breakages import breakage

PATHS = breakage.paths()


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_rule_holds(path: Path) -> None:
    assert breakage.problems(path) == []


def test_there_are_notebooks() -> None:
    assert PATHS
