"""docs/bars.md names what the code has."""

from __future__ import annotations

import re
from pathlib import Path

from tickengine.bars import BAR_DTYPE, BarFlag
from tickengine.bars.builder import LEFT_OUT
from tickengine.bars.periods import ALIGNMENTS
from tickengine.bars.record import ALGOPLUS_FIELDS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "bars.md").read_text(encoding="utf-8")
PLACE = {"Stamp", "Instrument", "Kind", "Reserved0", "RecvMonotonic", "TickNumber", "InstrumentNumber"}


def test_every_flag_has_its_rule() -> None:
    missing = TEXT.split("## What is missing")[1].split("## The bar engine")[0]
    assert re.findall(r"^\| `([A-Z_]+)` \|", missing, re.MULTILINE) == [flag.name for flag in BarFlag]


def test_every_field_has_its_meaning_and_every_reason_its_rule() -> None:
    fields = TEXT.split("## Fields")[1].split("## Which bar")[0]
    said = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\|([^|]*)\|", fields, re.MULTILINE))))
    assert said == set(BAR_DTYPE.names or ()) - PLACE and set(ALGOPLUS_FIELDS) <= said
    assert set(re.findall(r"\(`([a-z_]+)`\)", TEXT)) == set(LEFT_OUT)
    assert all(f'`"{align}"`' in TEXT for align in ALIGNMENTS)
