"""The driver's side of a worker: find it, start it, send it a program, stop it.

A worker belongs to the user, not to the process that started it: test processes, kernels and the command line share
one per pin. Its folder is named by what it was started from (environment and worker source), so a worker of an older
lock or source is never spoken to; it is told to finish when its successor starts.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tf_breakages import overlays
from tf_breakages.errors import MachineryError
from tf_breakages.matrix import Outcome
from tf_breakages.paths import home
from tf_breakages.pins import Pin, load
from tf_breakages.program import Program

SOURCE = Path(__file__).with_name("worker.py")
STARTUP = 300
"""Seconds a worker may take to import TensorFlow; 5 to 13 were measured on an idle core."""

PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""The only variables of the caller a program sees; the last two work around processors that old OpenBLAS misreads."""

ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "PYTHONIOENCODING": "utf-8:strict",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "CUDA_VISIBLE_DEVICES": "-1",
}


class Gone(Exception):
    """The worker went away; `started` tells whether the program had begun."""

    def __init__(self, started: bool) -> None:
        super().__init__("the worker went away")
        self.started = started


@dataclass(frozen=True)
class Reply:
    """An outcome, and what it took: CPU seconds of the child and all below it, wall seconds, peak resident bytes."""

    outcome: Outcome
    cpu: float
    wall: float
    rss: int


def identity(pin: Pin) -> str:
    """What an outcome on this pin depends on besides the program: lock, worker source, settings of the environment."""
    parts = [pin.lock_hash, hashlib.sha256(SOURCE.read_bytes()).hexdigest(), json.dumps(ENVIRONMENT, sort_keys=True)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Worker:
    """The worker of one pin, running or not."""

    pin: Pin

    @cached_property
    def folder(self) -> Path:
        return home() / "workers" / f"{self.pin.name}-{identity(self.pin)[:12]}"

    @property
    def running(self) -> bool:
        try:
            return self._ask("status") is not None
        except OSError:
            return False

    def start(self) -> float:
        """Start it unless it runs; two processes that try at once start one. Seconds it took; 0 where it ran already.

        Raises MachineryError where the pin is not installed or TensorFlow can't be imported.
        """
        if self.running:
            return 0.0
        if not self.pin.installed:
            raise MachineryError(f"pin {self.pin.name} is not installed", f"Run: tfb install {self.pin.name}")
        with self._starting():
            if self.running:
                return 0.0
            for other in _others(self):
                stop_folder(other, force=False)
            return self._spawn()

    @contextlib.contextmanager
    def _starting(self) -> Iterator[None]:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            with (self.folder / "start.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise MachineryError(
                f"the worker of pin {self.pin.name} can't use {self.folder}: {error.strerror}",
                "Free some disk space, or point TFB_HOME elsewhere.",
            ) from error

    def _spawn(self) -> float:
        (self.folder / "ended.json").unlink(missing_ok=True)
        begun = time.monotonic()
        variables = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | ENVIRONMENT
        # As in an activated environment: TensorFlow up to 2.3 calls programs of its own, `toco_from_protos` for one.
        variables["PATH"] = os.pathsep.join([str(self.pin.interpreter.parent), variables.get("PATH", os.defpath)])
        idle = os.environ.get("TFB_IDLE", "900")
        # From a copy of its own: cold programs start it again, perhaps after this checkout is gone.
        script = self.folder / "worker.py"
        script.write_bytes(SOURCE.read_bytes())
        command = [
            str(self.pin.interpreter),
            str(script),
            "--serve",
            str(self.folder),
            "--marker",
            str(self.pin.marker),
            "--idle",
            idle,
        ]
        with (self.folder / "worker.log").open("wb") as log:
            keeper = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=variables,
                start_new_session=True,
                cwd="/",
            )
        assert keeper.stdout is not None
        ready = _line_within(keeper.stdout.fileno(), STARTUP)
        keeper.stdout.close()
        if ready != b"ready\n":
            keeper.kill()
            keeper.wait()
            said = (self.folder / "worker.log").read_text("utf-8", "replace").strip().splitlines()[-12:]
            raise MachineryError(
                f"the worker of pin {self.pin.name} did not start:\n" + "\n".join(f"    {line}" for line in said),
                f"Run `tfb doctor`; a damaged environment is made anew by: rm -r '{self.pin.environment}' && tfb install {self.pin.name}",
            )
        return time.monotonic() - begun

    def connect(self, program: Program, files: list[Path], keep: Path | None) -> "Run":
        """Hand a program over. Raises OSError where no worker listens, MachineryError where an overlay is not installed."""
        limits = program.limits
        request = {
            "do": "run",
            "source": program.source,
            "cold": program.cold,
            "seconds": limits.seconds,
            "output": limits.output,
            "memory": limits.memory,
            "files": [str(folder) for folder in files],
            "packages": [str(folder) for folder in overlays.packages(program.overlays, self.pin)],
        }
        if keep is not None:
            request["keep"] = str(keep)
        return Run(self, self._send(request))

    def ended(self) -> dict[str, Any] | None:
        """How the last server of this worker died, where it did: `signal` or `exit`."""
        deadline = time.monotonic() + 2  # the keeper writes it a moment after the connection broke
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, ValueError):
                told = json.loads((self.folder / "ended.json").read_text())
                return {name: value for name, value in told.items() if name != "pid"}
            time.sleep(0.02)
        return None

    def stop(self, *, force: bool) -> bool:
        """Tell it to finish; without `force` only if no program runs. False where it stays or did not run."""
        return stop_folder(self.folder, force=force)

    def _ask(self, what: str) -> int | None:
        return _ask(self.folder, what)

    def _send(self, request: dict[str, Any]) -> socket.socket:
        return _send(self.folder, request)


class Run:
    """A program that was handed to a worker."""

    def __init__(self, worker: Worker, connection: socket.socket) -> None:
        self.worker = worker
        self._connection = connection

    def wait(self) -> Reply:
        """The reply. Raises Gone where the worker died, MachineryError where it could not run the program."""
        started = False
        try:
            with self._connection.makefile("rb") as lines:
                for line in lines:
                    said = json.loads(line)
                    if "outcome" in said:
                        return Reply(said["outcome"], **said["usage"])
                    if "failure" in said:
                        raise MachineryError(
                            f"pin {self.worker.pin.name}: the worker could not run the program: {said['failure']}",
                            "Free some disk space or memory, then try again.",
                        )
                    started = True
        except (OSError, ValueError) as error:
            raise Gone(started) from error
        finally:
            self._connection.close()
        raise Gone(started)

    def cancel(self) -> None:
        """Give the program up: the worker kills it. `wait` in another thread raises Gone."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)


def folders() -> list[Path]:
    """The folders of all workers that were ever started here."""
    return sorted((home() / "workers").glob("*/"))


def stop_folder(folder: Path, *, force: bool) -> bool:
    """Tell the worker of this folder to finish; its programs go on to their end."""
    try:
        running = _ask(folder, "stop", force=force)
    except OSError:
        return False
    if running and not force:
        return False
    deadline = time.monotonic() + 10
    while (folder / "socket").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return True


def stale() -> list[Path]:
    """Folders whose worker still runs but belongs to no pin as it is now."""
    current = {Worker(pin).folder for pin in load() if pin.lock.exists()}
    return [folder for folder in folders() if folder not in current and _alive(folder)]


def _others(worker: Worker) -> list[Path]:
    return [
        folder for folder in folders() if folder != worker.folder and folder.name.rpartition("-")[0] == worker.pin.name
    ]


def _alive(folder: Path) -> bool:
    try:
        _ask(folder, "status")
    except OSError:
        return False
    return True


def _ask(folder: Path, what: str, **more: Any) -> int:
    with _send(folder, {"do": what, **more}) as connection, connection.makefile("rb") as lines:
        try:
            return int(json.loads(lines.readline())["running"])
        except ValueError as error:
            raise ConnectionResetError("the worker went away") from error


def _send(folder: Path, request: dict[str, Any]) -> socket.socket:
    """Connect and send one line. Raises OSError where nobody listens."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        where = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        try:
            connection.connect(
                f"/proc/self/fd/{where}/socket"
            )  # a socket's path may have 107 bytes; a folder's may be longer
        finally:
            os.close(where)
        connection.sendall(json.dumps(request).encode("ascii") + b"\n")
    except OSError:
        connection.close()
        raise
    return connection


def _line_within(descriptor: int, seconds: float) -> bytes:
    """One line from a pipe; what came so far where it ends or the time is up."""
    deadline, data = time.monotonic() + seconds, b""
    while not data.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            break
        piece = os.read(descriptor, 4096)
        if not piece:
            break
        data += piece
    return data
