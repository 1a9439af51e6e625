"""Where exported ticks go: files that appear under their names when they are whole."""

from __future__ import annotations

import csv
import os
import urllib.parse
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from .._errors import RecordingError
from ..instruments import parse_instrument
from ..tick import TICK_DTYPE, VENDOR_FIELDS
from .columns import arrow_schema, need_pyarrow, to_batch

Rows = npt.NDArray[np.void]
Ids = npt.NDArray[np.bytes_]
Logs = npt.NDArray[np.uint64]


class Sink:
    """Files of one trading day. Each is written under a temporary name until `finish`."""

    def __init__(self, out: str, trading_day: str) -> None:
        self.out = out
        self.trading_day = trading_day
        self.paths: list[str] = []

    def key(self, instrument_id: bytes) -> str:
        """Ticks with the same key go to the same file."""
        return ""

    def write(self, key: str, rows: Rows, exchange_inst_ids: Ids, log_ids: Logs) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Close what is open. Can be repeated."""

    def finish(self) -> list[str]:
        """Give the files their names. Returns them."""
        self.close()
        for path in self.paths:
            os.replace(_temporary(path), path)
        return self.paths

    def abandon(self) -> None:
        """Remove what was written."""
        try:
            self.close()
        finally:
            for path in self.paths:
                try:
                    os.unlink(_temporary(path))
                except FileNotFoundError:
                    pass

    def _new(self, *parts: str) -> str:
        """The temporary name of another file."""
        path = os.path.join(self.out, *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.paths.append(path)
        return _temporary(path)


def _temporary(path: str) -> str:
    """Hidden, so that who reads the directory meanwhile passes it over."""
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name}.part")


class ParquetSink(Sink):
    """``trading_day=20260105/product=rb/20260105.parquet``, which hive-style readers find by day and product."""

    def __init__(self, out: str, trading_day: str) -> None:
        super().__init__(out, trading_day)
        self._parquet = need_pyarrow("pyarrow.parquet")
        self._schema = arrow_schema()
        self._texts = [field.name for field in self._schema if str(field.type) == "string"]
        self._writers: dict[str, Any] = {}

    def key(self, instrument_id: bytes) -> str:
        product = parse_instrument(instrument_id, day=self.trading_day).ProductID
        return product if product.replace("_", "").isalnum() else "unknown"

    def write(self, key: str, rows: Rows, exchange_inst_ids: Ids, log_ids: Logs) -> None:
        writer = self._writers.get(key)
        if writer is None:
            path = self._new(f"trading_day={self.trading_day}", f"product={key}", f"{self.trading_day}.parquet")
            # A dictionary of doubles takes all NaNs, and may take 0.0 and -0.0, for the same.
            writer = self._writers[key] = self._parquet.ParquetWriter(
                path, self._schema, compression="zstd", use_dictionary=self._texts
            )
        writer.write_batch(to_batch(rows, exchange_inst_ids, log_ids))

    def close(self) -> None:
        while self._writers:
            self._writers.popitem()[1].close()


class ArrowSink(Sink):
    """``20260105.arrow``, a file of Arrow's IPC format."""

    def __init__(self, out: str, trading_day: str) -> None:
        super().__init__(out, trading_day)
        pyarrow = need_pyarrow()
        path = self._new(f"{trading_day}.arrow")
        try:
            self._writer = pyarrow.ipc.new_file(path, arrow_schema())
        except BaseException:
            self.paths.clear()
            raise

    def write(self, key: str, rows: Rows, exchange_inst_ids: Ids, log_ids: Logs) -> None:
        self._writer.write_batch(to_batch(rows, exchange_inst_ids, log_ids))

    def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


class CsvSink(Sink):
    """``rb2601-20260105.csv`` for each instrument: the vendor's columns, in AlgoPlus's order and under its names.

    Doubles are the shortest text that reads back as the same double; absent prices are empty; texts are the
    vendor's bytes.
    """

    def __init__(self, out: str, trading_day: str) -> None:
        super().__init__(out, trading_day)
        self._started: dict[str, str] = {}

    def key(self, instrument_id: bytes) -> str:
        # A spread's "SP a2601&a2605" stays readable; what no file can be called is written as %2F.
        return urllib.parse.quote(instrument_id, safe=" &") or "%"

    def write(self, key: str, rows: Rows, exchange_inst_ids: Ids, log_ids: Logs) -> None:
        path = self._started.get(key)
        fresh = path is None
        if path is None:
            path = self._started[key] = self._new(f"{key}-{self.trading_day}.csv")
        # Thousands of instruments: none stays open.
        with open(path, "w" if fresh else "a", newline="", encoding="latin-1") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(VENDOR_FIELDS)
            writer.writerows(zip(*(_cells(rows, exchange_inst_ids, name) for name in VENDOR_FIELDS)))


def _cells(rows: Rows, exchange_inst_ids: Ids, name: str) -> Iterable[Any]:
    if name == "ExchangeInstID" or TICK_DTYPE[name].kind == "S":
        texts = exchange_inst_ids if name == "ExchangeInstID" else rows[name]
        return [bytes(text).decode("latin-1") for text in texts.tolist()]
    values = rows[name]
    if values.dtype.kind != "f" or not np.isnan(values).any():
        return values.tolist()  # type: ignore[no-any-return]
    return ["" if value != value else value for value in values.tolist()]


SINKS: dict[str, type[Sink]] = {"parquet": ParquetSink, "csv": CsvSink, "arrow": ArrowSink}


def new_sink(kind: str, out: str, trading_day: str) -> Sink:
    """Raises `RecordingError` when nothing can be written there, `MissingPackage` without pyarrow."""
    try:
        os.makedirs(out, exist_ok=True)
        return SINKS[kind](out, trading_day)
    except OSError as error:
        raise RecordingError(f"{out!r} cannot be written: {error.strerror or error}") from None
