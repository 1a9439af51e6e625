"""A feed from a configuration file: ``tickengine init``, ``check`` and ``run``."""

from .feed import Feed, QueuePlan
from .mistakes import Mistakes
from .plan import load

__all__ = ["Feed", "Mistakes", "QueuePlan", "load"]
