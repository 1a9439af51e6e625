"""The processes of a script: started where they belong, waited for no longer than they may take, always ended.

Whatever a script makes outside its processes has `tag` in its name. `script` takes away what is left of it, and of
scripts that were killed on the spot; their processes end with them.
"""

from __future__ import annotations

import ctypes as ct
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from .placement import on_core
from .report import BrokenRun, check
from .usage import cpu_seconds

CONTEXT = multiprocessing.get_context("spawn")
ANSWER_LIMIT_S = 60.0
_PR_SET_PDEATHSIG = 1
_END_PATIENCE_S = 5.0
_TAG = "tickbench-"


def tag(name: str) -> str:
    """Of this process, in the name of everything that could outlive it."""
    return f"{_TAG}{os.getpid()}-{name}"


def _tagged(words: str) -> list[Path]:
    """Files and folders of this user with these words in their names, where scripts and transports put them."""
    found = []
    for folder in ("/dev/shm", tempfile.gettempdir()):
        for path in Path(folder).glob(f"*{words}*"):
            try:
                if path.lstat().st_uid == os.geteuid():
                    found.append(path)
            except FileNotFoundError:
                pass  # its own script was faster
    return found


def remove_tagged(words: str) -> None:
    """What has *words*, the beginning of a tag, in its name."""
    for path in _tagged(words):
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        except FileNotFoundError:
            pass  # its own script, or another one that clears up, was faster


def _remove_of_killed() -> None:
    for path in _tagged(_TAG):
        found = re.search(rf"{_TAG}(\d+)-", path.name)
        if found is not None and not Path("/proc", found[1]).exists():
            remove_tagged(found[0])


def _stop(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)  # not to be killed on the spot: there are processes and segments to clear


def script(main: Callable[[], int | None]) -> None:
    """Run a script's *main*, and exit with its status. SIGTERM ends it in order."""
    signal.signal(signal.SIGTERM, _stop)
    _remove_of_killed()
    try:
        status = main()
    finally:
        remove_tagged(tag(""))
    sys.exit(status)


# ---- a process in Python -----------------------------------------------------------------------


class _Raised(NamedTuple):
    words: str
    trace: str


class InProcess(Exception):
    """The traceback of another process."""


def _main(parent: int, target: Callable[..., None], args: tuple[Any, ...], pipe: Any) -> None:
    # Who only reads, or polls, would not notice that the script was killed.
    ct.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    try:
        target(*args, pipe)
    except Exception as error:
        pipe.send(_Raised(f"{type(error).__name__}: {error}", traceback.format_exc()))
        sys.exit(1)


class PythonProcess:
    """``target(*args, pipe)`` in a process of its own. What it raises comes out of `answer`."""

    def __init__(self, name: str, target: Callable[..., None], *args: Any, core: int | None = None) -> None:
        self.name = name
        self.source, theirs = CONTEXT.Pipe()  # what wait() can wait for
        self._process = CONTEXT.Process(target=_main, args=(os.getpid(), target, args, theirs), daemon=True)
        with on_core(core):
            self._process.start()
        theirs.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def tell(self, message: Any) -> None:
        try:
            self.source.send(message)
        except ConnectionError:
            pass  # it has failed: its answer says why

    def answer(self) -> Any:
        try:
            answer = self.source.recv()
        except (EOFError, ConnectionError):
            self._process.join(_END_PATIENCE_S)
            raise BrokenRun(f"{self.name} ended with status {self._process.exitcode} before it was done") from None
        if isinstance(answer, _Raised):
            raise BrokenRun(f"{self.name}: {answer.words}") from InProcess(answer.trace)
        return answer

    def join(self) -> None:
        """Wait for its end, which must be a good one."""
        self._process.join(ANSWER_LIMIT_S)
        check(self._process.exitcode == 0, f"{self.name} ended with status {self._process.exitcode}")

    def end(self, patience_s: float = 0.0) -> None:
        """Kill it if it has not ended by itself in that time."""
        self._process.join(patience_s)
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._process.close()
        self.source.close()


# ---- a program ---------------------------------------------------------------------------------


class Program:
    """A C++ program. Its answers are lines; the end of its input is what it can be told."""

    def __init__(self, command: Sequence[str], core: int | None = None) -> None:
        self.name = os.path.basename(command[0])
        with on_core(core):
            # Unbuffered, so that what can be read is never hidden from wait().
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
            )
        self.source: Any = self._process.stdout
        self.pid = self._process.pid

    def tell(self, _message: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def answer(self) -> str:
        assert self._process.stderr is not None
        line = str(self.source.readline(), "utf-8")
        if not line.endswith("\n"):
            self._process.wait(_END_PATIENCE_S)
            errors = self._process.stderr.read().decode().strip()
            raise BrokenRun(f"{self.name} ended with status {self._process.returncode}: {errors}")
        return line

    def join(self) -> None:
        """Wait for its end, which must be a good one."""
        status = self._process.wait(ANSWER_LIMIT_S)
        check(status == 0, f"{self.name} ended with status {status}")

    def end(self, patience_s: float = 0.0) -> None:
        """Kill it if it has not ended by itself in that time."""
        with self._process:  # closes its pipes
            try:
                self._process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self._process.kill()


def run_to_end(
    command: Sequence[str], *, core: int | None = None, limit_s: float = ANSWER_LIMIT_S
) -> subprocess.CompletedProcess[str]:
    """A program that needs nobody, and what it has printed."""
    with on_core(core):
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s)
    check(
        done.returncode == 0,
        f"{os.path.basename(command[0])} ended with status {done.returncode}: {done.stderr[-500:]}",
    )
    return done


# ---- several -----------------------------------------------------------------------------------

Process = PythonProcess | Program


def hear(processes: Sequence[Process], what: str, limit_s: float = ANSWER_LIMIT_S) -> list[Any]:
    """One answer from each. Who fails is heard even while others wait for it."""
    answers: dict[Process, Any] = {}
    left = {process.source: process for process in processes}
    deadline = time.monotonic() + limit_s
    while left:
        ready = wait(list(left), max(0.0, deadline - time.monotonic()))
        check(bool(ready), f"no {what} within {limit_s:g} s from {', '.join(p.name for p in left.values())}")
        for source in ready:
            process = left.pop(source)
            answers[process] = process.answer()
    return [answers[process] for process in processes]


class Crew:
    """Processes that are spoken to together. With it as context they are gone behind it, whatever happened."""

    def __init__(self) -> None:
        self._processes: list[Process] = []

    def add(self, process: Process) -> Process:
        self._processes.append(process)
        return process

    def start(self, name: str, target: Callable[..., None], *args: Any, core: int | None = None) -> int:
        """``target(*args, pipe)`` in a process of its own; its pid."""
        return self.add(PythonProcess(name, target, *args, core=core)).pid

    def tell(self, message: Any) -> None:
        """The same to each."""
        for process in self._processes:
            process.tell(message)

    def hear(self, what: str = "answer", limit_s: float = ANSWER_LIMIT_S) -> list[Any]:
        """One answer from each, in the order in which they were added."""
        return hear(self._processes, what, limit_s)

    def join(self) -> None:
        """Wait for their ends, which must be good ones."""
        for process in self._processes:
            process.join()

    def cpu(self) -> float:
        """Processor seconds of all of them."""
        return sum(cpu_seconds(process.pid) for process in self._processes)

    def end(self, patience_s: float = 0.0) -> None:
        """Kill who has not ended by itself in that time."""
        while self._processes:
            self._processes.pop().end(patience_s)

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.end()
