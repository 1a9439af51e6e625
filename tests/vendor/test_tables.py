"""Every entry of the shim's vendor tables is what the atlas says, and nothing of the atlas is left out.

The atlas (`atlas.json`) lists the facts per version; the tables are read from the shim as it will use them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tickengine._shim import lib

ATLAS: dict[str, Any] = json.loads((Path(__file__).parent / "atlas.json").read_text())
TABLES: dict[str, Any] = json.loads(lib().vendor_tables())
VERSIONS = list(ATLAS["versions"])  # in the order of their release
BEFORE = {"6.3.5": "pre-6.3.6"}  # the build before 6.3.6 tells no version; the tables call it so

# Fields that the shim has no use for: what the library fills in by itself, and places kept free.
UNUSED = {
    "ReqUserLogin": {
        *("TradingDay", "InterfaceProductInfo", "ProtocolInfo", "MacAddress", "OneTimePassword"),
        *("ClientIPAddress", "LoginRemark", "ClientIPPort", "SMSCode"),
    },
    "RspUserLogin": {"LoginDRIdentityID", "UserDRIdentityID", "LastLoginTime", "ReserveInfo"},
}


def row_of(version: str) -> dict[str, Any]:
    """The one row whose range holds *version*."""
    rows = [r for r in TABLES["versions"] if position(r["first"]) <= position(version) <= position(r["last"])]
    assert len(rows) == 1, f"{version} is in {len(rows)} rows"
    return rows[0]


def position(version: str) -> int:
    return VERSIONS.index(BEFORE.get(version, version))


def test_the_rows_begin_and_end_with_versions_of_the_atlas_and_leave_none_out() -> None:
    covered: list[str] = []
    for row in TABLES["versions"]:
        covered += VERSIONS[position(row["first"]) : position(row["last"]) + 1]
    assert covered == VERSIONS


def test_slots_of_the_callbacks() -> None:
    assert {name: g["spi"] for name, g in TABLES["generations"].items()} == ATLAS["spi"]


@pytest.mark.parametrize("name", ["G1", "G2"])
def test_slots_of_the_methods(name: str) -> None:
    generation, methods = TABLES["generations"][name], ATLAS["api"][name]
    assert generation["api_slots"] == len(methods)
    assert generation["api"] == {m: methods.index(m) for m in generation["api"]}
    # Two need what a loopback cannot show; nobody uses them.
    assert set(methods) - set(generation["api"]) == {"RegisterNameServer", "RegisterFensUserInfo"}


@pytest.mark.parametrize("version", VERSIONS)
def test_generation_and_factory(version: str) -> None:
    row, fact = row_of(version), ATLAS["versions"][version]
    assert (row["generation"], row["factory_flags"]) == (fact["generation"], fact["factory_flags"])
    assert f"L{row['layout']}" == fact["structs"]["DepthMarketData"]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_struct_has_its_size_and_every_field_its_place(version: str) -> None:
    structs = row_of(version)["structs"]
    layouts = ATLAS["versions"][version]["structs"]
    assert set(structs) == set(layouts)
    for name, layout in layouts.items():
        fact = ATLAS["structs"][name][layout]
        assert structs[name]["size"] == fact["size"], name
        fields = structs[name]["fields"]
        wrong = {f: (fields[f], fact["fields"].get(f)) for f in fields if fields[f] != fact["fields"].get(f)}
        assert not wrong, f"{name} of {version}: (table, atlas) {wrong}"


@pytest.mark.parametrize("version", VERSIONS)
def test_no_field_of_use_is_left_out(version: str) -> None:
    structs = row_of(version)["structs"]
    for name, layout in ATLAS["versions"][version]["structs"].items():
        left = set(ATLAS["structs"][name][layout]["fields"]) - set(structs[name]["fields"]) - UNUSED.get(name, set())
        assert not {f for f in left if not f.startswith("reserve")}, f"{name} of {version} lacks {left}"


def test_every_field_ends_within_its_struct_and_overlaps_no_other() -> None:
    for row in TABLES["versions"]:
        for name, struct in row["structs"].items():
            end = 0
            for offset, size in sorted(struct["fields"].values()):
                assert offset >= end and size > 0, f"{name} of {row['first']} at {offset}"
                end = offset + size
            assert end <= struct["size"], f"{name} of {row['first']}"
