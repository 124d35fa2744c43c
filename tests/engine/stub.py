"""Packages named tensorflow that are small and import at once, and a project that pins them: for tests of the engine.

All is done as it is for the real ones: wheels, `tfb lock`, `tfb install`.
"""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

SOURCE = """
import os, time
time.sleep(float(os.environ.get("STUB_SLEEP", 0)))
"""
"""Every stub's beginning: STUB_SLEEP makes an import last as long as a test needs, in seconds."""

SESSION = """
class Session:
    def run(self, value):
        return value
"""


def wheel(
    folder: Path, name: str, version: str, source: str, *, needs: str = "", tag: str = "py3-none-any", ballast: int = 0
) -> Path:
    """A wheel with one package whose `__init__.py` is `source`; `ballast` is a number of bytes that don't compress."""
    package, info = name.replace("-", "_"), f"{name.replace('-', '_')}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files = {
        f"{package}/__init__.py": f"__version__ = {version!r}\n{source}".encode(),
        f"{package}/ballast": os.urandom(ballast),
        f"{info}/METADATA": (metadata + (f"Requires-Dist: {needs}\n" if needs else "")).encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: stub\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    rows = [f"{path},sha256={_digest(content)},{len(content)}\n" for path, content in files.items()]
    files[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"]).encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{package}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name_in, content in files.items():
            archive.writestr(name_in, content)
    return path


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


@dataclass
class Project:
    """A checkout with its own pins.toml, a home of its own, and a folder of wheels in the package index's stead."""

    folder: Path
    pins: dict[str, dict[str, object]] = field(default_factory=dict)
    overlays: dict[str, list[str]] = field(default_factory=dict)

    @property
    def wheels(self) -> Path:
        return self.folder / "wheels"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that make `tfb`, and uv below it, see this project and nothing else."""
        return {
            "TFB_ROOT": str(self.folder / "root"),
            "TFB_HOME": str(self.home),
            "TFB_PINS": ",".join(self.pins),
            "UV_CONFIG_FILE": str(self.folder / "uv.toml"),
            "UV_PYTHON_DOWNLOADS": "never",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def pin(self, name: str, source: str = "", *, ballast: int = 0, tag: str = "py3-none-any", **keys: object) -> None:
        """Add a pin and the wheel of its tensorflow; `keys` stand in pins.toml as they are given."""
        wheel(self.wheels, "tensorflow", f"{name}.0", SOURCE + source, ballast=ballast, tag=tag)
        usual = {"requirement": f"tensorflow=={name}.0", "python": PYTHON, "era": "a stub", "size_mb": 1}
        self.pins[name] = {**usual, **keys}
        tables = [
            f'[[pin]]\nname = "{name}"\nreleased = 2030-01-01\n'
            + "".join(f"{key} = {value!r}\n".replace("True", "true") for key, value in pin.items())
            for name, pin in self.pins.items()
        ]
        tables += [
            f'[[overlay]]\nname = "{name}"\nrequirements = {requirements!r}\n'
            for name, requirements in self.overlays.items()
        ]
        (self.folder / "root").mkdir(parents=True, exist_ok=True)
        self._configure_uv()
        (self.folder / "root" / "pins.toml").write_text("\n".join(tables))

    def copy(self, folder: Path) -> "Project":
        """The same project elsewhere, as far as it has come."""
        shutil.copytree(self.folder, folder, symlinks=True)
        copy = Project(folder, dict(self.pins), dict(self.overlays))
        copy._configure_uv()
        return copy

    def _configure_uv(self) -> None:
        (self.folder / "uv.toml").write_text(f'no-index = true\nfind-links = ["{self.wheels}"]\n')

    def start(self, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
        """Start `tfb` on this project."""
        return subprocess.Popen(
            [sys.executable, "-m", "tf_breakages", *arguments],
            env={**os.environ, **self.variables, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def tfb(self, *arguments: str, **variables: str) -> tuple[int, str]:
        """Run `tfb` on this project: its exit status, and what it said on stdout and then on stderr."""
        process = self.start(*arguments, **variables)
        said = process.communicate(timeout=120)
        return process.returncode, "".join(said)

    def done(self, *arguments: str, **variables: str) -> str:
        """Run `tfb`, which must succeed, and return what it said."""
        status, said = self.tfb(*arguments, **variables)
        assert status == 0, said
        return said


def own_mounts() -> list[str]:
    """A command that runs another where it may mount: some systems let every user, some let only root."""
    for command in (["unshare", "-rm"], ["sudo", "-n", "-E", "unshare", "-m"]):
        try:
            if (
                subprocess.run(
                    [*command, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
                ).returncode
                == 0
            ):
                return command
        except FileNotFoundError:
            continue
    raise AssertionError("This test needs `unshare -rm`, or sudo without a password, to make a small disk.")
