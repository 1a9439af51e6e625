"""The engines that run on this machine, of this user."""

from __future__ import annotations

import os

from .. import _segments
from .._errors import ShimError
from ..log import TickLog


def running() -> list[str]:
    """Names of the logs that somebody still writes or will write, sorted."""
    prefix, suffix = f"tickengine-{os.geteuid()}-", ".log"
    found = []
    for entry in sorted(os.listdir(_segments.DIRECTORY)):
        name = entry[len(prefix) : -len(suffix)]
        if entry.startswith(prefix) and entry.endswith(suffix) and _runs(name):
            found.append(name)
    return found


def _runs(name: str) -> bool:
    try:
        log = TickLog.attach(name)
    except (ShimError, ValueError):  # half made, damaged, of another version, or no name of ours
        return False
    try:
        info = log.info()
        return bool(not info.closed and (info.writer_alive or info.owner_alive))
    finally:
        log.close()
