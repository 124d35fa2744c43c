"""Running uv and other child processes: what they say as they say it, their failures in our words, an end to all."""

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from uv import find_uv_bin

from tf_breakages.errors import MachineryError
from tf_breakages.paths import home

_CAUSES = (
    (
        r"No space left on device|os error 28|Disk quota exceeded|os error 122",
        "the disk is full",
        "Free some space on the disk of {home}, or point TFB_HOME at another disk; then {again}.",
    ),
    (
        r"[Hh]ash mismatch",
        "what was downloaded is not the file that the lock names",
        "Ask whether the package index is the right one; if it is, lock again: `tfb lock`.",
    ),
    (
        r"no wheels? with a matching|no wheels? (are )?(available|usable)|not compatible with the current platform"
        r"|no matching distribution|is incompatible with the current (platform|Python)",
        "there is no wheel for this platform and Python",
        "The pins run on x86_64 Linux with glibc; leave this one out, or use such a machine.",
    ),
    (
        r"error sending request|[Ff]ailed to fetch|dns error|Connection re(fused|set)|timed? ?out|client error"
        r"|network connectivity is disabled|Network unreachable",
        "the package index can't be reached",
        "Look at the network and the UV_* and proxy variables; then {again}.",
    ),
)


class Failed(Exception):
    """A child process ended with a status other than 0. `output` is all it said."""

    def __init__(self, output: str) -> None:
        super().__init__(output)
        self.output = output


def explain(output: str, subject: str, again: str) -> MachineryError:
    """What a failed uv means to a person: the cause in our words where it is known, uv's own words, the remedy."""
    said = "\n".join(f"    {line}" for line in output.strip().splitlines()[-12:])
    for pattern, cause, remedy in _CAUSES:
        if re.search(pattern, output):
            return MachineryError(f"{subject}: {cause}.\n{said}", remedy.format(home=home(), again=again))
    return MachineryError(f"{subject}: uv failed.\n{said}", f"Mend what uv says above; then {again}.")


def environment() -> dict[str, str]:
    """The caller's environment, proxies and UV_* and PIP_* settings included, and what uv needs of ours.

    The cache is put beside the environments because only files of one file system can be hard links of each other:
    the environments then share what they have in common, with the cache and among themselves.
    """
    ours = {
        "UV_CACHE_DIR": str(home() / "uv-cache"),
        "UV_PYTHON_INSTALL_DIR": str(home() / "python"),
        "UV_HTTP_TIMEOUT": "120",
        "NO_COLOR": "1",
    }
    return {**ours, **os.environ}


class Children:
    """Child processes that can all be stopped at once, from another thread."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False
        self._guard = threading.Lock()

    def uv(self, *arguments: str | Path, heard: Callable[[str], None] | None = None, cwd: Path | None = None) -> str:
        """Run uv, hand each line it says to `heard` as it comes, and return all of them; `Failed` if it fails."""
        return self.run(find_uv_bin(), *arguments, environment=environment(), heard=heard, cwd=cwd)

    def run(
        self,
        *command: str | Path,
        environment: Mapping[str, str],
        heard: Callable[[str], None] | None = None,
        cwd: Path | None = None,
    ) -> str:
        """Run a command to its end, return what it said on stdout and stderr; `Failed` if it fails or is stopped."""
        with self._guard:
            if self._stopped:
                raise Failed("stopped")
            process = subprocess.Popen(
                command,
                env=environment,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                # A group of its own: Ctrl-C reaches us only, and we end it with all that it started.
                start_new_session=True,
            )
            self._running.add(process)
        lines = []
        try:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                if heard:
                    heard(line.rstrip("\n"))
            status = process.wait()
        finally:
            with self._guard:
                self._running.discard(process)
        if status:
            raise Failed("".join(lines) or f"{Path(command[0]).name} ended with status {status}")
        return "".join(lines)

    def stop(self) -> None:
        """End every child and whatever it started, and start none any more."""
        with self._guard:
            self._stopped = True
            for process in self._running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
