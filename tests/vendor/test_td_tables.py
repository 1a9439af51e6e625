"""Every entry of the shim's trader tables is what the atlas says, and nothing of the atlas is left out.

The atlas (`td_atlas.json`) lists the facts per version; the tables are read from the shim as it will use them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tickengine._shim import lib

HERE = Path(__file__).parent
ATLAS: dict[str, Any] = json.loads((HERE / "td_atlas.json").read_text())
MD_ATLAS: dict[str, Any] = json.loads((HERE / "atlas.json").read_text())
TABLES: dict[str, Any] = json.loads(lib().td_tables())
STRUCTS: dict[str, Any] = json.loads(lib().td_structs())
VERSIONS = list(ATLAS["versions"])  # in the order of their release
BEFORE = {"pre-6.3.6": "6.3.5"}  # the build before 6.3.6 tells no version; the tables call it so
PAYLOAD = 832  # of a journal record


def row_of(version: str) -> dict[str, Any]:
    rows = [r for r in TABLES["versions"] if r["version"] == BEFORE.get(version, version)]
    assert len(rows) == 1, f"{version} is in {len(rows)} rows"
    row: dict[str, Any] = rows[0]
    return row


def layout_of(version: str, struct: str) -> dict[str, Any]:
    layout: dict[str, Any] = ATLAS["structs"][struct][ATLAS["versions"][version]["structs"][struct]]
    return layout


def test_the_rows_are_the_versions_of_the_atlas() -> None:
    assert [r["version"] for r in TABLES["versions"]] == [BEFORE.get(v, v) for v in VERSIONS]


def test_seventeen_api_and_sixteen_spi_generations() -> None:
    assert (len(TABLES["api"]), len(TABLES["spi"])) == (17, 16)


@pytest.mark.parametrize("kind", ["api", "spi"])
def test_slots(kind: str) -> None:
    assert TABLES[kind] == ATLAS[kind]


@pytest.mark.parametrize("kind", ["api", "spi"])
def test_no_slot_is_given_twice_or_lies_behind_the_last(kind: str) -> None:
    for name, generation in TABLES[kind].items():
        slots = list((generation.get("methods") or generation["callbacks"]).values())
        assert len(set(slots)) == len(slots) and max(slots) < generation["slots"], name


def test_a_number_of_api_slots_names_one_generation() -> None:
    assert len({g["slots"] for g in TABLES["api"].values()}) == len(TABLES["api"])


@pytest.mark.parametrize("version", VERSIONS)
def test_generations_and_factory(version: str) -> None:
    row, fact = row_of(version), ATLAS["versions"][version]
    assert (row["api"], row["spi"], row["factory_flags"]) == (fact["api"], fact["spi"], fact["factory_flags"])


@pytest.mark.parametrize("version", VERSIONS)
def test_every_struct_has_its_size_and_every_field_its_place(version: str) -> None:
    structs = row_of(version)["structs"]
    assert list(structs) == list(ATLAS["versions"][version]["structs"])
    for name, struct in structs.items():
        fact = layout_of(version, name)
        assert struct["size"] == fact["size"], name
        expected = {f: [offset, size] for f, _, offset, size in fact["fields"] if not f.startswith("reserve")}
        assert struct["fields"] == expected, f"{name} of {version}"


@pytest.mark.parametrize("version", [v for v in VERSIONS if v in MD_ATLAS["versions"]])
def test_structs_that_market_data_uses_too_are_the_same(version: str) -> None:
    for name, layout in MD_ATLAS["versions"][version]["structs"].items():
        if name in ATLAS["structs"]:
            fact = MD_ATLAS["structs"][name][layout]
            ours = {f: [o, s] for f, _, o, s in layout_of(version, name)["fields"]}
            assert (layout_of(version, name)["size"], ours) == (fact["size"], fact["fields"]), name


@pytest.mark.parametrize("name", list(ATLAS["structs"]))
def test_a_canonical_struct_is_the_newest_layout_without_free_places_packed_with_natural_alignment(name: str) -> None:
    newest = layout_of(VERSIONS[-1], name)
    sizes = {"double": 8, "int": 4, "char": 1, "text": 1}
    expected, end = [], 0
    for field, kind, _, size in newest["fields"]:
        if not field.startswith("reserve"):
            at = -(-end // sizes[kind]) * sizes[kind]
            expected.append([field, kind, at, size])
            end = at + size
    assert STRUCTS[name]["fields"] == expected
    assert STRUCTS[name]["size"] == -(-end // 8) * 8 <= PAYLOAD


def test_struct_numbers_never_change() -> None:
    """They stand in journals. A new struct goes to the end, of the atlas too."""
    assert [s["number"] for s in STRUCTS.values()] == list(range(1, len(ATLAS["structs"]) + 1))
    assert list(STRUCTS)[:14] == [
        *("InputOrder", "InputOrderAction", "Order", "Trade", "OrderAction", "RspUserLogin", "UserLogout"),
        *("RspAuthenticate", "SettlementInfoConfirm", "InstrumentStatus", "InvestorPosition", "TradingAccount"),
        *("Instrument", "DepthMarketData"),
    ]


def test_the_rows_are_what_the_script_makes_of_the_atlas() -> None:
    root = HERE.parents[1]
    made = subprocess.run([sys.executable, root / "scripts" / "td_rows"], capture_output=True, text=True, check=True)
    assert made.stdout == (root / "shim" / "src" / "td_rows.inc").read_text()
