"""Recordings played again as if they were a live feed. ``docs/replay.md``."""

from .replay import Replay

__all__ = ["Replay"]
