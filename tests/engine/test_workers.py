"""Workers: shared, started once, never stale, gone when idle; and the pool's memory, cores and cache."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tf_breakages import client, memory, pool
from tf_breakages.cache import Cache
from tf_breakages.client import Worker
from tf_breakages.errors import MachineryError
from tf_breakages.pins import Pin
from tf_breakages.pool import Pool
from tf_breakages.program import Program

ADD = Program("import tensorflow\n1 + 1")


def server_of(pin: Pin) -> psutil.Process:
    """The process that has the pin's TensorFlow imported."""
    return psutil.Process(int((Worker(pin).folder / "server.pid").read_text()))


def keepers(pin: Pin) -> list[psutil.Process]:
    """The first process of each worker of a pin's folder: one, whoever started it."""
    folder = str(Worker(pin).folder)
    ours = [p for p in psutil.process_iter(["cmdline"]) if folder in (p.info["cmdline"] or [])]
    return [process for process in ours if process.ppid() not in {other.pid for other in ours}]


def add(pin: Pin) -> None:
    assert Pool().run([ADD], [pin])[0][(None, pin.name)]["result"] == "2"


def test_two_processes_that_start_one_worker_at_once_share_it(stub_pins: list[Pin]) -> None:
    pin = stub_pins[2]
    Worker(pin).stop(force=True)
    code = (
        "from tf_breakages.pins import select; from tf_breakages.client import Worker; "
        f"print(Worker(select({pin.name!r})[0]).start() > 0)"
    )
    with ThreadPoolExecutor() as threads:
        started = list(
            threads.map(lambda _: subprocess.check_output([sys.executable, "-c", code], text=True).strip(), range(4))
        )
    assert sorted(started) == ["False", "False", "False", "True"]
    assert len(keepers(pin)) == 1


def test_a_stale_socket_is_no_obstacle(stub_pins: list[Pin]) -> None:
    pin = stub_pins[0]
    Worker(pin).start()
    server = server_of(pin)
    server.kill()
    server.wait(30)
    assert (Worker(pin).folder / "socket").exists()
    add(pin)
    assert len(keepers(pin)) == 1


def test_a_worker_of_an_older_source_is_told_to_finish(
    stub_pins: list[Pin], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin = stub_pins[0]
    add(pin)
    old = server_of(pin)
    newer = tmp_path / "worker.py"
    newer.write_text(client.SOURCE.read_text() + "\n# newer\n")
    monkeypatch.setattr(client, "SOURCE", newer)
    add(pin)
    old.wait(30)
    Worker(pin).stop(force=True)


def test_a_worker_of_another_lock_is_never_spoken_to(stub_pins: list[Pin]) -> None:
    pin = stub_pins[0]
    lock = pin.lock.read_bytes()
    before = Worker(pin).folder
    try:
        pin.lock.write_bytes(lock + b"# changed\n")
        assert Worker(pin).folder != before
        with pytest.raises(MachineryError, match="not installed"):
            add(pin)
    finally:
        pin.lock.write_bytes(lock)
    add(pin)


def test_a_worker_stops_when_its_environment_was_replaced(stub_pins: list[Pin]) -> None:
    pin = stub_pins[1]
    add(pin)
    server = server_of(pin)
    os.utime(pin.marker)
    server.wait(30)
    add(pin)


def test_a_worker_stops_by_itself_when_idle(stub_pins: list[Pin], monkeypatch: pytest.MonkeyPatch) -> None:
    pin = stub_pins[0]
    Worker(pin).stop(force=True)
    monkeypatch.setenv("TFB_IDLE", "1")
    add(pin)
    server = server_of(pin)
    server.wait(30)
    assert not Worker(pin).running
    assert not (Worker(pin).folder / "socket").exists()


def test_a_worker_that_is_killed_takes_its_programs_along_and_comes_back(stub_pins: list[Pin]) -> None:
    pin = stub_pins[0]
    add(pin)
    with ThreadPoolExecutor() as threads:
        slow = threads.submit(Pool().run, [Program("import tensorflow, time\ntime.sleep(1.5)\n'woke'")], [pin])
        time.sleep(0.5)
        server = server_of(pin)
        server.send_signal(signal.SIGKILL)
        assert slow.result()[0][(None, pin.name)]["result"] == "'woke'"  # run again on a new worker


def test_a_worker_that_cannot_import_says_why(stub_pins: list[Pin]) -> None:
    pin = stub_pins[0]
    Worker(pin).stop(force=True)
    package = next(pin.environment.glob("lib/*/site-packages/tensorflow/__init__.py"))
    text = package.read_text()
    try:
        package.write_text("raise ImportError('a library is missing')\n")
        with pytest.raises(MachineryError, match="a library is missing") as raised:
            add(pin)
        assert "tfb install" in raised.value.remedy
    finally:
        package.write_text(text)
        for cached in package.parent.glob("__pycache__/*"):
            cached.unlink()
    add(pin)


def test_a_missing_pin_names_itself_and_the_remedy(stub_pins: list[Pin]) -> None:
    pin = stub_pins[0]
    hidden = pin.marker.with_suffix(".hidden")
    Worker(pin).stop(force=True)
    pin.marker.rename(hidden)
    try:
        with pytest.raises(MachineryError, match=f"pin {pin.name} is not installed") as raised:
            add(pin)
        assert raised.value.remedy == f"Run: tfb install {pin.name}"
    finally:
        hidden.rename(pin.marker)


def test_workers_give_way_where_memory_is_short(stub_pins: list[Pin], monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for one worker: three pins finish all the same, one worker after the other."""
    for pin in stub_pins:
        Worker(pin).stop(force=True)
    need = memory.WORKER + memory.PROGRAMS

    def available() -> int:
        return need + memory.WORKER // 2 - memory.WORKER * sum(Worker(pin).running for pin in stub_pins)

    monkeypatch.setattr(memory, "available", available)
    seen = []
    readings = Pool().run(
        [ADD, ADD], stub_pins, lambda task, _: seen.append(sum(Worker(pin).running for pin in stub_pins))
    )
    assert all(len(reading) == len(stub_pins) for reading in readings)
    assert max(seen) == 1


def test_no_more_programs_run_at_once_than_there_are_cores(stub_pins: list[Pin], tmp_path: Path) -> None:
    log = tmp_path / "log"
    source = (
        "import tensorflow, os, time\n"
        f"log = open({str(log)!r}, 'a', buffering=1)\n"
        "print('in', file=log)\ntime.sleep(0.2)\nprint('out', file=log)\n"
    )
    with ThreadPoolExecutor() as threads:
        pools = [Pool(cores=2) for _ in range(3)]
        list(threads.map(lambda pool: pool.run([Program(source)], stub_pins), pools))
    running = peak = 0
    for line in log.read_text().split():
        running += 1 if line == "in" else -1
        peak = max(peak, running)
    assert peak == 2


def test_the_cache_answers_what_did_not_change(stub_pins: list[Pin], tmp_path: Path) -> None:
    pool = Pool(Cache(tmp_path))
    first, second = (pool.run([ADD], stub_pins) for _ in range(2))
    assert first == second
    assert (pool.count.ran, pool.count.looked_up) == (len(stub_pins), len(stub_pins))
    other = Pool(Cache(tmp_path))
    other.run([Program("import tensorflow\n1 + 2")], stub_pins[:1])
    assert other.count.ran == 1


def test_a_verification_asks_two_runs_of_the_cache(stub_pins: list[Pin], tmp_path: Path) -> None:
    pins = stub_pins[:1]
    Pool(Cache(tmp_path)).run([ADD], pins)
    verify = Pool(Cache(tmp_path, agreed=2))
    verify.run([ADD], pins)
    assert verify.count.ran == 1
    verify.run([ADD], pins)
    assert verify.count.looked_up == 1


def test_a_program_that_flickers_is_never_looked_up_by_a_verification(stub_pins: list[Pin], tmp_path: Path) -> None:
    flicker = Program("import tensorflow, time\ntime.time_ns()")
    verify = Pool(Cache(tmp_path, agreed=2))
    for _ in range(3):
        verify.run([flicker], stub_pins[:1])
    assert (verify.count.ran, verify.count.looked_up) == (3, 0)


def test_a_damaged_cache_entry_is_found_out_again(stub_pins: list[Pin], tmp_path: Path) -> None:
    pool = Pool(Cache(tmp_path))
    pool.run([ADD], stub_pins[:1])
    for entry in tmp_path.glob("*/*.json"):
        entry.write_text("{")
    assert pool.run([ADD], stub_pins[:1])[0][(None, stub_pins[0].name)]["result"] == "2"
    assert pool.count.ran == 2


def test_a_folder_name_longer_than_a_socket_may_have(
    stub_pins: list[Pin], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket's address has 107 bytes; TFB_HOME may have more, and blanks and letters of any kind."""
    home = tmp_path / ("ü" * 60) / ("a b " * 20)
    home.mkdir(parents=True)
    environment = stub_pins[0].environment
    monkeypatch.setenv("TFB_HOME", str(home))
    (home / "envs").mkdir()
    (home / "envs" / environment.name).symlink_to(environment)
    add(stub_pins[0])
    assert Worker(stub_pins[0]).stop(force=True)


def test_a_worker_outlives_the_checkout_it_was_started_from(
    stub_pins: list[Pin], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cold program starts the worker's script again; that file may be gone by then."""
    source = tmp_path / "worker.py"
    source.write_text(client.SOURCE.read_text() + "\n# of another checkout\n")
    monkeypatch.setattr(client, "SOURCE", source)
    for module in (client, pool):
        monkeypatch.setattr(module, "identity", lambda pin: "0" * 64)
    add(stub_pins[0])
    source.unlink()
    cold = Program("import sys\n1 + 1")
    assert Pool().run([cold], stub_pins[:1])[0][(None, stub_pins[0].name)]["result"] == "2"
    Worker(stub_pins[0]).stop(force=True)
