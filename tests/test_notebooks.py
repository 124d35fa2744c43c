"""The rules of DESIGN's notebook contract, for every notebook, from its recorded matrices."""

import os
from pathlib import Path

import pytest

from tf_breakages import breakage, converter, usage

PATHS = breakage.paths()


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_rule_holds(path: Path) -> None:
    assert breakage.problems(path) == []


def test_there_are_notebooks() -> None:
    assert PATHS


@pytest.mark.skipif(converter.PIN not in os.environ["TFB_PINS"].split(","), reason="needs pin " + converter.PIN)
@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_converter_program_is_what_the_tool_writes(path: Path) -> None:
    assert converter.wrong(breakage.of_notebook(path)) == []


@pytest.mark.parametrize(
    "share", usage.shares([breakage.of_notebook(path) for path in PATHS]), ids=lambda share: share.release
)
def test_nine_in_ten_broken_call_sites_are_answered(share: usage.Share) -> None:
    assert share.part >= 0.9
