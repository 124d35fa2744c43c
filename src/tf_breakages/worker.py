"""The worker: imports TensorFlow once inside a pin's environment and forks for every program.

A stdlib-only script for Python 3.7 to 3.13; it runs with the pin's interpreter, never with the driver's.
Four processes, each with one job:

    keeper      starts the server, and writes down how it died            (no TensorFlow)
    server      imports TensorFlow, listens, forks a supervisor a request (never runs a program)
    supervisor  forks the child, watches its limits, writes the outcome   (never runs a program)
    child       runs the program, in its own session and directory

Keeper, server and supervisor adopt orphans (PR_SET_CHILD_SUBREAPER) and every process dies with its
parent (PR_SET_PDEATHSIG), so that nothing a program starts outlives it.

A request is one line of JSON on the server's Unix socket; the answer is a line `{"started": pid}` and then a
line with either `outcome` and `usage`, or `failure`, which is ours and never an outcome.
"""

import sys

if __name__ == "__main__":
    sys.path.pop(0)  # this file's folder: its `site` and `kernel` must not shadow anyone's modules

import argparse
import ast
import contextlib
import ctypes
import gc
import json
import logging
import os
import re
import resource
import selectors
import shutil
import signal
import socket
import sysconfig
import tempfile
import time
import types
import warnings

PROCESSES = 256
"""How many processes a program may have at once; a fork bomb is stopped there."""

TICK = 0.05
"""Seconds between two looks at a child's memory."""

FAREWELL = 0.5
"""Seconds a supervisor may take to go after it has sent its outcome; a few milliseconds on an idle machine."""

OPENED_BY_IMPORT = set()
"""Descriptors a child keeps: those that TensorFlow's import opened."""

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # <linux/prctl.h>


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cold", metavar="REQUEST", help="run one program in this fresh interpreter")
    parser.add_argument("--report", type=int, help="with --cold: the descriptor that takes the report")
    parser.add_argument("--serve", metavar="FOLDER", help="the folder, mode 0700, for the socket and scratch files")
    parser.add_argument("--preload", default="tensorflow", help="the module imported once")
    parser.add_argument("--marker", help="stop when this file of the environment changes or goes")
    parser.add_argument("--idle", type=float, default=900, help="stop after so many idle seconds")
    options = parser.parse_args()
    if options.cold:
        with open(options.cold) as file:
            request = json.load(file)
        os.unlink(options.cold)
        run_program(request["source"], request["cell"], options.report)
    else:
        keep(options)


# -- keeper ------------------------------------------------------------------------------------------------------


def keep(options):
    """Start the server and outlive it: write its end to `ended.json`, kill what it leaves."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    keeper = os.getpid()
    server = os.fork()
    if server == 0:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == keeper:
            serve(options)
        os._exit(0)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(server, signal.SIGTERM))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.close(1)  # the server alone says «ready»; its death before that must close the pipe
    status = None
    while status is None:
        pid, ended = os.waitpid(-1, 0)
        if pid == server:
            status = ended
    kill_descendants()
    if status != 0:
        with open(os.path.join(options.serve, "ended.json"), "w") as file:
            json.dump({"pid": server, **describe_exit(status)}, file)
    shutil.rmtree(os.path.join(options.serve, "scratch"), ignore_errors=True)
    os._exit(0)


# -- server ------------------------------------------------------------------------------------------------------


def serve(options):
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    os.chdir(options.serve)  # a relative socket name has no length limit that a long path could break
    scratch = os.path.join(options.serve, "scratch")
    shutil.rmtree(scratch, ignore_errors=True)
    os.makedirs(os.path.join(scratch, "server"))
    os.environ.update(HOME=os.path.join(scratch, "server"), TMPDIR=os.path.join(scratch, "server"))
    __import__(options.preload)
    OPENED_BY_IMPORT.update(open_descriptors())
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # else every child would print what the import left in the buffer
    gc.collect()
    gc.freeze()  # keeps the collector from touching, and so copying, the pages children share

    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.suppress(FileNotFoundError):
        os.unlink("socket")
    listener.bind("socket")
    listener.listen(64)
    listener.setblocking(False)
    identity = fingerprint("socket")
    environment = fingerprint(options.marker)
    with open("server.pid", "w") as file:
        file.write(str(os.getpid()))
    os.write(1, b"ready\n")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    wakeup = signal_pipe(signal.SIGCHLD)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(wakeup, selectors.EVENT_READ)
    supervisors = {}  # pid: its connection
    last = time.monotonic()
    while True:
        for key, _ in selector.select(timeout=2):
            if key.fileobj is wakeup:
                drain(wakeup)
            elif not stopping:
                last = time.monotonic()
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    accept(listener, selector, supervisors, scratch, stopping)
        if reap(supervisors, scratch):
            last = time.monotonic()
        replaced = fingerprint("socket") != identity or fingerprint(options.marker) != environment
        if not supervisors and (replaced or time.monotonic() - last > options.idle):
            stopping.append(True)
        if stopping and not supervisors:
            if fingerprint("socket") == identity:
                os.unlink("socket")
            os._exit(0)


def accept(listener, selector, supervisors, scratch, stopping):
    connection = listener.accept()[0]
    connection.setblocking(True)
    connection.settimeout(10)
    try:
        request = json.loads(read_line(connection))
    except (ValueError, OSError):
        connection.close()
        return
    if request["do"] != "run":
        # «stop» is answered with the number of programs still running; it takes effect only at zero unless forced.
        # Whoever has just read an outcome may ask before its supervisor has gone: that is no running program.
        patience = time.monotonic() + (FAREWELL if request["do"] == "stop" else 0)
        while (reap(supervisors, scratch) or supervisors) and time.monotonic() < patience:
            time.sleep(0.005)
        send(connection, {"running": len(supervisors)})
        connection.close()
        if request["do"] == "stop" and (request.get("force") or not supervisors):
            stopping.append(True)
        return
    server = os.getpid()
    pid = os.fork()
    if pid:
        supervisors[pid] = connection
        send(connection, {"started": pid})
        return
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == server:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            selector.close()
            listener.close()
            for other in supervisors.values():
                other.close()
            supervise(connection, request, os.path.join(scratch, str(os.getpid())))
    except BaseException as error:
        with contextlib.suppress(OSError):
            send(connection, {"failure": "%s: %s" % (type(error).__name__, error)})
    finally:
        os._exit(0)


def reap(supervisors, scratch):
    """Collect ended supervisors; one that was killed is answered for, and what it left is killed. True if any ended."""
    ended = False
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if pid == 0:
            break
        connection = supervisors.pop(pid, None)
        if connection is None:
            continue
        ended = True
        if status != 0:
            kill_descendants(spare=supervisors)
            shutil.rmtree(os.path.join(scratch, str(pid)), ignore_errors=True)
            crash = {"status": "crash", "stdout": "", "stderr": "", **describe_exit(status)}
            with contextlib.suppress(OSError):
                send(connection, {"outcome": crash, "usage": {"cpu": 0.0, "wall": 0.0, "rss": 0}})
        connection.close()
    return ended


def fingerprint(path):
    """What changes when a file is replaced; None where it is gone or none was named."""
    try:
        found = os.stat(path) if path else None
    except OSError:
        return None
    return found and (found.st_ino, found.st_mtime_ns)


# -- supervisor --------------------------------------------------------------------------------------------------


def supervise(connection, request, run):
    """Run one program in a child, within the request's limits, and send its outcome."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    for name in ("cwd", "home", "tmp"):
        os.makedirs(os.path.join(run, name))
    cell, cwd = os.path.join(run, "cell.py"), os.path.join(run, "cwd")
    with open(cell, "w", encoding="utf-8", newline="") as file:
        file.write(request["source"])
    for folder in request.get("files", []):
        copy_into(folder, cwd)

    wakeup = signal_pipe(signal.SIGCHLD)
    streams = {name: os.pipe() for name in ("stdout", "stderr", "report")}
    begun = time.monotonic()
    supervisor = os.getpid()
    child = os.fork()
    if child == 0:
        become_child(request, run, {name: ends[1] for name, ends in streams.items()}, supervisor)

    texts = {}
    selector = selectors.DefaultSelector()
    for name, (reader, writer) in streams.items():
        os.close(writer)
        os.set_blocking(reader, False)
        texts[name] = bytearray()
        selector.register(reader, selectors.EVENT_READ, name)
    selector.register(wakeup, selectors.EVENT_READ, "wakeup")
    selector.register(connection, selectors.EVENT_READ, "client")

    stopped, status, peak, look = None, None, 0, 0
    deadline = begun + request["seconds"]
    while status is None and stopped is None:
        for key, _ in selector.select(timeout=TICK):
            if key.data == "client":
                stopped = {"status": "abandoned"}  # the client went away or was interrupted: nobody reads the answer
            elif key.data == "wakeup":
                drain(wakeup)
            elif not pump(key.fileobj, texts[key.data]):
                selector.unregister(key.fileobj)
        ended = [status for pid, status in reap_all() if pid == child]
        status = ended[0] if ended else None
        if len(texts["stdout"]) + len(texts["stderr"]) > request["output"]:
            stopped = {"status": "crash", "limit": "output", "stdout": "", "stderr": ""}
        elif status is None and stopped is None:
            look += 1
            tree = descendants() if look % 4 == 0 else [child]
            resident = sum(map(resident_bytes, tree))
            peak = max(peak, resident)
            if len(tree) > PROCESSES:
                stopped = {"status": "crash", "signal": "SIGKILL", "stdout": "", "stderr": ""}
            elif resident > request["memory"] and (len(tree) == 1 or sum(map(share_bytes, tree)) > request["memory"]):
                stopped = {"status": "crash", "limit": "memory", "stdout": "", "stderr": ""}
            elif time.monotonic() > deadline:
                stopped = {"status": "timeout", "seconds": request["seconds"]}
    if stopped or has_children():
        kill_descendants()
    for name, (reader, _) in streams.items():
        pump(reader, texts[name])
    wall = time.monotonic() - begun
    outcome = stopped or conclude(status, texts, Normaliser(run, request.get("packages", [])))
    if "keep" in request and outcome["status"] == "ok":
        copy_into(cwd, request["keep"])
    shutil.rmtree(run, ignore_errors=True)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    usage = {
        "cpu": round(spent.ru_utime + spent.ru_stime, 3),
        "wall": round(wall, 3),
        "rss": max(peak, spent.ru_maxrss * 1024),
    }
    with contextlib.suppress(OSError):
        send(connection, {"outcome": outcome, "usage": usage})


def conclude(status, texts, normalise):
    """The outcome of a child that ended by itself."""
    output = {name: normalise(decode(texts[name])) for name in ("stdout", "stderr")}
    output["stderr"] = CPP_LOG.sub("", output["stderr"])
    try:
        report = json.loads(bytes(texts["report"]).decode("ascii"))
    except ValueError:
        report = None
    if report is None or status != 0:
        return {"status": "crash", **describe_exit(status), **output}
    outcome = {"status": "error" if report["error"] else "ok", **output, "result": None, "warnings": report["warnings"]}
    for warning in outcome["warnings"]:
        warning["message"] = normalise(warning["message"])
    if report["error"]:
        error = outcome["error"] = report["error"]
        for each in [error, *error.get("causes", [])]:
            each["message"] = normalise(each["message"])
    elif report["result"] is not None:
        outcome["result"] = normalise(report["result"])
    return outcome


CPP_LOG = re.compile(
    r"^(?:WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR"
    r"|[IWEF]\d{4} \d\d:\d\d:\d+\.\d+ +\d+ \S+:\d+\] .*"  # before absl's log is set up its seconds are those since 1970
    r"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWEF] \S+:\d+\] .*)(?:\n|\Z)",
    re.MULTILINE,
)
"""Lines of TensorFlow's C++ log, in absl's and in TensorFlow's own form."""


class Normaliser:
    """Replaces what differs between two runs of one program, and nothing else."""

    ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+|\b0x[0-9a-fA-F]{9,16}\b")
    SYNTAX = re.compile(r"\(cell\.py, line ")  # how a SyntaxError's text names the file
    AUTOGRAPH = re.compile(r"<tmp>/__autograph_generated_file\w+\.py")

    def __init__(self, run, packages=()):
        paths = {os.path.join(run, "cell.py"): "<cell>", run: "<run>", **dict.fromkeys(packages, "<site>")}
        for name in ("cwd", "home", "tmp"):
            paths[os.path.join(run, name)] = "<%s>" % name
        # a worker's TensorFlow remembers the home and temporary folder it was imported in
        paths[os.path.join(os.path.dirname(run), "server")] = "<home>"
        for key in ("purelib", "platlib"):
            paths[sysconfig.get_path(key)] = "<site>"
        for key in ("stdlib", "platstdlib"):
            paths[sysconfig.get_path(key)] = "<python>"
        paths[sys.prefix] = "<environment>"
        for path in list(paths):
            paths.setdefault(os.path.realpath(path), paths[path])
        # TensorFlow up to 2.6 cuts from the paths in its messages what all of them begin with: some folder above both
        # the program and TensorFlow. So a path is known without that beginning, too.
        folder = os.path.dirname(os.path.abspath(__file__))
        above = [os.path.dirname(os.path.dirname(folder))]
        while above[-1] != os.path.dirname(above[-1]):
            above.append(os.path.dirname(above[-1]))
        for path in list(paths):
            for cut in (cut.rstrip("/") for cut in above if path.startswith(cut.rstrip("/") + "/")):
                paths.setdefault(path[len(cut) :], paths[path])
                paths.setdefault(path[len(cut) + 1 :], paths[path])
        self.paths = {path: paths[path] for path in sorted(paths, key=len, reverse=True)}
        self.pattern = re.compile("|".join(map(re.escape, self.paths)))
        self.relative = re.compile(
            r"(?<=in converted code:\n) +relative to (?:%s):\n" % "|".join(map(re.escape, above))
        )
        # frames of this file stand below the program's in stack traces that TensorFlow puts into its messages
        self.frames = re.compile(
            r'(?:^|(?<=last\):))(?:>>> )? *File "[^"\n]*%s/worker\.py", line \d+, in .*\n(?:(?:>>> )? {4,}.*(?:\n|\Z))?(?:>>> *\n)?'
            % re.escape(os.path.basename(folder)),
            re.M,
        )

    def __call__(self, text):
        text = self.relative.sub("", self.frames.sub("", text))
        text = self.pattern.sub(lambda match: self.paths[match.group()], text)
        text = self.AUTOGRAPH.sub("<autograph>", text)
        text = self.SYNTAX.sub("(<cell>, line ", text)
        return self.ADDRESS.sub(lambda match: "at 0x…" if match.group().startswith("at") else "0x…", text)


# -- child -------------------------------------------------------------------------------------------------------


def become_child(request, run, writers, supervisor):
    """Turn the forked process into the program's: descriptors, directory, environment; then run it. Never returns."""
    code = 70
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(code)
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as in any Python
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with contextlib.suppress(OSError):  # the kernel's memory killer takes the program, not a worker
            with open("/proc/self/oom_score_adj", "w") as file:
                file.write("1000")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        report = os.dup(writers["report"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(writers["stdout"], 1)
        os.dup2(writers["stderr"], 2)
        for descriptor in open_descriptors() - OPENED_BY_IMPORT - {0, 1, 2, report}:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        cwd = os.path.join(run, "cwd")
        os.chdir(cwd)
        os.environ.update(HOME=os.path.join(run, "home"), TMPDIR=os.path.join(run, "tmp"), PWD=cwd)
        tempfile.tempdir = None
        cell = os.path.join(run, "cell.py")
        if request["cold"]:
            os.set_inheritable(report, True)
            path = os.path.join(run, "request.json")
            with open(path, "w") as file:
                json.dump({"source": request["source"], "cell": cell}, file)
            if request.get("packages"):
                os.environ["PYTHONPATH"] = os.pathsep.join(request["packages"])
            me = os.path.abspath(__file__)
            os.execv(sys.executable, [sys.executable, me, "--cold", path, "--report", str(report)])
        if "numpy.random" in sys.modules:
            sys.modules["numpy.random"].seed()  # else all children of a worker would draw the same numbers
        run_program(request["source"], cell, report)
    except BaseException as error:
        os.write(2, ("worker: %s: %s\n" % (type(error).__name__, error)).encode("utf-8", "backslashreplace"))
    finally:
        os._exit(code)


def run_program(source, cell, report):
    """Run `source` as `__main__`, write the report to the descriptor, and end the process. Never returns."""
    told = Warnings()
    main_module = types.ModuleType("__main__")
    main_module.__dict__.update(__file__=cell, __builtins__=__builtins__)
    sys.modules["__main__"] = main_module
    sys.argv = [cell]
    sys.path.insert(0, "")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # so that a crash loses no line already printed
    result = error = None
    try:
        tree = compile(source, cell, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, cell, "exec", dont_inherit=True), main_module.__dict__)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), cell, "eval", dont_inherit=True), main_module.__dict__)
            result = None if value is None else repr(value)
    except BaseException as raised:
        error = describe_error(raised, cell)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    LIBC.fflush(None)
    if result is not None:
        result = printable(result)
    data = json.dumps({"result": result, "error": error, "warnings": told.records}).encode("ascii")
    while data:
        data = data[os.write(report, data) :]
    os._exit(0)


def describe_error(raised, cell):
    """The error of an outcome: type, message, the line of the cell, and the exceptions it was raised from."""
    error = {"type": type(raised).__name__, "message": message_of(raised), "line": line_of(raised, cell)}
    causes, seen = [], {id(raised)}
    while True:
        raised = raised.__cause__ or (None if raised.__suppress_context__ else raised.__context__)
        if raised is None or id(raised) in seen:
            break
        seen.add(id(raised))
        causes.append({"type": type(raised).__name__, "message": message_of(raised)})
    if causes:
        error["causes"] = causes
    return error


def message_of(raised):
    try:
        return printable(str(raised))
    except Exception:
        return "<unprintable %s object>" % type(raised).__name__


def line_of(raised, cell):
    if isinstance(raised, SyntaxError) and raised.filename == cell:
        return raised.lineno
    line, trace = None, raised.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == cell:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


class Warnings:
    """Collects what Python's warnings and TensorFlow's own log (WARNING and above) would have printed."""

    LOGGERS = ("tensorflow", "absl")

    def __init__(self):
        self.records = []
        warnings._showwarnmsg_impl = self.on_warning
        original = logging.Logger.callHandlers

        def call_handlers(logger, record):
            if logger.name.split(".")[0] not in self.LOGGERS or record.levelno < logging.WARNING:
                return original(logger, record)
            self.add("%s:%s" % (record.levelname, logger.name), record.getMessage())
            ours = logger
            while ours:  # handlers that the program added hear of it; those that print to stderr would say it twice
                for handler in ours.handlers:
                    if record.levelno >= handler.level and getattr(handler, "stream", sys.stderr) is not sys.stderr:
                        handler.handle(record)
                ours = ours.parent if ours.propagate else None

        logging.Logger.callHandlers = call_handlers

    def on_warning(self, warning):
        if not importing_tensorflow():
            self.add(warning.category.__name__, str(warning.message))

    def add(self, category, message):
        self.records.append({"category": category, "message": printable(message)})


def importing_tensorflow():
    """Whether the caller runs because TensorFlow's own package body is being executed."""
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") in ("tensorflow", "tensorflow_core"):
            return True
        frame = frame.f_back
    return False


# -- small things ------------------------------------------------------------------------------------------------


def prctl(option, value):
    if LIBC.prctl(option, ctypes.c_ulong(int(value)), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(%d) failed" % option)


def printable(text):
    """Text that UTF-8 can carry: a lone surrogate becomes its escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def decode(data):
    return bytes(data).decode("utf-8", "backslashreplace")


def describe_exit(status):
    if os.WIFSIGNALED(status):
        try:
            return {"signal": signal.Signals(os.WTERMSIG(status)).name}
        except ValueError:
            return {"signal": "SIG%d" % os.WTERMSIG(status)}
    return {"exit": os.WEXITSTATUS(status)}


def read_line(connection):
    data = bytearray()
    while not data.endswith(b"\n"):
        piece = connection.recv(1 << 16)
        if not piece:
            raise ConnectionError("closed in the middle of a line")
        data += piece
    return data.decode("utf-8")


def send(connection, message):
    connection.sendall(json.dumps(message).encode("ascii") + b"\n")


def signal_pipe(number):
    """A descriptor that becomes readable when the signal arrives."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def drain(descriptor):
    with contextlib.suppress(BlockingIOError):
        while os.read(descriptor, 4096):
            pass


def pump(descriptor, into):
    """Move what can be read now; False at the end of the stream."""
    try:
        for _ in range(16):
            data = os.read(descriptor, 1 << 16)
            if not data:
                return False
            into += data
    except BlockingIOError:
        pass
    return True


def reap_all():
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def has_children():
    """Whether any child, zombies included, is left; an orphan counts, since it was adopted."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def descendants(spare=()):
    """All processes below this one, except those in `spare` and what is below them."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                with open("/proc/%s/stat" % name) as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
    found, queue = [], [os.getpid()]
    while queue:
        for pid in children.get(queue.pop(), []):
            if pid not in spare:
                found.append(pid)
                queue.append(pid)
    return found


def kill_descendants(spare=()):
    """Kill everything below this process and reap it; stops all first, so that nothing forks away meanwhile."""
    while True:
        left = descendants(spare)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        for pid in left:
            with contextlib.suppress(ChildProcessError):  # a grandchild: ours to reap in the next round
                os.waitpid(pid, os.WNOHANG)
        if not left:
            return
        time.sleep(0.002)


def resident_bytes(pid):
    try:
        with open("/proc/%d/statm" % pid) as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


def share_bytes(pid):
    """Resident memory with each page divided by the number of processes that map it: forks share most of theirs."""
    try:
        with open("/proc/%d/smaps_rollup" % pid) as file:
            return sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    except OSError:
        return 0


def open_descriptors():
    return {int(name) for name in os.listdir("/proc/self/fd")}


def copy_into(source, target):
    """Copy the files below `source` into `target`."""
    os.makedirs(target, exist_ok=True)
    for entry in os.scandir(source):
        to = os.path.join(target, entry.name)
        if entry.is_dir(follow_symlinks=False):
            copy_into(entry.path, to)
        else:
            shutil.copy2(entry.path, to, follow_symlinks=False)


if __name__ == "__main__":
    main()
