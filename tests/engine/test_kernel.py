"""The kernel, spoken to as JupyterLab and nbval do."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from tf_breakages import matrix
from tf_breakages.pins import Pin


class Session:
    """One running kernel and a client of it."""

    def __init__(self) -> None:
        self.manager = KernelManager(kernel_name="tf-matrix")
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def execute(self, code: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        message = self.client.execute(code)
        return self.collect(message)

    def collect(self, message: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        outputs = []
        while True:
            said = self.client.get_iopub_msg(timeout=120)
            if said["parent_header"].get("msg_id") != message:
                continue
            if said["msg_type"] == "status" and said["content"]["execution_state"] == "idle":
                break
            if said["msg_type"] not in ("status", "execute_input"):
                outputs.append({"type": said["msg_type"], **said["content"]})
        while True:
            reply = self.client.get_shell_msg(timeout=60)
            if reply["parent_header"].get("msg_id") == message:
                return reply["content"], outputs

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def session(stub_pins: list[Pin], monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("TFB_PINS", ",".join(pin.name for pin in stub_pins))
    session = Session()
    yield session
    session.close()


def test_a_cell_gives_one_result_with_both_representations(session: Session, stub_pins: list[Pin]) -> None:
    reply, outputs = session.execute("import tensorflow as tf\ntf.Session")
    assert reply["status"] == "ok"
    (output,) = outputs
    assert output["type"] == "execute_result"
    known = [pin.name for pin in stub_pins]
    assert output["data"] == matrix.output(matrix.group(matrix.read(output["data"][matrix.MIME]), known), known)


def test_cells_share_no_state(session: Session) -> None:
    session.execute("import tensorflow\nx = 1")
    _, (output,) = session.execute("import tensorflow\nx")
    assert "NameError: name 'x' is not defined" in output["data"]["text/plain"]


def test_interrupt_stops_every_child_and_keeps_the_kernel(session: Session) -> None:
    session.execute("import tensorflow")
    message = session.client.execute("import tensorflow, time\ntime.sleep(50)")
    time.sleep(1)
    begun = time.monotonic()
    session.manager.interrupt_kernel()
    reply, _ = session.collect(message)
    assert (reply["status"], reply["ename"]) == ("error", "KeyboardInterrupt")
    assert time.monotonic() - begun < 30
    assert session.execute("import tensorflow\n1 + 1")[0]["status"] == "ok"


def test_completion_and_inspection_come_from_the_newest_pin(session: Session, stub_pins: list[Pin]) -> None:
    code = "import tensorflow as tf\ntf.__ver"
    reply = session.client.complete(code, len(code), reply=True, timeout=60)["content"]
    assert reply["matches"] == ["tf.__version__"]
    assert code[reply["cursor_start"] : reply["cursor_end"]] == "tf.__ver"
    gone = "import tensorflow as tf\ntf.Sess"
    assert session.client.complete(gone, len(gone), reply=True, timeout=60)["content"]["matches"] == []
    code = "import json\njson.dumps"
    found = session.client.inspect(code, len(code), reply=True, timeout=60)["content"]
    assert found["found"]
    assert found["data"]["text/plain"].startswith("json.dumps(obj")


def test_our_own_failure_is_an_error_and_never_an_outcome(session: Session) -> None:
    reply, (output,) = session.execute("# tfb: from 7.7\nimport tensorflow")
    assert reply["status"] == output["type"] == "error"
    assert reply["ename"] == "MachineryError"


def test_the_live_line_is_shown_and_then_gone(stub_pins: list[Pin], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFB_PINS", ",".join(pin.name for pin in stub_pins))
    monkeypatch.setenv("TFB_PROGRESS", "1")
    session = Session()
    try:
        _, outputs = session.execute("import tensorflow\n1 + 1")
    finally:
        session.close()
    kinds = [output["type"] for output in outputs]
    assert kinds[0] == "display_data"
    assert kinds[-2:] == ["clear_output", "execute_result"]
    assert f"{len(stub_pins)} of {len(stub_pins)}" in outputs[-3]["data"]["text/plain"]
