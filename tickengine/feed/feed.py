"""What a configuration comes to: everything that `run` needs, checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .._secret import Secret
from ..vendor import Vendor
from .choice import Choice
from .presets import Preset
from .sessions import Hours


@dataclass(frozen=True)
class QueuePlan:
    """A queue for a worker; *instruments* None: all."""

    name: str
    instruments: tuple[str, ...] | None
    events: bool = False
    wait: str = "adaptive"
    skip: int = 0


@dataclass(frozen=True)
class RecorderPlan:
    """A recorder's directory; *instruments* None: all."""

    directory: str
    instruments: tuple[str, ...] | None


@dataclass(frozen=True)
class Feed:
    """Everything, checked. The repr shows no secret.

    Attributes:
        vendor: the library, as it was recognised.
        options: `TickEngine`'s keyword arguments.
        listen: host and port for the metrics; None: off.
        doubts: lines about what may not be meant.
    """

    path: str
    fronts: tuple[str, ...]
    preset: Preset | None
    broker: str
    user: str
    password: Secret = field(repr=False)
    app_id: str
    auth_code: Secret = field(repr=False)
    choice: Choice
    page_dir: str
    vendor: Vendor
    options: dict[str, Any]
    queues: tuple[QueuePlan, ...]
    recorder: RecorderPlan | None
    hours: Hours
    listen: tuple[str, int] | None
    log_format: str
    log_level: str
    doubts: tuple[str, ...]
