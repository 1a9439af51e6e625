"""Names and paths of shared segments, and the removal of what dead processes left."""

from __future__ import annotations

import ctypes as ct
import os
import re
import secrets
import threading
import weakref
from collections.abc import Callable
from typing import Any

from ._errors import ConfigError, NotFoundError, SegmentError, ShimError
from ._shim import LogInfo, QueueInfo, lib, new_handle

DIRECTORY = "/dev/shm"

# weakref's exit function runs finalizers; exit functions run last registered first. It is registered by
# the first finalizer: here, so that the engines' own exit functions, registered later, come before it.
_first_finalizer = weakref.finalize(type("_Nothing", (), {}), int)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")


def check_name(name: str) -> str:
    """*name* if it can name a log or a queue, else `ConfigError`."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f"name {name!r} cannot be used: 1 to 48 letters, digits, '.', '_' or '-', a letter or digit first"
        )
    return name


def random_name(prefix: str) -> str:
    """A name that cannot be guessed."""
    return f"{prefix}-{secrets.token_hex(8)}"


def log_path(name: str) -> bytes:
    return os.fsencode(f"{DIRECTORY}/tickengine-{os.geteuid()}-{check_name(name)}.log")


def queue_path(name: str) -> bytes:
    return os.fsencode(f"{DIRECTORY}/tickengine-{os.geteuid()}-{check_name(name)}.queue")


def ring_path(name: str) -> bytes:
    return os.fsencode(f"{DIRECTORY}/tickengine-{os.geteuid()}-{check_name(name)}.ring")


_swept = False
_sweep_lock = threading.Lock()


def sweep_once() -> None:
    """Remove, once per process, the segments of this user whose processes are all dead."""
    global _swept
    with _sweep_lock:
        if _swept:
            return
        _swept = True
    prefix = f"tickengine-{os.geteuid()}-"
    # What died while it was being made first: it cannot be attached, and so not be looked at below.
    paths = [os.fsencode(f"{DIRECTORY}/{entry}") for entry in os.listdir(DIRECTORY) if entry.startswith(prefix)]
    for path in paths:
        _try(lib().segment_remove_unfinished, path)
    for path in paths:
        if path.endswith(b".log"):
            _try(remove_ended_log, path, None)
    for path in paths:  # after the logs: a queue is kept while its log lives
        if path.endswith(b".queue"):
            _try(_remove_dead_queue, path)
        elif path.endswith(b".ring"):
            _try(_remove_dead_ring, path)


def _try(remove: Callable[..., Any], *args: Any) -> None:
    """What cannot be removed stays: another user's file, or one that another process sweeps just now."""
    try:
        remove(*args)
    except (ShimError, OSError):
        pass


def _remove_dead_ring(path: bytes) -> None:
    shim, handle = lib(), new_handle()
    try:
        shim.ring_attach(path, ct.byref(handle))
    except ShimError:
        return
    try:
        # What is still in it was never sent, and nobody is left who waits for it.
        if not shim.ring_maker(handle) and not shim.ring_taker(handle):
            unlink(path)
    finally:
        shim.ring_close(handle)


def _remove_dead_queue(path: bytes) -> None:
    shim, handle, info = lib(), new_handle(), QueueInfo()
    try:
        shim.queue_attach(path, ct.byref(handle))
    except ShimError:
        return
    try:
        shim.queue_info_get(handle, ct.byref(info))
        # A successor may still take the queue up while its log lives.
        if not info.creator_alive and not os.path.exists(info.log_path):
            unlink(path)
    finally:
        shim.queue_close(handle)


def remove_ended_log(path: bytes, unique_id: int | None) -> None:
    """Remove a log that has ended, or lost all who could end it, if it is the one meant (None: any)."""
    shim, handle, info = lib(), new_handle(), LogInfo()
    try:
        shim.log_attach(path, ct.byref(handle))
    except ShimError:
        return
    try:
        shim.log_info_get(handle, ct.byref(info))
        if unique_id in (None, info.unique_id) and not info.owner_alive and not info.writer_alive:
            shim.log_unlink(handle)
    finally:
        shim.log_close(handle)


def name_in(raw: bytes, path: bytes) -> str:
    """A name out of a segment. Raises `SegmentError` if it is none."""
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError:
        raise SegmentError("name", -5, f"{os.fsdecode(path)!r} is damaged: its name is {raw!r}") from None


def at_collection(owner: object, function: Callable[..., Any], *args: Any) -> weakref.finalize[..., Any]:
    """A finalizer that runs when *owner* goes, but not at interpreter exit: there the kernel unmaps, and
    threads that still run may be using the mapping."""
    finalizer = weakref.finalize(owner, function, *args)
    finalizer.atexit = False
    return finalizer


def unlink(path: bytes) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # somebody else tidied up first


def attach_log_handle(path: bytes) -> ct.c_void_p:
    """A handle of an existing log. Raises `NotFoundError`, `SegmentError`."""
    handle = new_handle()
    lib().log_attach(path, ct.byref(handle))
    return handle


__all__ = [
    "NotFoundError",
    "at_collection",
    "attach_log_handle",
    "check_name",
    "log_path",
    "name_in",
    "queue_path",
    "random_name",
    "remove_ended_log",
    "ring_path",
    "sweep_once",
    "unlink",
]
