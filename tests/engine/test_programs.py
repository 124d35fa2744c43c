"""Every way a program can misbehave ends in a clear outcome, and the next program finds a healthy worker.

Each runs on a stub pin, where it is fast, and on a real TensorFlow.
"""

import threading
import time

import psutil
import pytest

from tf_breakages import overlays
from tf_breakages.errors import MachineryError
from tf_breakages.matrix import Outcome, summary
from tf_breakages.pins import Pin
from tf_breakages.pool import Pool
from tf_breakages.program import Limits, Program, programs

LIMITS = Limits(seconds=40, memory=1536 << 20)
IMPORT = "import tensorflow\n"


def run(source: str, pin: Pin, limits: Limits = LIMITS) -> Outcome:
    return Pool().run([Program(source, limits)], [pin])[0][(None, pin.name)]


CRASHES = {
    "os._exit": ("import os\nprint('said')\nos._exit(3)", {"exit": 3}, "said\n"),
    "abort": ("import os\nprint('said')\nos.abort()", {"signal": "SIGABRT"}, "said\n"),
    "segfault": ("import ctypes\nctypes.string_at(0)", {"signal": "SIGSEGV"}, ""),
    "kills its parent": (
        "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nimport time\ntime.sleep(99)",
        {"signal": "SIGKILL"},
        "",
    ),
    "kills itself": ("import os, signal\nos.kill(0, signal.SIGKILL)", {"signal": "SIGKILL"}, ""),
    "prints a gigabyte": ("for _ in range(1 << 10):\n    print('x' * (1 << 20))", {"limit": "output"}, ""),
    "takes all memory": ("taken = []\nwhile True:\n    taken.append(bytearray(1 << 26))", {"limit": "memory"}, ""),
    "fork bomb": ("import os\nwhile True:\n    os.fork()", {"signal": "SIGKILL"}, ""),
}


@pytest.mark.parametrize("name", CRASHES)
def test_a_crash_is_an_outcome(name: str, any_pin: Pin) -> None:
    source, cause, stdout = CRASHES[name]
    limits = Limits(seconds=300, memory=64 << 30) if name == "fork bomb" else LIMITS
    assert run(IMPORT + source, any_pin, limits) == {"status": "crash", "stdout": stdout, "stderr": "", **cause}
    assert run(IMPORT + "1 + 1", any_pin)["result"] == "2"


ERRORS = {
    "a syntax error": ("import tensorflow\ndef f(:\n", "SyntaxError", 2),
    "input()": (IMPORT + "name = input()", "EOFError", 2),
    "sys.exit()": (IMPORT + "import sys\nsys.exit(4)", "SystemExit", 3),
    "a repr that raises": (
        IMPORT + "class Bad:\n    def __repr__(self):\n        raise ValueError('no')\nBad()",
        "ValueError",
        4,
    ),
    "an error that can't be printed": (
        IMPORT + "class Bad(Exception):\n    def __str__(self):\n        raise ValueError\nraise Bad",
        "Bad",
        5,
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_an_outcome(name: str, any_pin: Pin) -> None:
    source, kind, line = ERRORS[name]
    outcome = run(source, any_pin)
    assert (outcome["status"], outcome["error"]["type"], outcome["error"]["line"]) == ("error", kind, line)


def test_an_endless_loop_is_a_timeout(any_pin: Pin) -> None:
    begun = time.monotonic()
    assert run(IMPORT + "print('said')\nwhile True:\n    pass", any_pin, Limits(seconds=2)) == {
        "status": "timeout",
        "seconds": 2,
    }
    assert time.monotonic() - begun < 120  # starting the worker included


def test_output_that_no_text_holds(any_pin: Pin) -> None:
    source = IMPORT + r"import os, sys" + "\n" + r"os.write(1, b'\xff\x00\x1b[31m'); print(ascii('\udc80')); '\udc80'"
    outcome = run(source, any_pin)
    assert outcome["stdout"] == "\\xff\0\x1b[31m'\\udc80'\n"
    assert outcome["result"] == r"'\udc80'"
    assert summary(outcome) == [r"\xff\x00\x1b[31m'\udc80'", r"'\udc80'"]


def test_lone_surrogates_in_an_error(any_pin: Pin) -> None:
    outcome = run(IMPORT + r"raise ValueError('\udc80')", any_pin)
    assert outcome["error"]["message"] == r"\udc80"
    assert run(IMPORT + r"print('\udc80')", any_pin)["error"]["type"] == "UnicodeEncodeError"


def test_threads_and_grandchildren_are_not_waited_for_and_die(any_pin: Pin) -> None:
    source = IMPORT + (
        "import os, threading, time\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        os.execvp('sleep', ['sleep', '60123'])\n"
        "    time.sleep(600)\n"
        "print('done')\n"
    )
    begun = time.monotonic()
    assert run(source, any_pin)["stdout"] == "done\n"
    assert time.monotonic() - begun < 120
    assert not [
        process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", "60123"]
    ]


def test_a_program_that_kills_the_server_is_a_crash(any_pin: Pin) -> None:
    """The server is the supervisor's parent; after two tries on fresh workers the blame is the program's."""
    source = IMPORT + (
        "import os, signal\n"
        "stat = open(f'/proc/{os.getppid()}/stat').read()\n"
        "os.kill(int(stat.rpartition(')')[2].split()[1]), signal.SIGKILL)\n"
        "import time\ntime.sleep(99)"
    )
    assert run(source, any_pin) == {"status": "crash", "stdout": "", "stderr": "", "signal": "SIGKILL"}
    assert run(IMPORT + "1 + 1", any_pin)["result"] == "2"


def test_each_program_has_its_own_directory_and_leaves_nothing(any_pin: Pin) -> None:
    source = (
        IMPORT
        + "import os, tempfile\nopen('left', 'w').close()\nos.listdir(), os.getcwd(), tempfile.gettempdir(), os.path.expanduser('~')"
    )
    for _ in range(2):
        assert run(source, any_pin)["result"] == "(['left'], '<cwd>', '<tmp>', '<home>')"


def test_what_differs_between_runs_is_normalised_and_nothing_else(any_pin: Pin) -> None:
    source = IMPORT + (
        "import os, sys, json\n"
        "print(object(), hex(255), __file__)\n"
        "print(json.__file__)\n"
        "print(tensorflow.__file__)\n"
        "raise ValueError(os.getcwd() + '/x')"
    )
    outcome = run(source, any_pin)
    assert outcome["stdout"].splitlines()[:2] == ["<object object at 0x…> 0xff <cell>", "<python>/json/__init__.py"]
    assert outcome["stdout"].splitlines()[2].startswith("<site>/tensorflow")
    assert outcome["error"] == {"type": "ValueError", "message": "<cwd>/x", "line": 6}


def test_chained_exceptions_are_told(any_pin: Pin) -> None:
    source = IMPORT + "try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('b') from e"
    assert run(source, any_pin)["error"]["causes"] == [{"type": "KeyError", "message": "'a'"}]


def test_warnings_and_tensorflows_own_log_are_part_of_the_outcome(any_pin: Pin) -> None:
    source = IMPORT + (
        "import logging, warnings\n"
        "warnings.warn('one')\n"
        "logging.getLogger('tensorflow').warning('two %d', 2)\n"
        "logging.getLogger('tensorflow').info('three')\n"
    )
    outcome = run(source, any_pin)
    assert outcome["warnings"] == [
        {"category": "UserWarning", "message": "one"},
        {"category": "WARNING:tensorflow", "message": "two 2"},
    ]
    assert outcome["stderr"] == ""


def test_the_callers_secrets_do_not_reach_a_program(any_pin: Pin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    for cold in ("", "import os\nos.environ['TF_X'] = '1'\n"):
        outcome = run(cold + IMPORT + "import os\nsorted(name for name in os.environ if 'TOKEN' in name)", any_pin)
        assert outcome["result"] == "[]"


def test_warm_and_cold_give_one_outcome(any_pin: Pin) -> None:
    source = IMPORT + "import sys\nprint(sys.argv, __name__, tensorflow.__version__)\n{}['a']"
    warm, cold = Program(source, LIMITS), Program("'TF_FORCES_COLD'; 0\n" + source, LIMITS)
    assert (warm.cold, cold.cold) == (False, True)
    one, other = (reading[(None, any_pin.name)] for reading in Pool().run([warm, cold], [any_pin]))
    other["error"]["line"] -= 1
    assert one == other


def test_a_program_reads_the_files_another_pin_left(stub_pins: list[Pin]) -> None:
    writer = "import tensorflow\nopen('left', 'w').write(tensorflow.__version__)"
    first, second = stub_pins[0], stub_pins[1]
    reader = f"# tfb: from {first.name} {second.name}\nimport tensorflow\nopen('left').read(), tensorflow.__version__"
    readings = Pool().run(programs([writer, reader, reader]), [first, second])
    expected = {(w.name, r.name): repr((w.release, r.release)) for w in (first, second) for r in (first, second)}
    for reading in readings[1:]:
        assert {key: outcome["result"] for key, outcome in reading.items()} == expected


def test_no_process_is_left_when_a_run_is_cancelled(stub_pins: list[Pin]) -> None:
    pool = Pool()
    threading.Timer(1.0, pool.cancel).start()
    begun = time.monotonic()
    pool.run([Program("import tensorflow, os\nos.execvp('sleep', ['sleep', '60321'])")], stub_pins[:1])
    assert time.monotonic() - begun < 60
    deadline = time.monotonic() + 30
    while any(process.info["cmdline"] == ["sleep", "60321"] for process in psutil.process_iter(["cmdline"])):
        assert time.monotonic() < deadline, "a cancelled program still runs"
        time.sleep(0.05)


def test_the_cpp_log_is_no_part_of_an_outcome(any_pin: Pin) -> None:
    lines = [
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
        "I0000 00:00:1795389892.564770   11236 devices.cc:76] Number of eligible GPUs: 0",
        "W1122 22:10:33.512345  123 cuda_executor.cc:1] words",
        "2026-11-22 22:10:33.512345: I tensorflow/core/platform/cpu_feature_guard.cc:182] This TensorFlow binary",
        "I said this",
    ]
    source = IMPORT + f"import os\nos.write(2, {chr(10).join(lines).encode()!r})"
    assert run(source, any_pin)["stderr"] == "I said this"


def test_an_overlay_comes_before_the_pins_own_packages(stub_pins: list[Pin]) -> None:
    pin = stub_pins[0]
    found = run("# tfb: with laid-2\nimport tensorflow, laid\nlaid.__file__, laid.__version__", pin)
    assert found["result"] == "('<site>/laid/__init__.py', '2.0')"
    assert run("import tensorflow, laid", pin)["error"]["message"] == "No module named 'laid'"


def test_an_overlay_that_is_not_for_this_python_lays_nothing_over(stub_pins: list[Pin]) -> None:
    found = run("# tfb: with elsewhere\nimport tensorflow, laid", stub_pins[0])
    assert found["error"]["message"] == "No module named 'laid'"


def test_an_overlay_that_is_missing_is_our_failure(stub_pins: list[Pin]) -> None:
    with pytest.raises(MachineryError, match="names no overlay") as raised:
        run("# tfb: with laid-3\nimport tensorflow", stub_pins[0])
    assert raised.value.remedy == "Known: laid-2, elsewhere."
    folder = overlays.load()["laid-2"].folder(stub_pins[0])
    away = folder.rename(folder.with_suffix(".away"))
    try:
        with pytest.raises(MachineryError, match="laid-2 is not installed") as raised:
            run("# tfb: with laid-2\nimport tensorflow", stub_pins[0])
        assert raised.value.remedy == f"Run: tfb install {stub_pins[0].name}"
    finally:
        away.rename(folder)
