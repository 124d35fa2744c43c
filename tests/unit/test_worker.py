"""What a worker makes the same in two runs of one program, and what it leaves as it is."""

import os
import sysconfig
from pathlib import Path

import pytest

from tf_breakages import worker
from tf_breakages.worker import Normaliser


@pytest.fixture
def normalise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Normaliser:
    """That of a worker in `tmp_path`/home, whose environment stands beside it as a real one does."""
    site = tmp_path / "home" / "envs" / "tf-9.1-abc" / "lib" / "site-packages"
    monkeypatch.setattr(worker, "__file__", str(tmp_path / "home" / "workers" / "9.1-def" / "worker.py"))
    real = sysconfig.get_path
    monkeypatch.setattr(sysconfig, "get_path", lambda key: str(site) if key == "purelib" else real(key))
    return Normaliser(str(tmp_path / "home" / "workers" / "9.1-def" / "scratch" / "77"), ["/packages/numpy-2"])


def test_paths_and_addresses(normalise: Normaliser, tmp_path: Path) -> None:
    run = tmp_path / "home" / "workers" / "9.1-def" / "scratch" / "77"
    text = f"<A object at 0x7f0012345678> {run}/cwd/a {run}/home/b {run}/tmp/c {run}/cell.py /packages/numpy-2/numpy"
    assert normalise(text) == "<A object at 0x…> <cwd>/a <home>/b <tmp>/c <cell> <site>/numpy"
    assert normalise("0xff is 255; workers; /home") == "0xff is 255; workers; /home"


@pytest.mark.parametrize("cut", ["", "home", "home/"])
def test_paths_that_tensorflow_cut_short(normalise: Normaliser, tmp_path: Path, cut: str) -> None:
    beginning = f"{tmp_path}/{cut}" if cut else "/"
    ours, theirs = "/workers/9.1-def/scratch/77/cell.py", "/envs/tf-9.1-abc/lib/site-packages/tensorflow/ops.py"
    whole = f"[[node A (defined at {tmp_path}/home{theirs}:1748)]] {tmp_path}/home{ours}:5"
    assert normalise(whole.replace(beginning, "") if cut else whole) == (
        "[[node A (defined at <site>/tensorflow/ops.py:1748)]] <cell>:5"
    )


def test_the_folder_that_autograph_calls_relative_is_not_told(normalise: Normaliser, tmp_path: Path) -> None:
    text = f"in converted code:\n    relative to {tmp_path}/home:\n\n    workers/9.1-def/scratch/77/cell.py:4 f  *\n"
    assert normalise(text) == "in converted code:\n\n    <cell>:4 f  *\n"


def test_our_own_frames_are_dropped(normalise: Normaliser, tmp_path: Path) -> None:
    ours = 'File "/workers/9.1-def/worker.py", line 71, in main\n    keep(options)\n'
    theirs = f'  File "{os.sep}workers/9.1-def/scratch/77/cell.py", line 5, in <module>\n    tf.reshape(x, [3])\n'
    assert normalise(f"Original stack trace:\n  {ours}  {ours}{theirs}") == (
        'Original stack trace:\n  File "<cell>", line 5, in <module>\n    tf.reshape(x, [3])\n'
    )
    numpy = f"Traceback (most recent call last):  {ours}  {ours}{theirs}"  # NumPy 2 breaks no line there
    assert normalise(numpy).startswith('Traceback (most recent call last):  File "<cell>", line 5')


def test_our_own_frames_are_dropped_where_tensorflow_2_7_marks_each_line(normalise: Normaliser) -> None:
    ours = '>>>   File "/workers/9.1-def/worker.py", line 74, in main\n>>>     keep(options)\n>>> \n'
    theirs = f'>>>   File "{os.sep}workers/9.1-def/scratch/77/cell.py", line 5, in <module>\n>>>     print(1)\n>>> \n'
    assert normalise(f"Operation defined at: (most recent call last)\n{ours}{ours}{theirs}\n") == (
        'Operation defined at: (most recent call last)\n>>>   File "<cell>", line 5, in <module>\n>>>     print(1)\n>>> \n\n'
    )
