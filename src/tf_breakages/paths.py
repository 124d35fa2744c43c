"""Where things live: the repository (committed) and the user's cache directory (safe to delete)."""

import os
from pathlib import Path


def root() -> Path:
    """The repository whose `pins.toml` and `notebooks/` are meant: `TFB_ROOT`, else the checkout this package is in."""
    named = os.environ.get("TFB_ROOT")
    return Path(named).resolve() if named else Path(__file__).resolve().parents[2]


def home() -> Path:
    """The directory of environments, workers and cached outcomes: `TFB_HOME`, else `tf-breakages` in the user's cache."""
    named = os.environ.get("TFB_HOME")
    if named:
        return Path(named).expanduser().resolve()
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "tf-breakages"
