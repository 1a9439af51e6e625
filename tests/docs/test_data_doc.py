"""docs/data.md and its Chinese twin name what the code has, and stay in step."""

from __future__ import annotations

import re
from pathlib import Path

from tickengine import TickFlag
from tickengine.tick import RECORD_FIELDS

DOCS = Path(__file__).resolve().parents[2] / "docs"
ENGLISH = (DOCS / "data.md").read_text(encoding="utf-8")
CHINESE = (DOCS / "data.zh-CN.md").read_text(encoding="utf-8")
LAYOUT = (DOCS / "layout.md").read_text(encoding="utf-8")


def test_every_flag_has_its_rule_in_both_languages() -> None:
    names = [flag.name for flag in TickFlag]
    for text in (ENGLISH, CHINESE):
        assert re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE) == names


def test_the_layouts_bits_are_the_flags() -> None:
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", LAYOUT, re.MULTILINE)
    assert {name: 1 << int(bit) for bit, name in rows} == {flag.name: flag.value for flag in TickFlag}


def test_both_languages_have_the_same_parts_and_numbers() -> None:
    def shape(text: str) -> list[str]:
        return re.findall(r"^(#+) |^(```)|^(\|)", text, re.MULTILINE)  # type: ignore[return-value]

    def facts(text: str) -> set[str]:
        body = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        return set(re.findall(r"`[^`]+`|\d\d:\d\d(?::\d\d)?", body))

    assert shape(ENGLISH) == shape(CHINESE)
    assert facts(ENGLISH) == facts(CHINESE)


def test_fields_named_there_exist() -> None:
    fields = {name for name, _ in RECORD_FIELDS} | {"Sequence", "ExchangeInstID"}
    named = re.findall(r"`([A-Z][a-z]+(?:[A-Z][A-Za-z0-9]*)+)`", ENGLISH)
    assert len(named) > 20 and set(named) - fields == {"TickFlag"}
