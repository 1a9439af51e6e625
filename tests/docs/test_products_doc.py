"""What the documents say of the tables is what the tables hold."""

from __future__ import annotations

import csv
import re
from importlib.resources import files
from pathlib import Path

import pytest

from tickengine.products import _rows
from tickengine.trading_calendar import covered

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize(
    ("name", "count", "years"),
    [
        ("products.md", r"(\d+) products of SHFE", r"holidays of (\d{4}) to (\d{4})"),
        ("products.zh-CN.md", r"(\d+) 个品种", r"节假日 (\d{4}) 至 (\d{4}) 年"),
    ],
)
def test_counts_years_and_columns(name: str, count: str, years: str) -> None:
    text = (DOCS / name).read_text("utf-8")
    assert re.findall(count, text) == [str(len({p.ProductID for p in _rows()}))]
    assert re.findall(years, text) == [(covered()[0][:4], covered()[1][:4])]
    lines = files("tickengine").joinpath("data/products.csv").read_text("utf-8").splitlines()
    header = next(csv.reader(line for line in lines if line[:1] != "#"))
    described = re.findall(r"^\| ([a-z_, ]+) \| ", text, re.MULTILINE)
    assert [column for cell in described for column in cell.split(", ") if column in header] == [
        *("product", "exchange", "name_en", "name_zh", "tick", "option_tick", "multiplier"),
        *("day", "night_end", "since", "until", "source"),
    ]
    assert len(header) == 12
