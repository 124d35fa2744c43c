"""`tfb lock`: from `pins.toml` and `pyproject.toml` to hash-locked requirements files, the same on every machine."""

import os
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tf_breakages import overlays
from tf_breakages.overlays import Overlay
from tf_breakages.paths import root
from tf_breakages.pins import Pin, load, read
from tf_breakages.uv import Children, Failed, explain

PLATFORM = "x86_64-manylinux_2_28"
"""What the locks are for: x86_64 Linux with a glibc of 2018 or later; TensorFlow 2.21 needs 2.27."""

_NOT_DRIVER = ("rfc3987-syntax", "lark")
"""jsonschema takes them to check IRIs, which nothing here has, and building their grammar costs every process 1.5 s."""

_NEVER = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "torch")
"""A companion that asks for `tensorflow` must not bring a second one beside the pin's own; PyTorch is no use here."""


def build_lock() -> Path:
    """The lock of what builds the dependencies that have no wheel."""
    return root() / "pins" / "build.txt"


def lock(pins: Sequence[Pin], *, upgrade: bool, say: Callable[[str], None]) -> None:
    """Lock the pins, the overlays, what builds them, and the driver's own environment; MachineryError if one can't be resolved.

    Versions that an existing lock names stay, unless `upgrade`. No file names a package index.
    """
    children = Children()
    (root() / "pins").mkdir(exist_ok=True)
    build = read().get("build", [])
    oldest = min((pin.python for pin in load()), key=lambda version: int(version.split(".")[1]))
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)

        def compiled(target: Path, sources: Sequence[str | Path], *options: str | Path) -> None:
            # Made beside the target and moved over it: an interrupted `tfb lock` leaves every lock whole.
            fresh = target.with_suffix(".new.txt")
            if target.exists() and not upgrade:
                fresh.write_bytes(target.read_bytes())
            try:
                children.uv(
                    *("pip", "compile", *sources, "-o", fresh, *options),
                    *("--generate-hashes", "--no-annotate", "--quiet", "--custom-compile-command", "tfb lock"),
                    cwd=root(),
                )
                changed = not target.exists() or target.read_bytes() != fresh.read_bytes()
                fresh.replace(target)
            except Failed as failure:
                raise explain(failure.output, f"{target.name} can't be locked", "run `tfb lock` again") from None
            finally:
                fresh.unlink(missing_ok=True)
            say(f"{target.relative_to(root())}: {'changed' if changed else 'unchanged'}")

        def written(name: str, lines: Sequence[str]) -> Path:
            path = scratch / name
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            return path

        def pinned(pin: Pin) -> None:
            own = pin.requirement.partition("==")[0]
            compiled(
                pin.lock,
                [written(f"{pin.name}.in", [pin.requirement, *pin.companions])],
                *("--constraints", written(f"{pin.name}.constraints", pin.constraints)),
                *("--excludes", written(f"{pin.name}.excludes", [name for name in _NEVER if name != own])),
                *("--build-constraints", build_lock(), "--python-version", pin.python, "--python-platform", PLATFORM),
            )

        def laid_over(overlay: Overlay) -> None:
            overlay.lock.parent.mkdir(exist_ok=True)
            source = written(f"{overlay.name}.overlay.in", overlay.requirements)
            compiled(overlay.lock, [source], "--universal", "--python-version", oldest)

        def driver() -> None:
            project = root() / "pyproject.toml"
            if not project.exists():
                return
            groups = tomllib.loads(project.read_text(encoding="utf-8")).get("dependency-groups", {})
            # For every Python from 3.11 and every platform: the site must build wherever `make serve` is run.
            options = [option for group in groups for option in ("--group", group)]
            compiled(
                root() / "pins" / "driver.txt",
                [project],
                *options,
                *("--universal", "--python-version", "3.11", "--excludes", written("driver.excludes", _NOT_DRIVER)),
            )

        compiled(build_lock(), [written("build.in", build)], "--python-version", oldest)
        with ThreadPoolExecutor(max_workers=(os.cpu_count() or 1) + 1) as threads:
            try:
                jobs = [
                    threads.submit(driver),
                    *(threads.submit(laid_over, overlay) for overlay in overlays.load().values()),
                    *(threads.submit(pinned, pin) for pin in pins),
                ]
                for job in jobs:
                    job.result()
            except BaseException:
                children.stop()
                threads.shutdown(cancel_futures=True)
                raise
