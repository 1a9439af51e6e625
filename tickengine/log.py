"""`TickLog`: the shared-memory ring of records, seen from Python."""

from __future__ import annotations

import ctypes as ct
import json
import mmap
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _html as html
from . import _segments, latency
from ._checks import check_instruments
from ._errors import Closed, ConfigError, NotFoundError, OverwrittenError, SegmentError, ShimError
from ._shim import Instrument, LogInfo, ReaderInfo, lib, new_handle
from .latency import LatencyHistogram
from .tick import KIND_EVENT, KIND_TICK, LATEST_DTYPE, RECORD_SIZE, TICK_DTYPE, Event, Tick, record_object
from .words import decode

MAX_READERS = 256
DEFAULT_CAPACITY = 65536
DEFAULT_INSTRUMENTS = 16384
_STATUS_SIZE = 3072  # with the zero behind it
_HEADER_RECORDS_OFFSET = 64 + 3 * 8  # RecordsOffset in the header, docs/layout.md


class Status(dict[str, Any]):
    """What `TickLog.status` says; a table in a notebook."""

    def _repr_html_(self) -> str:
        return html.status(self)


def _as_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


class TickLog:
    """A log of ticks: written once by an engine, read by anybody of the same user.

    Attach with `TickLog.attach(name)`. Reading a log directly disturbs nobody and is counted nowhere;
    to follow a feed use a `TickQueue`, which waits, filters and counts losses.
    """

    def __init__(self, handle: ct.c_void_p, path: bytes) -> None:
        self._mapped = handle
        self.path = path
        self._close = _segments.at_collection(self, lib().log_close, handle)
        self._exchange_inst_ids: dict[int, bytes] = {}

    @classmethod
    def attach(cls, name: str) -> TickLog:
        """Map the log of the engine called *name*.

        Raises:
            NotFoundError: no engine of that name has a log.
            SegmentError: the file is damaged, another user's, or of another version.
        """
        path = _segments.log_path(name)
        try:
            return cls(_segments.attach_log_handle(path), path)
        except NotFoundError as error:
            raise NotFoundError(error.call, error.code, f"no tick log named {name!r} ({error.detail})") from None

    @classmethod
    def create(
        cls, name: str, capacity: int = DEFAULT_CAPACITY, instrument_capacity: int = DEFAULT_INSTRUMENTS
    ) -> TickLog:
        """Make a log that this process owns. *capacity* in records, rounded up to a power of two.

        The memory is reserved and touched at once. Raises `NameTakenError` if a live process has the name.
        """
        _segments.sweep_once()
        path, handle = _segments.log_path(name), new_handle()
        try:
            lib().log_create(path, name.encode(), capacity, instrument_capacity, ct.byref(handle))
            return cls(handle, path)
        except BaseException:
            if handle.value:  # made, when a Ctrl-C came that had to wait for it: nobody else knows of it
                lib().log_unlink(handle)
                lib().log_close(handle)
            raise

    @property
    def handle(self) -> ct.c_void_p:
        """For the shim. Raises `Closed` after `close`."""
        if not self._close.alive:
            raise Closed("this TickLog has been closed")
        return self._mapped

    def close(self) -> None:
        """Unmap. Can be repeated."""
        self._close()

    def unlink(self) -> None:
        """Remove the name; who has the log mapped keeps it."""
        lib().log_unlink(self.handle)

    def end(self) -> None:
        """Say that nothing more will come: readers drain and then see the end."""
        lib().log_end(self.handle)

    def info(self) -> LogInfo:
        """All numbers of the header in one reading."""
        info = LogInfo()
        lib().log_info_get(self.handle, ct.byref(info))
        return info

    @property
    def name(self) -> str:
        return _segments.name_in(self.info().name, self.path)

    @property
    def carries(self) -> str:
        """``"ticks"``, or ``"bars"`` if it is the log of a `BarEngine`."""
        try:
            return "bars" if self.status_text().get("records") == "bars" else "ticks"
        except ShimError:
            return "ticks"  # damaged: nothing of a bar engine's making

    @property
    def capacity(self) -> int:
        """Records the ring holds; the newest ``capacity - 1`` can be read."""
        return self.info().capacity  # type: ignore[no-any-return]

    @property
    def head(self) -> int:
        """Sequence of the next record: as many have been written."""
        return self.info().head  # type: ignore[no-any-return]

    @property
    def oldest(self) -> int:
        """Sequence of the oldest record that can still be read."""
        return self.info().oldest  # type: ignore[no-any-return]

    @property
    def closed(self) -> bool:
        """True when nothing more will come."""
        return bool(self.info().closed)

    def __len__(self) -> int:
        info = self.info()
        return int(info.head - info.oldest)

    def __getitem__(self, sequence: int) -> Tick | Event:
        """The record of that sequence; negative counts back from the head.

        Raises:
            IndexError: not written yet.
            OverwrittenError: no longer there.
        """
        head = self.head
        wanted = sequence + head if sequence < 0 else sequence
        if not 0 <= wanted < head:
            raise IndexError(f"sequence {sequence} is not in a log of {head} records")
        tick = self._record(wanted)
        if tick is None:
            raise OverwrittenError("tk_log_read", -10, f"record {wanted} has been overwritten (oldest {self.oldest})")
        tick._names = self
        return record_object(tick)

    def read(self, start: int, stop: int | None = None, events: bool = False) -> npt.NDArray[np.void]:
        """A copy of the ticks with ``start <= Sequence < stop`` that are still there, in order.

        Returns:
            A structured array of `TICK_DTYPE`. What has been overwritten is missing at the front
            (compare ``Stamp[0] - 1`` with *start*); events are left out unless *events* (``Kind == 1``).
        """
        info = self.info()
        end = info.head if stop is None else min(stop, info.head)
        begin = max(start, info.oldest)
        if begin >= end:
            return np.empty(0, TICK_DTYPE)
        records = np.empty(end - begin, TICK_DTYPE)
        first, copied = ct.c_uint64(), ct.c_uint64()
        lib().log_read(self.handle, begin, end - begin, records.ctypes.data, ct.byref(first), ct.byref(copied))
        records = records[: copied.value]
        if events:
            return records
        ticks = records["Kind"] == KIND_TICK
        return records if bool(ticks.all()) else records[ticks]

    def latest(self, instrument: str) -> Tick:
        """The newest tick of *instrument*, also when the ring has long passed it. Does not wait.

        Raises `NotFoundError` if none has been received.
        """
        tick = Tick()
        lib().log_latest(self.handle, instrument.encode(), ct.byref(tick))
        tick._names = self
        return tick

    def snapshot(self, instruments: Iterable[str | bytes] | None = None) -> npt.NDArray[np.void]:
        """The newest ticks of many: an array of `TICK_DTYPE`. Each row is whole; they are not all of one moment.
        Does not wait.

        Args:
            instruments: a row for each of these, in this order; None for all that have a tick, in the order of
                their first ones.

        Raises `NotFoundError` if none has been received of one that is named.
        """
        if instruments is not None:
            ids = check_instruments(instruments)
            rows = np.empty(len(ids), TICK_DTYPE)
            for row, id_ in enumerate(ids):
                lib().log_latest(self.handle, id_, rows.ctypes.data + row * RECORD_SIZE)
            return rows
        rows, count = np.empty(self.info().instruments, TICK_DTYPE), ct.c_uint32()
        lib().log_snapshot(self.handle, rows.ctypes.data, len(rows), ct.byref(count))
        return rows[: count.value]

    def tail(self, count: int) -> npt.NDArray[np.void]:
        """A copy of the newest *count* ticks, or as many as are still there, oldest first, as `read` gives them."""
        if count < 1:
            raise ConfigError(f"count must be at least 1, not {count}")
        head, wanted = self.head, count
        while True:  # events stand between the ticks
            rows = self.read(head - wanted if wanted < head else 0, head)
            if len(rows) >= count or wanted >= min(head, self.capacity):
                return rows[-count:]
            wanted *= 2

    def latest_all(self, first: int = 0) -> npt.NDArray[np.void]:
        """The newest tick of every instrument in one call, also those that the ring has long passed.

        Returns:
            An array of `LATEST_DTYPE`, the fields of a record's first 128 bytes. Row *i* is the entry *first* + *i*
            of the instrument table (`instruments`); its ``Stamp`` is 0 while there is no tick. Under 0.1 us a row.
        """
        rows = np.empty(max(0, self.info().instruments - first), LATEST_DTYPE)
        written = lib().log_latest_all(self.handle, first, len(rows), rows.ctypes.data)
        return rows[:written]

    def exchange_inst_id(self, index: int) -> bytes:
        """The ExchangeInstID that belongs to ``Tick.Instrument``, ``b""`` beyond the table."""
        found = self._exchange_inst_ids.get(index)
        if found is None:
            entry = Instrument()
            try:
                lib().log_instrument(self.handle, index, ct.byref(entry))
            except NotFoundError:
                return b""
            found = self._exchange_inst_ids[index] = bytes(entry.exchange_inst_id)
        return found

    def instruments(self) -> list[dict[str, Any]]:
        """What has been seen: ``InstrumentID, ExchangeInstID, ExchangeID, index, count, latest`` each.

        ``count`` is the number of ticks, ``latest`` the sequence of the newest one (None: none).
        """
        entry = Instrument()
        result = []
        for index in range(self.info().instruments):
            lib().log_instrument(self.handle, index, ct.byref(entry))
            result.append(
                {
                    "InstrumentID": decode(entry.instrument_id),
                    "ExchangeInstID": decode(entry.exchange_inst_id),
                    "ExchangeID": decode(entry.exchange_id),
                    "index": index,
                    "count": entry.count,
                    "latest": entry.latest_stamp - 1 if entry.latest_stamp else None,
                }
            )
        return result

    def queues(self) -> list[dict[str, Any]]:
        """One entry per queue: ``name, pid, alive, sequence, lag, received, lost, lost_events, skipped, asleep,
        latency``.

        ``pid`` is the reading process (None: nobody), ``lag`` counts records between it and the head.
        ``latency``: how long its ticks took from the vendor's callback to the reader since it has this place,
        ``{"p50", "p90", "p99", "max", "count"}`` in ns, `LatencyHistogram.summary`; None while none was measured.
        """
        return [
            {
                "name": _segments.name_in(r.name, self.path),
                "pid": r.reader_pid or None,
                "alive": bool(r.reader_alive),
                "sequence": r.cursor,
                "lag": r.lag,
                "received": r.received,
                "lost": r.lost,
                "lost_events": r.lost_events,
                "skipped": r.skipped,
                "asleep": bool(r.asleep),
                "latency": found.summary() if (found := latency.of_place(self, r.slot, r.generation)) else None,
            }
            for r in self._readers()
        ]

    def latencies(self) -> dict[str, LatencyHistogram]:
        """The latency histogram of each queue, by its name.

        The difference of two looks is what came between them: ``now["q"].since(before.get("q"))``.
        """
        found = {}
        for r in self._readers():
            histogram = latency.of_place(self, r.slot, r.generation)
            if histogram is not None:
                found[_segments.name_in(r.name, self.path)] = histogram
        return found

    def _readers(self) -> list[ReaderInfo]:
        table = (ReaderInfo * MAX_READERS)()
        count = min(lib().log_readers(self.handle, table, MAX_READERS), MAX_READERS)
        return table[:count]

    def events(self, first: int = 0, limit: int = 1000) -> list[Event]:
        """Connection events that are still in the ring, oldest first, at most the newest *limit*.

        Args:
            first: ``EventNumber`` to begin with: the last one seen + 1.
            limit: how many at most.

        Costs some microseconds for each event, however many ticks lie between them.
        """
        found: list[Event] = []
        number, end = first, int(self.info().events)
        number = max(number, end - limit)
        while number < end:
            event = self._event(number)
            if event is None:  # overwritten, or Head does not count the newest one yet
                break
            found.append(event)
            number = event.EventNumber + 1
        return found

    def _event(self, number: int) -> Event | None:
        """The oldest event from *number* on, if it is in the ring. Each record tells how many ticks came before it,
        so how many events: the place is found by halving."""
        low, high = self.oldest, self.head
        record = self._record(low)
        if record is not None:
            number = max(number, low - record.TickNumber)
        while low < high:
            middle = (low + high) // 2
            record = self._record(middle)
            if record is None:  # overwritten meanwhile
                low = max(self.oldest, middle + 1)
            elif middle - record.TickNumber + (record.Kind == KIND_EVENT) > number:
                high = middle
            else:
                low = middle + 1
        record = self._record(low) if low < self.head else None
        return Event.from_buffer_copy(record) if record is not None and record.Kind == KIND_EVENT else None

    def _record(self, sequence: int) -> Tick | None:
        tick, first, copied = Tick(), ct.c_uint64(), ct.c_uint64()
        lib().log_read(self.handle, sequence, 1, ct.byref(tick), ct.byref(first), ct.byref(copied))
        return tick if copied.value == 1 and first.value == sequence else None

    def status_text(self) -> dict[str, Any]:
        """What the session last said of itself; empty if it has not spoken.

        Raises `SegmentError` for what no session of ours has written.
        """
        buffer = ct.create_string_buffer(_STATUS_SIZE)
        length = lib().log_status_get(self.handle, buffer, _STATUS_SIZE)
        if not length:
            return {}
        try:
            loaded = json.loads(buffer.raw[:length])
        except (ValueError, RecursionError):
            loaded = None
        if not isinstance(loaded, dict) or not isinstance(loaded.get("state", ""), str):
            raise SegmentError("tk_log_status_get", -5, f"the status in {os.fsdecode(self.path)!r} is damaged")
        return loaded

    def set_status_text(self, status: dict[str, Any]) -> None:
        """For the session alone. Where there is no room for all of it, the longest texts and lists are cut."""
        while len(text := _as_json(status)) >= _STATUS_SIZE:
            longest = max(status, key=lambda name: len(_as_json(status[name])))
            status = {**status, longest: status[longest][: len(status[longest]) // 2]}
        lib().log_status_set(self.handle, text, len(text))

    def status(self) -> Status:
        """The engine's state, as `TickEngine.status` gives it, from any process."""
        info = self.info()
        status = Status({"state": "connecting", **self.status_text()})
        if info.closed:
            status["state"] = "failed" if status.get("failure") else "stopped"
        elif not info.writer_alive:
            status["state"] = "failed" if not info.owner_alive else "connecting"
        status.update(
            name=_segments.name_in(info.name, self.path),
            pid=info.writer_pid or None,
            ticks=info.ticks,
            epoch=info.epoch,
            head=info.head,
            oldest=info.oldest,
            capacity=info.capacity,
            queues=self.queues(),
        )
        return status

    def view(self) -> npt.NDArray[np.void]:
        """The ring itself as a read-only array of `capacity` records: no copy, for experts.

        Record *s* stands at ``s % capacity``. The writer goes on while you look: copy what you need,
        then check `intact` with the lowest sequence you used; if it is False, what you copied may be
        torn. Events stand between the ticks (``Kind == 1``).
        """
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            mapping = mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ)
        finally:
            os.close(fd)
        offset = int.from_bytes(mapping[_HEADER_RECORDS_OFFSET : _HEADER_RECORDS_OFFSET + 8], "little")
        if offset + self.capacity * RECORD_SIZE > len(mapping):
            raise SegmentError(
                "view", -5, f"{os.fsdecode(self.path)!r} is damaged: its records begin at {offset} of {len(mapping)}"
            )
        return np.frombuffer(mapping, TICK_DTYPE, count=self.capacity, offset=offset)

    def intact(self, sequence: int) -> bool:
        """True if no record from *sequence* on can have been overwritten up to now."""
        return sequence >= self.oldest

    def _repr_html_(self) -> str:
        if not self._close.alive:
            return "<b>TickLog</b> (closed)"
        return html.log(self.status(), self.tail(5))

    def __repr__(self) -> str:
        if not self._close.alive:
            return "TickLog(closed)"
        info = self.info()
        name = _segments.name_in(info.name, self.path)
        return f"TickLog({name!r}, head={info.head}, oldest={info.oldest}, epoch={info.epoch})"


assert TICK_DTYPE.itemsize == RECORD_SIZE
