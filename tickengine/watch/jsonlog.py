"""Log lines for machines: one JSON object each."""

from __future__ import annotations

import datetime
import json
import logging
import sys
from typing import Any, TextIO

TEXT = "%(asctime)s %(levelname)s %(message)s"
FIELDS = "tickengine_fields"
"""The attribute of a log record that holds further fields: ``extra={FIELDS: {...}}``."""


class JsonFormatter(logging.Formatter):
    """``time`` (RFC 3339, UTC), ``level``, ``message``, ``logger``, ``engine``, and a record's own fields.

    An exception's traceback stands in ``exception``, with its ends of lines escaped.
    """

    def __init__(self, engine: str) -> None:
        super().__init__()
        self._engine = engine

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
        line: dict[str, Any] = {
            "time": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "logger": record.name,
            "engine": self._engine,
        }
        for name, value in getattr(record, FIELDS, {}).items():
            line.setdefault(name, value)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # ensure_ascii: a front's words may hold lone surrogates or line separators; each line stays one line.
        return json.dumps(line, ensure_ascii=True, default=str)


def set_up(form: str, level: str, engine: str, stream: TextIO | None = None) -> None:
    """Send this process's log to *stream* (default stderr) as ``"text"`` or ``"json"`` lines, and nowhere else."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(engine) if form == "json" else logging.Formatter(TEXT))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
