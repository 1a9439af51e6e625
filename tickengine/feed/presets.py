"""Fronts that have a name: ``front = "simnow"``."""

from __future__ import annotations

import csv
import difflib
import functools
from dataclasses import dataclass
from importlib.resources import files

from .._errors import ConfigError
from ..config import check_front


@dataclass(frozen=True)
class Preset:
    """A row of ``tickengine/data/fronts.csv``. No secret is in it: SimNow's authentication code is public."""

    name: str
    md_front: str
    td_front: str
    broker: str
    app_id: str
    auth_code: str
    library: str
    known: str
    words: str

    @property
    def is_here(self) -> bool:
        """A front on this machine that takes anybody."""
        return self.md_front.startswith("tcp://127.0.0.1:")


@functools.cache
def presets() -> dict[str, Preset]:
    text = files("tickengine").joinpath("data/fronts.csv").read_text("utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if line[:1] != "#")
    return {row["name"]: Preset(**row) for row in rows}


def front_of(text: str) -> tuple[str, Preset | None]:
    """An address, and the preset that it came from.

    Raises:
        ConfigError: neither an address nor a preset.
    """
    preset = presets().get(text.strip())
    if preset is not None:
        return preset.md_front, preset
    if ":" not in text:
        near = difflib.get_close_matches(text, presets(), 1, 0.5)
        cure = f"did you mean {near[0]!r}?" if near else f"the presets are {', '.join(presets())}"
        raise ConfigError(f"{text!r} is neither tcp://host:port nor a preset; {cure}")
    return check_front(text), None
