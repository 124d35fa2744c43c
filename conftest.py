"""pytest's root conftest: chooses the pins, cuts recorded matrices down to them, and closes nbval's loopholes."""

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from nbval.plugin import IPyNbCell

from tf_breakages import verify
from tf_breakages.errors import MachineryError
from tf_breakages.pins import load, select


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pins", help="core (default), all, or a list such as 2.2,2.16: where notebooks are verified")
    parser.addoption("--no-cache", action="store_true", help="run every program, look no outcome up")


def pytest_configure(config: pytest.Config) -> None:
    try:
        pins = select(config.getoption("--pins"))
    except MachineryError as error:
        raise pytest.UsageError(str(error)) from error
    os.environ["TFB_PINS"] = ",".join(pin.name for pin in pins)
    os.environ["TFB_VERIFY"] = "1"
    os.environ.pop("TFB_PROGRESS", None)
    if config.getoption("--no-cache"):
        os.environ["TFB_NO_CACHE"] = "1"
    if not hasattr(config, "workerinput"):
        os.environ["TFB_COUNTS"] = tempfile.mkstemp(prefix="tfb-counts-")[1]


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    pins, known = os.environ["TFB_PINS"].split(","), [pin.name for pin in load()]
    for item in items:
        if isinstance(item, IPyNbCell):
            try:
                item.cell.outputs[0].data = verify.expected(item.cell, pins, known)
            except (verify.Refused, IndexError) as error:
                item.tfb_refused = (
                    str(error) if isinstance(error, verify.Refused) else "the cell was not recorded: tfb record"
                )
                item.runtest = _refuse(item.tfb_refused)


def _refuse(why: str):
    def runtest() -> None:
        raise verify.Refused(why)

    return runtest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[pytest.TestReport]:
    report = yield
    if report.failed and call.when == "call" and isinstance(item, IPyNbCell):
        cells = item.parent.nb.cells
        number = next(at for at, cell in enumerate(cells, 1) if cell is item.cell)
        role = ", ".join(item.cell.metadata.get("tags", [])) or "illustration"
        told = [f"{item.path.relative_to(item.config.rootpath)}, cell {number} ({role})"]
        if hasattr(item, "tfb_refused"):
            told.append(item.tfb_refused)
        elif item.test_outputs:
            told += verify.differences(item.cell.outputs[0]["data"], item.test_outputs)
        report.longrepr = "\n".join(told) if len(told) > 1 else f"{told[0]}\n{report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    counts = Path(os.environ["TFB_COUNTS"])
    told = [json.loads(line) for line in counts.read_text().splitlines()]
    counts.unlink()
    ran, looked_up = (sum(each[what] for each in told) for what in ("ran", "looked_up"))
    terminalreporter.write_line(f"outcomes: {ran} run, {looked_up} looked up, on pins {os.environ['TFB_PINS']}")
