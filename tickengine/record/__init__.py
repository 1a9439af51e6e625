"""Recordings: the ticks of a trading day in a file, as they stood in the log. ``docs/recording.md``."""

from .columns import to_records
from .exporting import export
from .process import RecorderProcess
from .recorder import Recorder
from .recording import Recording

__all__ = ["Recorder", "RecorderProcess", "Recording", "export", "to_records"]
