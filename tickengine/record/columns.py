"""A recording's ticks as columns of Arrow, and back: bit for bit.

Texts are strings in which each character is one of the vendor's bytes (latin-1), so that an id in GBK, which is no
UTF-8, survives. Of plain ASCII, which real ids are, that is the text itself. Doubles keep their bits, absent prices
stay NaN. Times are UTC in ns, null where ``ExchangeTime`` is 0.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._errors import MissingPackage
from ..adapters import TIMES
from ..tick import TICK_DTYPE, VENDOR_FIELDS

if TYPE_CHECKING:
    import pyarrow

OWN = ("Sequence", *TIMES, "RecvMonotonic", "Flags", "TickNumber", "InstrumentNumber", "Instrument", "LogId")
"""The engine's columns, before the vendor's. ``LogId`` is the unique id of the log that `Sequence` counts in."""

COLUMNS = (*OWN, *VENDOR_FIELDS)
_ID_BYTES = "S81"


def need_pyarrow(module: str = "pyarrow") -> Any:
    """The module. Raises `MissingPackage`."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingPackage(f"{module} cannot be imported ({error}): pip install 'tickengine[parquet]'") from None


def arrow_schema() -> pyarrow.Schema:
    """The columns `COLUMNS` with their types."""
    pa = need_pyarrow()
    return pa.schema([(name, _arrow_type(pa, name)) for name in COLUMNS])


def _arrow_type(pa: Any, name: str) -> Any:
    if name in TIMES:
        return pa.timestamp("ns", "UTC")
    if name in ("Sequence", "LogId"):
        return pa.uint64()
    if name == "ExchangeInstID" or TICK_DTYPE[name].kind == "S":
        return pa.string()
    return pa.from_numpy_dtype(TICK_DTYPE[name])


def to_batch(
    rows: npt.NDArray[np.void], exchange_inst_ids: npt.NDArray[np.bytes_], log_ids: npt.NDArray[np.uint64]
) -> pyarrow.RecordBatch:
    """Ticks as a batch of `arrow_schema`.

    Args:
        rows: of `TICK_DTYPE`.
        exchange_inst_ids, log_ids: of each of them what is not in the record.
    """
    pa = need_pyarrow()
    schema = arrow_schema()
    arrays = []
    for field in schema:
        name = field.name
        if name == "LogId":
            arrays.append(pa.array(log_ids))
        elif name == "Sequence":
            arrays.append(pa.array(rows["Stamp"] - np.uint64(1)))
        elif name in TIMES:
            times = np.ascontiguousarray(rows[name])
            known = pa.array(times, mask=times == 0 if name == "ExchangeTime" else None)
            arrays.append(known.cast(field.type))
        elif name == "ExchangeInstID":
            arrays.append(_strings(pa, exchange_inst_ids))
        elif TICK_DTYPE[name].kind == "S":
            arrays.append(_strings(pa, rows[name]))
        else:
            arrays.append(pa.array(np.ascontiguousarray(rows[name])))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _strings(pa: Any, values: npt.NDArray[np.bytes_]) -> Any:
    different, where = np.unique(values, return_inverse=True)
    texts = pa.array([bytes(value).decode("latin-1") for value in different.tolist()], pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(where.astype(np.int32)), texts).dictionary_decode()


def to_records(
    table: pyarrow.Table | pyarrow.RecordBatch,
) -> tuple[npt.NDArray[np.void], npt.NDArray[np.bytes_]]:
    """The way back: ticks of `TICK_DTYPE` and the ExchangeInstID of each, from a table with the columns `COLUMNS`,
    as `tickengine export` wrote it to Parquet or Arrow.

    Raises `KeyError` if a column is missing.
    """
    rows = np.zeros(table.num_rows, TICK_DTYPE)
    ids = np.zeros(table.num_rows, _ID_BYTES)
    for name in COLUMNS:
        column = table.column(name)
        if name == "LogId":
            continue
        if name == "Sequence":
            rows["Stamp"] = column.to_numpy() + np.uint64(1)
        elif name in TIMES:
            rows[name] = column.cast("int64").fill_null(0).to_numpy(zero_copy_only=False)
        elif name == "ExchangeInstID":
            ids[:] = _bytes(column)
        elif TICK_DTYPE[name].kind == "S":
            rows[name] = _bytes(column)
        else:
            rows[name] = column.to_numpy(zero_copy_only=False)
    return rows, ids


def _bytes(column: Any) -> npt.NDArray[np.bytes_]:
    return np.array([text.encode("latin-1") for text in column.to_pylist()], _ID_BYTES)
