"""What a transport is: it makes its channels, and says how a worker and the writer are started."""

from __future__ import annotations

import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any

from parts.schedule import Schedule


@dataclass(frozen=True)
class Case:
    """One run: what is the same for all transports."""

    schedule: Schedule
    workers: int
    tag: str  # begins every name that a transport gives to something outside its processes
    tick: bytes  # the vendor's struct, 584 bytes
    tick_file: str  # the same in a file
    fields: dict[str, Any]  # the same as AlgoPlus's dict
    folder: str  # for files of this run
    programs: dict[str, str]  # by name


@dataclass(frozen=True)
class PythonPart:
    """A process that runs ``with make(*args)``: a worker gets an iterator of ticks, a writer ``send(number)``."""

    make: Callable[..., AbstractContextManager[Any]]
    args: tuple[Any, ...]
    loop: str = ""  # a worker's, of loops.LOOPS
    repeat_end: bool = False  # a writer's whose transport may lose the end as well: again until all have met it


@dataclass(frozen=True)
class ProgramPart:
    """A C++ program. A worker writes the times it saw to *seen_file*."""

    command: list[str]
    seen_file: str = ""


Part = PythonPart | ProgramPart


@dataclass
class Transport(ABC):
    """Reused from run to run; between `open` and `close` it has the channels of one run."""

    name: str
    waits: str  # spins, polls, blocks, or "spins 10 us": what a worker does while there is nothing
    needs: str = ""  # the distribution to install, if it is not a part of Python or of this package
    ours: bool = False  # a failure is then ours too
    shapes: tuple[str, ...] = ("paced", "burst", "flat")
    held: ExitStack = field(default_factory=ExitStack, init=False)  # what `open` has made in this process

    @property
    def version(self) -> str | None:
        """None if it is not installed."""
        try:
            return importlib.metadata.version(self.needs) if self.needs else ""
        except importlib.metadata.PackageNotFoundError:
            return None

    @abstractmethod
    def open(self, case: Case) -> None:
        """Make the channels, one for each worker or one for all."""

    @abstractmethod
    def worker(self, case: Case, index: int) -> Part: ...

    @abstractmethod
    def writer(self, case: Case) -> Part: ...

    def close(self) -> None:
        """Take away what `open` made; also after a failure in the middle of it. What else has the run's tag in its
        name, such as a segment that the publisher made, is removed behind each run."""
        self.held.close()
