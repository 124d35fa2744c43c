"""The Jupyter kernel `tf-matrix`: a cell runs on every selected pin, its output is the matrix of what they did.

`TFB_PINS` selects the pins (default: all that are installed). `TFB_PROGRESS=1` shows a live line while a cell runs; it
is off for nbval, which compares every output. `TFB_VERIFY=1` asks two agreeing runs of the cache, `TFB_NO_CACHE=1` does without it.
"""

import os
from typing import Any

from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel

from tf_breakages import __version__, introspect, matrix
from tf_breakages.cache import Cache
from tf_breakages.errors import MachineryError
from tf_breakages.matrix import Outcome
from tf_breakages.pins import load, usual
from tf_breakages.pool import Pool, Task, note_count
from tf_breakages.program import programs


class MatrixKernel(Kernel):
    """A wrapper kernel whose interpreter is the pool."""

    implementation = "tf-matrix"
    implementation_version = __version__
    banner = "Every cell is a program of its own; it runs on every pinned TensorFlow."
    language_info = {"name": "python", "mimetype": "text/x-python", "file_extension": ".py"}  # noqa: RUF012

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self._sources: list[str] = []

    async def do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: Any = None,
        allow_stdin: bool = False,
        **_: Any,
    ) -> dict[str, Any]:
        if not code.strip():
            return self._reply("ok", payload=[], user_expressions={})
        pool = Pool(
            None if os.environ.get("TFB_NO_CACHE") else Cache.of_user(agreed=2 if os.environ.get("TFB_VERIFY") else 1)
        )
        progress = Progress(self) if os.environ.get("TFB_PROGRESS") and not silent else None
        try:
            pins = usual()
            program = programs([*self._sources, code])[-1]
            reading = pool.run(
                [program], pins, progress.on_outcome(len(pins) * max(1, len(program.writers))) if progress else None
            )[0]
        except MachineryError as error:
            return self._error("MachineryError", str(error), silent)
        except KeyboardInterrupt:
            return self._error("KeyboardInterrupt", "interrupted; every child was stopped", silent)
        finally:
            note_count(pool.count)
            if progress:
                progress.clear()
        if not silent:  # nbval asks for no history, and its cells are cells all the same
            self._sources.append(code)
        known = [pin.name for pin in load()]
        if not silent:
            data = matrix.output(matrix.group(reading, known), known)
            self.send_response(
                self.iopub_socket,
                "execute_result",
                {"execution_count": self.execution_count, "data": data, "metadata": {}},
            )
        return self._reply("ok", payload=[], user_expressions={})

    async def do_complete(self, code: str, cursor_pos: int) -> dict[str, Any]:
        found = introspect.complete(code, cursor_pos)
        return {"status": "ok", "metadata": {}, **found}

    async def do_inspect(
        self, code: str, cursor_pos: int, detail_level: int = 0, omit_sections: Any = ()
    ) -> dict[str, Any]:
        text = introspect.inspect(code, cursor_pos)
        return {"status": "ok", "found": bool(text), "data": {"text/plain": text} if text else {}, "metadata": {}}

    async def do_is_complete(self, code: str) -> dict[str, Any]:
        return {"status": "unknown"}

    def _reply(self, status: str, **more: Any) -> dict[str, Any]:
        return {"status": status, "execution_count": self.execution_count, **more}

    def _error(self, name: str, message: str, silent: bool) -> dict[str, Any]:
        content = {"ename": name, "evalue": message, "traceback": [f"{name}: {message}"]}
        if not silent:
            self.send_response(self.iopub_socket, "error", content)
        return self._reply("error", **content)


class Progress:
    """The live line of a running cell. It is gone when the result comes."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._shown = False

    def on_outcome(self, total: int) -> Any:
        done: list[str] = []

        def show(task: Task, outcome: Outcome) -> None:
            done.append(task.pin.name)
            self._display(
                f"{len(done)} of {total} · {task.pin.name}: {matrix.ending(outcome).partition(chr(10))[0][:80] or outcome['status']}"
            )

        self._display(f"0 of {total} · starting workers where none run")
        return show

    def clear(self) -> None:
        if self._shown:
            self._kernel.send_response(self._kernel.iopub_socket, "clear_output", {"wait": True})

    def _display(self, text: str) -> None:
        kind = "update_display_data" if self._shown else "display_data"
        self._shown = True
        content = {"data": {"text/plain": text}, "metadata": {}, "transient": {"display_id": f"tfb-{id(self)}"}}
        self._kernel.send_response(self._kernel.iopub_socket, kind, content)


if __name__ == "__main__":
    IPKernelApp.launch_instance(kernel_class=MatrixKernel)
