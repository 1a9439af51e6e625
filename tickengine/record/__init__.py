"""Recordings: the ticks of a trading day in a file, as they stood in the log. ``docs/recording.md``."""

from .process import RecorderProcess
from .recorder import Recorder
from .recording import Recording

__all__ = ["Recorder", "RecorderProcess", "Recording"]
