"""How much memory is left for another worker."""

import os
from pathlib import Path

import psutil

WORKER = 700 << 20
"""Bytes one worker is counted with: 0.2 to 0.5 GB resident were measured with TensorFlow imported, more while importing."""

PROGRAMS = 1 << 30
"""Bytes kept free for the programs that run."""


def available() -> int:
    """Bytes that can be taken now: what the machine, the control group and `TFB_MEMORY` (GiB) leave."""
    left = [psutil.virtual_memory().available]
    limit, used = (_number(Path("/sys/fs/cgroup") / name) for name in ("memory.max", "memory.current"))
    if limit is not None and used is not None:
        left.append(limit - used)
    budget = os.environ.get("TFB_MEMORY")
    if budget:
        left.append(int(float(budget) * (1 << 30)) - _ours())
    return min(left)


def _ours() -> int:
    """Resident bytes of the user's workers, without what their children share with them."""
    total = 0
    for process in psutil.process_iter(["cmdline", "memory_info"]):
        command = process.info["cmdline"] or []
        if "--serve" in command and any(part.endswith("worker.py") for part in command):
            total += (
                process.info["memory_info"].rss - process.info["memory_info"].shared
                if process.info["memory_info"]
                else 0
            )
    return total


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None  # no control group, or no limit ("max")
