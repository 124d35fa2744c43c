"""`tfb lock`, `tfb install` and `tfb doctor`, on stub packages and in earnest: what goes wrong is said, nothing is half done."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from stub import Project, own_mounts, wheel


@pytest.fixture(scope="module")
def _locked(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("locked"))
    project.pin("9.1", core=True)
    project.pin("9.2")
    project.done("lock")
    return project


@pytest.fixture
def locked(_locked: Project, tmp_path: Path) -> Project:
    """Pins 9.1 and 9.2, locked and not installed; nothing is shared with another test."""
    copy = _locked.copy(tmp_path / "copy")
    shutil.rmtree(copy.home, ignore_errors=True)
    return copy


def environments(project: Project) -> list[Path]:
    return sorted((project.home / "envs").glob("*"))


def marked(project: Project) -> list[str]:
    return [path.parent.name.split("-")[1] for path in sorted(project.home.glob("envs/*/tfb-installed.json"))]


def within(environment: Path, path: str) -> Path:
    return next(environment.glob(f"lib/*/site-packages/{path}"))


def test_a_lock_has_hashes_and_no_address_and_stays(locked: Project) -> None:
    lock = locked.folder / "root" / "pins" / "tf-9.1.txt"
    first = lock.read_bytes()
    assert b"tensorflow==9.1.0" in first and b"--hash=sha256:" in first and str(locked.wheels).encode() not in first
    assert "pins/tf-9.1.txt: unchanged" in locked.done("lock")
    assert lock.read_bytes() == first


def test_a_locked_version_stays_until_upgrade(project: Project) -> None:
    wheel(project.wheels, "tf-slim", "1.0", "")
    project.pin("9.1", companions=["tf-slim"])
    project.done("lock")
    lock = project.folder / "root" / "pins" / "tf-9.1.txt"
    wheel(project.wheels, "tf-slim", "1.1", "")
    project.done("lock")
    assert "tf-slim==1.0 " in lock.read_text()
    project.done("lock", "--upgrade")
    assert "tf-slim==1.1 " in lock.read_text()


def test_no_companion_brings_a_second_tensorflow(project: Project) -> None:
    wheel(project.wheels, "tf-keras", "9.1.0", "import tensorflow", needs="tensorflow>=9")
    wheel(project.wheels, "tensorflow-cpu", "9.1.0", "")
    project.pin("9.1", requirement="tensorflow-cpu==9.1.0", companions=["tf-keras"])
    project.done("lock")
    lock = (project.folder / "root" / "pins" / "tf-9.1.txt").read_text()
    assert "tensorflow-cpu==9.1.0" in lock and "tensorflow==" not in lock


def test_a_lock_that_cannot_be_resolved_says_why(project: Project) -> None:
    project.pin("9.1", companions=["tf-slim"])
    status, said = project.tfb("lock")
    assert status == 2
    assert "tf-9.1.txt can't be locked" in said and "tf-slim" in said and "Traceback" not in said


def test_install_then_nothing_more_to_do(locked: Project) -> None:
    said = locked.done("install", "all")
    assert marked(locked) == ["9.1", "9.2"] and " 9.1  " in said
    markers = [path.stat() for path in locked.home.glob("envs/*/tfb-installed.json")]
    assert min(seconds_to_install_again(locked) for _ in range(3)) < 2
    assert [path.stat() for path in locked.home.glob("envs/*/tfb-installed.json")] == markers
    assert "not installed" not in locked.done("pins")
    assert "Nothing is wrong." in locked.done("doctor")


def seconds_to_install_again(project: Project) -> float:
    start = time.monotonic()
    assert project.done("install", "all") == "Installed: 9.1, 9.2.\n"
    return time.monotonic() - start


def test_a_pin_is_chosen_by_argument_option_or_variable(locked: Project) -> None:
    locked.done("install", "9.2")
    assert marked(locked) == ["9.2"]
    locked.done("install", "--pins", "core")
    assert marked(locked) == ["9.1", "9.2"]
    assert "Installed: 9.2." in locked.done("install", TFB_PINS="9.2")


def test_an_unknown_pin_is_named_with_the_known_ones(locked: Project) -> None:
    assert locked.tfb("install", "9.11") == (
        2,
        "Unknown pin '9.11'. Did you mean 9.1?\nThe pins are 9.1, 9.2; also `core`, `all`.\n",
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_install_counts_for_nothing_and_is_taken_up_again(locked: Project, how: signal.Signals) -> None:
    install = locked.start("install", "all", STUB_SLEEP="60")
    importing = wait_for_import(install)
    install.send_signal(how)
    said = "".join(install.communicate(timeout=60))
    if how is signal.SIGKILL:  # nobody is left to end the children
        for process in importing:
            process.kill()
    else:
        assert install.returncode == 130
        assert "`tfb install` goes on from here" in said and "Traceback" not in said
        assert not [process for process in importing if process.is_running()]
        assert not environments(locked)
    assert not marked(locked)
    if how is signal.SIGKILL:
        assert "an install was interrupted" in locked.tfb("doctor")[1]
    locked.done("install", "all")
    assert "Nothing is wrong." in locked.done("doctor")


def wait_for_import(install: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Wait for the install to be as far as it gets without the marker: both pins being imported."""
    for _ in range(300):
        with contextlib.suppress(psutil.Error):  # a child that ended meanwhile
            children = psutil.Process(install.pid).children(recursive=True)
            importing = [child for child in children if "importlib" in " ".join(child.cmdline())]
            if len(importing) == 2:
                return importing
        time.sleep(0.1)
    raise AssertionError(install.communicate())


@pytest.mark.parametrize("seconds", [0.3, 0.6, 0.9, 1.2])
def test_an_install_interrupted_at_any_time_leaves_what_works_or_nothing(locked: Project, seconds: float) -> None:
    install = locked.start("install", "all")
    time.sleep(seconds)
    install.send_signal(signal.SIGINT)
    install.communicate(timeout=60)
    assert len(environments(locked)) == len(marked(locked))
    assert "Nothing is wrong." in locked.done("doctor")
    locked.done("install", "all")
    assert marked(locked) == ["9.1", "9.2"]


def test_two_installs_at_once_do_the_work_once(locked: Project) -> None:
    first = locked.start("install", "all", STUB_SLEEP="5")
    wait_for_import(first)
    second = locked.done("install", "all")
    assert "Another `tfb install` is at work; waiting for it to end." in second and " MB," not in second
    assert "".join(first.communicate()).count(" MB,") == 2 and first.returncode == 0


def lacks_a_file(environment: Path) -> None:
    within(environment, "tensorflow/__init__.py").unlink()


def has_a_damaged_file(environment: Path) -> None:
    # Written in place: the cache's copy, which is the same file, is damaged as well.
    within(environment, "tensorflow/__init__.py").write_text("oops")


def lacks_its_python(environment: Path) -> None:
    (environment / "bin" / "python").unlink()
    (environment / "bin" / "python").symlink_to("/nowhere/python")


def lacks_its_packages(environment: Path) -> None:
    shutil.rmtree(environment / "lib")


@pytest.mark.parametrize("damaged", [lacks_a_file, has_a_damaged_file, lacks_its_python, lacks_its_packages])
def test_doctor_finds_the_damage_and_its_remedy_repairs_it(locked: Project, damaged) -> None:
    locked.done("install", "9.1")
    damaged(environments(locked)[0])
    status, said = locked.tfb("doctor")
    assert status == 1 and "Pin 9.1" in said and "Run `tfb install --force 9.1`." in said
    locked.done("install", "--force", "9.1")
    assert "Nothing is wrong." in locked.done("doctor")


def test_a_changed_lock_is_another_environment_and_the_old_one_can_go(locked: Project) -> None:
    locked.done("install", "9.1")
    (old,) = environments(locked)
    with (locked.folder / "root" / "pins" / "tf-9.1.txt").open("a") as lock:
        lock.write("# changed\n")
    status, said = locked.tfb("doctor")
    assert status == 1 and str(old) in said and "--remove-old" in said
    locked.done("install", "9.1")
    assert len(environments(locked)) == 2
    assert f"Removed {old}." in locked.done("doctor", "--remove-old")
    assert old not in environments(locked) and marked(locked) == ["9.1"]


def test_without_an_interpreter_the_other_pins_go_on(project: Project) -> None:
    project.pin("9.1", python="3.99")
    project.pin("9.2")
    project.done("lock")
    status, said = project.tfb("install", "all")
    assert status == 2 and "1 of 2 pins are not installed: 9.1." in said
    assert "Pin 9.1 needs Python 3.99: there is none on PATH nor among pyenv's, and uv got none." in said
    assert "Install Python 3.99" in said and "Traceback" not in said
    assert marked(project) == ["9.2"]


def test_a_pin_without_a_wheel_for_this_platform(project: Project) -> None:
    project.pin("9.1", tag="py3-none-manylinux_2_17_x86_64")
    wheel(project.wheels, "tensorflow", "9.1.0", "", tag="py3-none-macosx_11_0_arm64")
    project.done("lock")
    next(project.wheels.glob("*manylinux*")).unlink()  # so this machine is the one without
    status, said = project.tfb("install", "9.1")
    assert status == 2 and "Pin 9.1 is not installed: there is no wheel for this platform and Python." in said
    assert "macosx_11_0_arm64" in said and not environments(project)


def test_a_download_that_is_not_what_was_locked(locked: Project) -> None:
    wheel(locked.wheels, "tensorflow", "9.1.0", "print('something else')")
    # Another home: this one's cache still has the file that was locked.
    status, said = locked.tfb("install", "9.1", TFB_HOME=str(locked.folder / "other"))
    assert status == 2 and "what was downloaded is not the file that the lock names" in said
    assert not environments(locked)


def test_a_tensorflow_that_does_not_import(project: Project) -> None:
    project.pin("9.1", "raise ImportError('libsomething.so: cannot open shared object file')")
    project.done("lock")
    status, said = project.tfb("install", "9.1")
    assert status == 2 and "Pin 9.1 was installed, but does not work here." in said and "libsomething.so" in said
    assert not environments(project)


def test_a_companion_that_does_not_import(project: Project) -> None:
    wheel(project.wheels, "tf-slim", "1.0", "import tensorflow.contrib")
    project.pin("9.1", companions=["tf-slim==1.*"])
    project.done("lock")
    status, said = project.tfb("install", "9.1")
    assert status == 2 and "No module named 'tensorflow.contrib'" in said and not marked(project)


def test_an_index_that_cannot_be_reached(locked: Project) -> None:
    (locked.folder / "uv.toml").write_text("")
    elsewhere = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/", "UV_HTTP_RETRIES": "0"}
    status, said = locked.tfb("install", "9.1", TFB_HOME=str(locked.folder / "other"), **elsewhere)
    assert status == 2 and "Pin 9.1 is not installed: the package index can't be reached." in said


def test_too_little_space_is_known_beforehand(project: Project) -> None:
    project.pin("9.1", size_mb=10**9)
    project.done("lock")
    status, said = project.tfb("install", "9.1")
    assert status == 2 and "1 pins take 1000000000 MB (9.1: 1000000000)" in said and not environments(project)


def test_a_disk_that_fills_up(project: Project) -> None:
    """A disk of 16 MB, and a pin that says it takes 1 MB but takes 30: the small pin goes in, nothing is left of the other."""
    project.pin("9.1", ballast=30_000_000)
    project.pin("9.2")
    project.done("lock")
    project.home.mkdir(exist_ok=True)
    inside = (
        f"mount -t tmpfs -o size=16m none '{project.home}' && '{sys.executable}' -m tf_breakages install all;"
        f" status=$?; ls '{project.home}/envs' >&2; exit $status"
    )
    done = subprocess.run(
        [*own_mounts(), "sh", "-c", inside],
        env={**os.environ, **project.variables},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 2 and "1 of 2 pins are not installed: 9.1." in said
    assert "Pin 9.1 is not installed: the disk is full." in said and "point TFB_HOME at another disk" in said
    assert "tf-9.2-" in said and "tf-9.1-" not in said.splitlines()[-1] and "Traceback" not in said


def test_a_home_that_cannot_be_used(locked: Project) -> None:
    (locked.folder / "file").write_text("")
    status, said = locked.tfb("install", "9.1", TFB_HOME=str(locked.folder / "file"))
    assert status == 2 and "can't be used" in said and "Traceback" not in said
