"""The pool: programs times pins, as many children at once as there are cores, every outcome looked up or run once."""

import contextlib
import fcntl
import json
import os
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tf_breakages import memory, overlays
from tf_breakages.cache import Cache
from tf_breakages.client import Gone, Reply, Run, Worker, identity
from tf_breakages.errors import MachineryError
from tf_breakages.matrix import Outcome, Reading
from tf_breakages.paths import home
from tf_breakages.pins import Pin, load
from tf_breakages.program import Program


@dataclass(frozen=True)
class Task:
    """One program on one pin, with the files of one writer where it reads any."""

    number: int
    program: Program
    pin: Pin
    writer: Pin | None = None


@dataclass
class Count:
    """What a pool did: outcomes run and looked up, CPU and wall seconds of the children, seconds of worker starts."""

    ran: int = 0
    looked_up: int = 0
    cpu: float = 0.0
    wall: float = 0.0
    starting: float = 0.0

    def __str__(self) -> str:
        return f"{self.ran} outcomes run, {self.looked_up} looked up"


@dataclass
class Pool:
    """Runs programs on pins. One pool is used by one thread at a time; `cancel` may come from any."""

    cache: Cache | None = None
    cores: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    count: Count = field(default_factory=Count)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._memory = threading.Condition()
        self._cancelled = threading.Event()
        self._runs: set[Run] = set()
        self._busy: dict[str, int] = {}
        self._written: set[str] = set()  # the writers this pool ran, by key
        self._starting = 0

    def run(
        self,
        programs: Sequence[Program],
        pins: Sequence[Pin],
        on_outcome: Callable[[Task, Outcome], None] | None = None,
    ) -> list[Reading]:
        """The readings of the programs, in their order.

        Raises MachineryError at the first failure that is ours, and KeyboardInterrupt where the caller is
        interrupted; both stop every child first. What was found out until then is in the cache.
        """
        self._cancelled.clear()
        readings: list[Reading] = [{} for _ in programs]
        tasks = self._tasks(programs, pins)
        answers: queue.SimpleQueue[tuple[Task, Outcome] | BaseException | None] = queue.SimpleQueue()
        waiting = queue.SimpleQueue[Task]()
        for task in tasks:
            waiting.put(task)
        threads = [
            threading.Thread(target=self._work, args=(waiting, answers), daemon=True)
            for _ in range(min(self.cores, len(tasks)))
        ]
        try:
            for thread in threads:
                thread.start()
            ended = 0
            while ended < len(threads):
                answer = answers.get()
                if answer is None:
                    ended += 1
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    task, outcome = answer
                    readings[task.number][(task.writer.name if task.writer else None, task.pin.name)] = outcome
                    if on_outcome:
                        on_outcome(task, outcome)
        finally:
            self.cancel()
            for thread in threads:
                thread.join()
        return readings

    def cancel(self) -> None:
        """Stop every child; `run` ends soon after."""
        self._cancelled.set()
        with self._lock:
            for run in self._runs:
                run.cancel()
        with self._memory:
            self._memory.notify_all()

    def _tasks(self, programs: Sequence[Program], pins: Sequence[Pin]) -> list[Task]:
        """A pin's tasks stand together, running workers first, so that short memory costs few restarts.

        What takes a fresh interpreter comes first, so that no core waits at the end for another's long program.
        """
        known = {pin.name: pin for pin in load()}
        tasks = []
        for pin in sorted(pins, key=lambda pin: not Worker(pin).running):
            for number, program in sorted(enumerate(programs), key=lambda each: not each[1].cold):
                for name in program.writers:
                    if name not in known:
                        raise MachineryError(f"`# tfb: from {name}` names no pin", "Known: " + ", ".join(known))
                tasks += [Task(number, program, pin, known[name]) for name in program.writers] or [
                    Task(number, program, pin)
                ]
        return tasks

    def _work(
        self,
        waiting: "queue.SimpleQueue[Task]",
        answers: "queue.SimpleQueue[tuple[Task, Outcome] | BaseException | None]",
    ) -> None:
        try:
            while not self._cancelled.is_set():
                try:
                    task = waiting.get_nowait()
                except queue.Empty:
                    break
                answers.put((task, self._outcome(task)))
        except BaseException as error:
            if not self._cancelled.is_set():
                answers.put(error)
        finally:
            answers.put(None)

    def _outcome(self, task: Task) -> Outcome:
        key, files = self._key(task.program, task.pin), []
        if task.program.writer and task.writer:
            files = [self._files(task.program.writer, task.writer)]
            key = self._key(task.program, task.pin, self._key(task.program.writer, task.writer))
        known = self.cache.get(key) if self.cache else None
        if known is not None:
            with self._lock:
                self.count.looked_up += 1
            return known
        outcome = self._fresh(task.program, task.pin, files, None).outcome
        if self.cache:
            self.cache.put(key, outcome)
        return outcome

    @staticmethod
    def _key(program: Program, pin: Pin, *more: str) -> str:
        return program.key(identity(pin), *(each.lock_hash for each in overlays.named(program.overlays)), *more)

    def _files(self, writer: Program, pin: Pin) -> Path:
        """The files a writer left on a pin, from the cache where they are there. Raises MachineryError where it failed."""
        cache = self.cache or Cache.of_user()
        key = self._key(writer, pin)
        with _locked(home() / "locks" / f"{key}.lock"):
            if (self.cache or key in self._written) and cache.files(key).is_dir():
                return cache.files(key)
            cache.files(key).parent.mkdir(parents=True, exist_ok=True)
            left = Path(tempfile.mkdtemp(dir=cache.files(key).parent, suffix=".new"))
            outcome = self._fresh(writer, pin, [], left).outcome
            if outcome["status"] != "ok":
                shutil.rmtree(left, ignore_errors=True)
                from tf_breakages.matrix import ending

                raise MachineryError(
                    f"the program that writes the files failed on pin {pin.name}: {ending(outcome)}",
                    "Name a pin on which it is ok in `# tfb: from …`.",
                )
            if not self.cache:
                shutil.rmtree(cache.files(key), ignore_errors=True)
            self._written.add(key)
            return cache.keep_files(key, left)

    def _fresh(self, program: Program, pin: Pin, files: list[Path], keep: Path | None) -> Reply:
        """Run a program in a child; once more where its worker died meanwhile, since the cause may have been another's."""
        worker = Worker(pin)
        for last in (False, False, True):
            with self._core():
                self._ready(worker)
                try:
                    run = worker.connect(program, files, keep)
                except OSError:
                    continue  # it went idle between the two calls
                with self._lock:
                    self._runs.add(run)
                try:
                    if self._cancelled.is_set():
                        run.cancel()
                    reply = run.wait()
                except Gone as gone:
                    if self._cancelled.is_set():
                        raise
                    died = worker.ended()
                    if last and gone.started and died:
                        return Reply({"status": "crash", "stdout": "", "stderr": "", **died}, 0.0, 0.0, 0)
                    continue
                finally:
                    with self._lock:
                        self._runs.discard(run)
                    self._free(worker)
                with self._lock:
                    self.count.ran += 1
                    self.count.cpu += reply.cpu
                    self.count.wall += reply.wall
                return reply
        raise MachineryError(
            f"the worker of pin {pin.name} went away three times",
            f"Read {worker.folder / 'worker.log'}, then try again.",
        )

    def _ready(self, worker: Worker) -> None:
        """Have the worker running and marked busy; where memory is short, an idle one gives way first."""
        with self._memory:
            while True:
                if self._cancelled.is_set():
                    raise Gone(False)
                self._busy[worker.pin.name] = self._busy.get(worker.pin.name, 0) + 1
                if worker.running:
                    return
                if memory.available() - self._starting * memory.WORKER >= memory.WORKER + memory.PROGRAMS:
                    break
                self._release(worker)
                if not self._give_way(worker) and not self._wait():
                    self._busy[worker.pin.name] = self._busy.get(worker.pin.name, 0) + 1
                    break  # nothing of ours is left that could go: try, the kernel decides
            self._starting += 1
        try:
            took = worker.start()
            with self._lock:
                self.count.starting += took
        except BaseException:
            self._free(worker)
            raise
        finally:
            with self._memory:
                self._starting -= 1
                self._memory.notify_all()

    def _give_way(self, wanted: Worker) -> bool:
        """Stop the worker of one pin that nothing of ours uses. False where there is none."""
        for pin in reversed(load()):
            other = Worker(pin)
            if (
                pin.name != wanted.pin.name
                and pin.name not in self._busy
                and pin.lock.exists()
                and other.stop(force=False)
            ):
                return True
        return False

    def _wait(self) -> bool:
        """Wait for a program of ours to end. False where none runs."""
        if not self._busy and not self._starting:
            return False
        self._memory.wait(1.0)
        return True

    def _free(self, worker: Worker) -> None:
        with self._memory:
            self._release(worker)
            self._memory.notify_all()

    def _release(self, worker: Worker) -> None:
        left = self._busy.get(worker.pin.name, 0) - 1
        if left > 0:
            self._busy[worker.pin.name] = left
        else:
            self._busy.pop(worker.pin.name, None)

    @contextlib.contextmanager
    def _core(self) -> Iterator[None]:
        """Hold one of the user's cores: all processes together run no more programs than there are."""
        folder = home() / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            for number in range(self.cores):
                with (folder / f"core-{number}.lock").open("w") as lock:
                    try:
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        continue
                    yield
                    return
            if self._cancelled.wait(0.005):
                raise Gone(False)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def note_count(count: Count) -> None:
    """Append a pool's count to the file named by `TFB_COUNTS`, where a test run sums them up."""
    path = os.environ.get("TFB_COUNTS")
    if path and (count.ran or count.looked_up):
        with Path(path).open("a") as file:
            file.write(json.dumps({"ran": count.ran, "looked_up": count.looked_up, "time": time.time()}) + "\n")
