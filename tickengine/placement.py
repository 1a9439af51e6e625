"""On which CPUs, and how urgently, the vendor library's threads run.

A thread inherits CPUs and policy from the one that starts it. So the thread that makes the api takes
them on for that moment (`inherited`): every thread of the library has them from its first instruction,
those that it starts later too. All of them, not only the one that calls back: which one that is shows
only with the first callback, callbacks may come from two, and they wait for each other.

Our own threads keep `SCHED_OTHER` and other CPUs (`keep_off`). A `SCHED_FIFO` thread that waits, without
sleeping, for what one of ours holds (the log's turn, a lock inside the library) would else keep that one
from ever letting go.
"""

from __future__ import annotations

import errno
import operator
import os
import re
import resource
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ._errors import ConfigError, EngineError

# Taken out of the scheduler's hands at boot (isolcpus=): no process has them in its mask, and each may ask.
_ISOLATED = "/sys/devices/system/cpu/isolated"
_ONLINE = "/sys/devices/system/cpu/online"
_RUN = re.compile(r"([0-9]+)(?:-([0-9]+))?")
_MOST_CPUS = 1 << 13  # what a Linux kernel can be built for
_FORMS = "a CPU number, several of them, or a text such as '2-3,5'"


def choose(cpus: int | str | Iterable[int] | None, realtime: int | None) -> tuple[tuple[int, ...] | None, int | None]:
    """The CPUs and the priority to ask for. Raises `ConfigError` for what cannot be."""
    wanted = None if cpus is None else _numbers(cpus)
    if wanted is not None:
        _check_allowed(wanted)
    if realtime is None:
        return wanted, None
    if isinstance(realtime, bool) or not isinstance(realtime, int) or not 1 <= realtime <= 99:
        raise ConfigError(f"realtime must be a SCHED_FIFO priority from 1 to 99 or None, not {realtime!r}")
    if wanted is None:
        mask = os.sched_getaffinity(0)
        wanted = tuple(sorted(mask - {min(mask)})) or tuple(mask)
    _others(wanted, realtime)
    return wanted, realtime


def keep_off(cpus: tuple[int, ...] | None, realtime: int | None) -> None:
    """Move all threads of this process to its other CPUs, if there are any; with *realtime* there must be."""
    others = set() if cpus is None else _others(cpus, realtime)
    if not others:
        return
    for thread in _threads():
        try:
            os.sched_setaffinity(thread, others)
        except ProcessLookupError:
            continue  # it has just ended


@contextmanager
def inherited(cpus: tuple[int, ...] | None, realtime: int | None) -> Iterator[None]:
    """Threads started inside, and those that these start, run on *cpus* and with priority *realtime*.

    For a process of our own: whatever thread it starts meanwhile is taken for the library's.

    Raises:
        ConfigError: the kernel does not give this process these CPUs.
        EngineError: the priority is not permitted, or a thread did not keep what it was given.
    """
    if cpus is None:
        yield
        return
    mask, policy, priority = os.sched_getaffinity(0), os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        _take_cpus(cpus)
        if realtime is not None:
            _take_priority(realtime)
        before = _threads()
        yield
        for thread in _threads() - before:
            _check_thread(thread, cpus, realtime)
    finally:
        os.sched_setscheduler(0, policy, priority)
        os.sched_setaffinity(0, mask)


def _numbers(cpus: int | str | Iterable[int]) -> tuple[int, ...]:
    wrong = ConfigError(f"cpus must be {_FORMS}, not {cpus!r}")
    if isinstance(cpus, (bool, bytes)):
        raise wrong
    try:
        if isinstance(cpus, str):
            numbers = parse(cpus)
        elif isinstance(cpus, Iterable):
            numbers = {operator.index(n) for n in cpus}
        else:
            numbers = {operator.index(cpus)}
    except (ValueError, TypeError):
        raise wrong from None
    if min(numbers, default=0) < 0:
        raise wrong
    if not numbers:
        raise ConfigError(f"cpus is empty: give {_FORMS}, or None")
    return tuple(sorted(numbers))


def parse(text: str) -> set[int]:
    """``"0-2,5"`` as `taskset` and the kernel write it. Raises `ValueError`."""
    numbers: set[int] = set()
    for part in text.split(",") if text.strip() else ():
        match = _RUN.fullmatch(part.strip())
        if match is None:
            raise ValueError(text)
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last or last >= _MOST_CPUS:
            raise ValueError(text)
        numbers.update(range(first, last + 1))
    return numbers


def words(cpus: Iterable[int]) -> str:
    """The reverse of `parse`."""
    runs: list[list[int]] = []
    for cpu in sorted(cpus):
        if runs and runs[-1][1] == cpu - 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs) or "none"


def _listed(path: str) -> set[int]:
    try:
        with open(path, encoding="ascii") as f:
            return parse(f.read())
    except FileNotFoundError:
        return set()  # a container without /sys: the mask and the kernel's own answer decide alone


def _check_allowed(cpus: tuple[int, ...]) -> None:
    # The mask is what an operator left to this program, and is not widened behind his back.
    allowed = os.sched_getaffinity(0) | _listed(_ISOLATED)
    online = _listed(_ONLINE) or allowed
    for cpu in cpus:
        if cpu not in online:
            raise ConfigError(f"cpus: CPU {cpu} does not exist or is offline; this process may use {words(allowed)}")
        if cpu not in allowed:
            raise ConfigError(_not_allowed(cpu, allowed))


def _not_allowed(cpu: int, allowed: Iterable[int]) -> str:
    return (
        f"cpus: CPU {cpu} is not allowed to this process, which may use {words(allowed)}; "
        "taskset, CPUAffinity=, or a container's cpuset (--cpuset-cpus) decide that"
    )


def _others(cpus: tuple[int, ...], realtime: int | None) -> set[int]:
    """What is left to our own threads."""
    mask = os.sched_getaffinity(0)
    others = mask - set(cpus)
    if realtime is not None and not others:
        raise ConfigError(
            f"realtime needs a CPU for the engine's own threads beside the vendor library's: this process may use "
            f"{words(mask)} only; give it one more, or leave one of them out of cpus"
        )
    return others


def _take_cpus(cpus: tuple[int, ...]) -> None:
    # The kernel cuts a mask to what the cpuset allows and says nothing, unless nothing is left of it.
    got = _set_mask(cpus)
    missing = set(cpus) - got
    if missing:
        raise ConfigError(_not_allowed(min(missing), _set_mask(range(_MOST_CPUS))))


def _set_mask(cpus: Iterable[int]) -> set[int]:
    """What this thread has got of it."""
    try:
        os.sched_setaffinity(0, cpus)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return set()
        raise EngineError(f"cpus: sched_setaffinity is refused to this process: {error.strerror}") from None
    return os.sched_getaffinity(0)


def _take_priority(realtime: int) -> None:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(realtime))
    except OSError as error:
        limit = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
        raise EngineError(
            f"realtime={realtime}: SCHED_FIFO with priority {realtime} is not permitted to this process "
            f"({error.strerror}; RLIMIT_RTPRIO is {limit}). Raise the limit: `ulimit -r {realtime}` or rtprio in "
            f"limits.conf, LimitRTPRIO={realtime} in a systemd unit, --ulimit rtprio={realtime} for Docker; or give it "
            "CAP_SYS_NICE; or leave realtime out"
        ) from None


def _threads() -> set[int]:
    return {int(name) for name in os.listdir("/proc/self/task")}


def _check_thread(thread: int, cpus: tuple[int, ...], realtime: int | None) -> None:
    try:
        mask, policy, priority = (
            os.sched_getaffinity(thread),
            os.sched_getscheduler(thread),
            os.sched_getparam(thread).sched_priority,
        )
    except ProcessLookupError:
        return  # it has ended
    if mask != set(cpus) or (realtime is not None and (policy, priority) != (os.SCHED_FIFO, realtime)):
        raise EngineError(
            f"a thread of the vendor library did not keep cpus or realtime: it runs on CPU {words(mask)} with policy "
            f"{policy} and priority {priority}; leave these options out with this library"
        )
