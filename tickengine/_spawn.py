"""A spawned process that does not import the user's main module.

`multiprocessing`'s spawn runs the parent's main script again in the child, to find classes defined
there. Our own processes need none: without that they start faster, cost less memory, and a user's
script needs no ``if __name__ == "__main__"`` for it.
"""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterable
from multiprocessing import context, reduction, resource_tracker, spawn, util
from multiprocessing.context import set_spawning_popen
from multiprocessing.popen_spawn_posix import Popen as _SpawnPopen
from multiprocessing.process import BaseProcess
from typing import Any


def _write_all(file: io.FileIO, message: memoryview) -> None:
    done = 0
    while done < len(message):
        done += file.write(message[done:]) or 0


class _Popen(_SpawnPopen):
    # As the base class's, but for the two entries taken out of the preparation data.
    def _launch(self, process_obj: BaseProcess) -> None:
        tracker_fd = resource_tracker.getfd()
        self._fds: list[int]
        self._fds.append(tracker_fd)
        data = spawn.get_preparation_data(process_obj.name)
        data.pop("init_main_from_name", None)
        data.pop("init_main_from_path", None)
        buffer = io.BytesIO()
        set_spawning_popen(self)
        try:
            reduction.dump(data, buffer)
            reduction.dump(process_obj, buffer)
        finally:
            set_spawning_popen(None)
        parent_r, child_w = os.pipe()
        try:
            child_r, parent_w = os.pipe()
        except OSError:  # the limit of descriptors: what is tried again must not use them up itself
            os.close(parent_r)
            os.close(child_w)
            raise
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, getattr(process_obj, "blocked", ()))
        try:
            command = spawn.get_command_line(tracker_fd=tracker_fd, pipe_handle=child_r)
            # Interrupted before it has its message (another thread may take the signal), it has nothing to say.
            at = command.index("-c") + 1
            command[at] = f"try:\n    {command[at]}\nexcept EOFError:\n    pass"
            self._fds.extend([child_r, child_w])
            # typeshed says bytes; the function takes what os.fsencode takes
            self.pid = util.spawnv_passfds(spawn.get_executable(), command, self._fds)  # type: ignore[arg-type]
            self.sentinel = parent_r
            with open(parent_w, "wb", closefd=False, buffering=0) as f, buffer.getbuffer() as message:
                try:
                    _write_all(f, message)
                finally:
                    message[:] = bytes(len(message))  # there may be a password in it
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            self.finalizer = util.Finalize(self, util.close_fds, (parent_r, parent_w))  # type: ignore[attr-defined]
            os.close(child_r)
            os.close(child_w)


class SpawnedProcess(context.SpawnProcess):
    """`multiprocessing.Process` with the spawn method, without the user's main module.

    *blocked* signals wait until the new process, which has no handlers yet, lets them in itself.
    """

    def __init__(self, *args: Any, blocked: Iterable[int] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.blocked = frozenset(blocked)

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:
        return _Popen(process_obj)
