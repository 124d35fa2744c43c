"""Which Python on this machine a pin can be built on."""

import functools
import os
import re
import subprocess
from pathlib import Path


def interpreter(version: str) -> Path | None:
    """A Python of that minor version, "3.7": on PATH, else pyenv's; None if there is neither."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders += sorted(pyenv.glob(f"versions/{version}.*/bin"), key=_number, reverse=True)
    names = (f"python{version}", "python3", "python")
    paths = (folder / name for folder in folders for name in names)
    return next((path for path in paths if _version(path) == version), None)


def _number(folder: Path) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", folder.parent.name)]


@functools.cache
def _version(path: Path) -> str | None:
    if not os.access(path, os.X_OK):
        return None
    # pyenv's shims stand on PATH for every version and refuse to run most of them: only a run tells.
    ask = [str(path), "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        return subprocess.run(ask, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
