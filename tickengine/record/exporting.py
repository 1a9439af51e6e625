"""From recordings into Parquet, CSV and Arrow, in pieces, whatever the recording's size."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from .._errors import ConfigError, RecordingError
from .recording import Recording
from .sinks import SINKS, Ids, Logs, Rows, Sink, new_sink

_READ = 16384  # rows at a time
_HELD = 131_072  # rows in memory, over all files: 59 MB


def export(
    recording: Recording,
    kind: str,
    out: str | os.PathLike[str],
    progress: Callable[[int], object] = lambda ticks: None,
) -> list[str]:
    """Write *recording* to files below *out*. Returns their paths; those of an earlier export are replaced.

    Nothing stands under those names before all of it is written. About 300 MB of memory are used, whatever
    the size of the recording.

    Args:
        recording: an open recording; what it had when it was opened is exported.
        kind: ``"parquet"``, ``"csv"`` or ``"arrow"``.
        out: a directory, made if it is missing.
        progress: called with the number of ticks of each piece.

    Raises:
        ConfigError: *kind* is none of these.
        MissingPackage: pyarrow is not installed (CSV needs none).
        RecordingError: the files cannot be written, or the recording was changed meanwhile.
    """
    if kind not in SINKS:
        raise ConfigError(f"ticks can be exported to {', '.join(SINKS)}, not to {kind!r}")
    sink = new_sink(kind, os.path.abspath(os.fspath(out)), recording.trading_day)
    try:
        held = _Held(sink)
        for start in range(0, len(recording), _READ):
            stop = min(start + _READ, len(recording))
            rows = recording.read(start, stop)
            held.add(rows, recording.names_of(rows, start), _logs(recording, start, stop))
            progress(stop - start)
        held.write_all()
        return sink.finish()
    except OSError as error:
        sink.abandon()
        raise RecordingError(f"export to {sink.out!r} failed: {error.strerror or error}; nothing was changed") from None
    except BaseException:
        sink.abandon()
        raise


def _logs(recording: Recording, start: int, stop: int) -> Logs:
    logs = np.zeros(stop - start, np.uint64)
    for session in recording.sessions:  # in their order: each up to the end, until the next
        if session.record < stop:
            logs[max(0, session.record - start) :] = session.unique_id
    return logs


class _Held:
    """Ticks by the file they go to, until there are enough of them to be worth a write."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._keys: dict[bytes, str] = {}
        self._parts: dict[str, list[tuple[Rows, Ids, Logs]]] = {}
        self._counts: dict[str, int] = {}
        self._total = 0

    def add(self, rows: Rows, ids: Ids, logs: Logs) -> None:
        for key, at in self._by_file(rows["InstrumentID"]):
            self._parts.setdefault(key, []).append((rows[at], ids[at], logs[at]))
            self._counts[key] = self._counts.get(key, 0) + len(at)
        self._total += len(rows)
        while self._total > _HELD:
            self._write(max(self._counts, key=lambda key: self._counts[key]))

    def _by_file(self, names: npt.NDArray[np.bytes_]) -> Iterator[tuple[str, npt.NDArray[np.intp]]]:
        different, where = np.unique(names, return_inverse=True)
        keys = [self._key(bytes(name)) for name in different.tolist()]
        files = sorted(set(keys))
        file_of = np.array([files.index(key) for key in keys])[where]
        order = np.argsort(file_of, kind="stable")
        bounds = np.searchsorted(file_of[order], np.arange(len(files) + 1))
        for i, key in enumerate(files):
            yield key, order[bounds[i] : bounds[i + 1]]

    def _key(self, name: bytes) -> str:
        key = self._keys.get(name)
        if key is None:
            key = self._keys[name] = self._sink.key(name)
        return key

    def _write(self, key: str) -> None:
        parts = self._parts.pop(key)
        self._total -= self._counts.pop(key)
        self._sink.write(key, *(np.concatenate([part[i] for part in parts]) for i in range(3)))

    def write_all(self) -> None:
        for key in sorted(self._parts):
            self._write(key)
