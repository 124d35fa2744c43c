"""Outcomes that were already found out, addressed by what determines them.

A cache of this user's machine: never committed, safe to delete. An entry says how many separate runs agreed on the
outcome. Whoever records or tries things out is content with one; a verification asks for two, so that the first
verification of a freshly recorded program really runs it again, and a program that flickers is not looked up.
"""

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_breakages.errors import MachineryError
from tf_breakages.matrix import Outcome, canonical
from tf_breakages.paths import home


@dataclass(frozen=True)
class Cache:
    """The outcomes below `folder` that at least `agreed` runs agreed on."""

    folder: Path
    agreed: int = 1

    @classmethod
    def of_user(cls, agreed: int = 1) -> "Cache":
        return cls(home() / "outcomes", agreed)

    def get(self, key: str) -> Outcome | None:
        entry = self._entry(key)
        return entry["outcome"] if entry and entry["runs"] >= self.agreed else None

    def put(self, key: str, outcome: Outcome) -> None:
        """Keep what a run found. Raises MachineryError where it can't be written."""
        entry = self._entry(key)
        runs = entry["runs"] + 1 if entry and canonical(entry["outcome"]) == canonical(outcome) else 1
        self._write(self._path(key), json.dumps({"outcome": outcome, "runs": runs}))

    def files(self, key: str) -> Path:
        """The folder for the files that a program of this key left behind."""
        return self.folder / "files" / key

    def keep_files(self, key: str, left: Path) -> Path:
        """Move a finished folder of files into the cache; where another process was first, its copy stays."""
        target = self.files(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            left.rename(target)
        except OSError:
            shutil.rmtree(left, ignore_errors=True)
            if not target.is_dir():
                raise
        return target

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

    def _entry(self, key: str) -> dict[str, Any] | None:
        try:
            entry = json.loads(self._path(key).read_text("utf-8"))
            return entry if isinstance(entry["runs"], int) and isinstance(entry["outcome"], dict) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # absent, or damaged: then it is found out again

    @staticmethod
    def _write(path: Path, text: str) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=path.parent, suffix=".new", delete=False, encoding="utf-8"
            ) as file:
                file.write(text)
            Path(file.name).replace(path)
        except OSError as error:
            raise MachineryError(
                f"an outcome could not be kept in {path.parent}: {os.strerror(error.errno or 0)}",
                "Free some disk space, or point TFB_HOME elsewhere.",
            ) from error
