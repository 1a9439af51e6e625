"""Patterns and lists: which ids they come to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickengine import ConfigError
from tickengine.feed import ids, load
from tickengine.feed.plan import choice_of
from tickengine.feed.presets import front_of, presets
from tickengine.instruments import FUTURE, parse_instrument
from tickengine.products import product_table

DAY = "20261123"
LISTED = [
    "m2701",
    "m2705",
    "ma2701",
    "m2701-C-3000",
    "MA701",
    "c2701",
    "cs2701",
    "cu2701",
    "cu2701C70000",
    "SP a2701&a2705",
]


def test_the_tables_give_every_products_months_in_its_exchanges_form() -> None:
    found = ids.futures_of_the_tables(3, DAY)
    assert [i for i in found if i.startswith("rb")] == ["rb2611", "rb2612", "rb2701"]
    assert [i for i in found if i.startswith("SR")] == ["SR611", "SR612", "SR701"]
    assert [i for i in found if i.startswith("IF")] == ["IF2611", "IF2612", "IF2701"]
    products = [p for p in product_table(DAY) if p.ProductID.isalpha() and p.ProductID not in ids.OPTION_PRODUCTS]
    assert len(found) == len(set(found)) == 3 * len(products)
    for one in found:
        instrument = parse_instrument(one, day=DAY)
        assert instrument.kind == FUTURE and instrument.ExchangeID and not ids.doubts_about(one, DAY)


def test_products_of_options_alone_are_all_named() -> None:
    assert {p.ProductID for p in product_table(DAY) if "option" in p.NameEnglish} == ids.OPTION_PRODUCTS


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("m*", ["m2701", "m2705"]), ("c*", ["c2701"]), ("cu*", ["cu2701"]), ("MA*", ["MA701"]),
        ("cu2701*", ["cu2701", "cu2701C70000"]), ("m27??", ["m2701", "m2705"]), ("[mc]2701", ["m2701", "c2701"]),
        ("*-C-*", ["m2701-C-3000"]), ("SP *", ["SP a2701&a2705"]),
    ],
)  # fmt: skip
def test_patterns(pattern: str, found: list[str]) -> None:
    assert ids.matching(pattern, LISTED) == found


@settings(deadline=None)
@given(st.text(st.sampled_from("am*?[]!-2701 &"), min_size=1, max_size=8))
def test_a_pattern_gives_ids_of_the_list_or_an_error(pattern: str) -> None:
    words, found = "", []
    try:
        found = ids.matching(pattern, LISTED)
    except ConfigError as error:
        words = str(error)
    assert (found and set(found) <= set(LISTED)) or repr(pattern) in words


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"rb2701\n\n# x\n  IF2701 # main\r\nSP a2701&a2705\n", ["rb2701", "IF2701", "SP a2701&a2705"]),
        (b"\xef\xbb\xbfExchangeID,InstrumentID\r\nSHFE,rb2701\r\nCFFEX, IF2701 \r\n", ["rb2701", "IF2701"]),
        ("# 主力\nInstrumentID,名称\nrb2701,螺纹钢\n".encode("gb18030"), ["rb2701"]),
        (b"InstrumentID\nrb2701\n", ["rb2701"]),
    ],
)
def test_files_of_ids(tmp_path: Path, raw: bytes, found: list[str]) -> None:
    path = tmp_path / "ids"
    path.write_bytes(raw)
    lines = ids.read_ids(str(path))
    assert [line.text for line in lines] == found
    for line in lines:  # each where it says
        place, _, number = line.place.rpartition(":")
        assert place == str(path) and line.text.encode() in raw.splitlines()[int(number) - 1]


@pytest.mark.parametrize(
    ("raw", "words"),
    [(b"", "has no ids"), (b"# x\n", "has no ids"), (b"a,b\n1,2\n", "without a column InstrumentID")],
)
def test_files_without_ids(tmp_path: Path, raw: bytes, words: str) -> None:
    path = tmp_path / "ids"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=words):
        ids.read_ids(str(path))


def test_a_list_decides_what_a_pattern_is_and_a_file_brings_more(write: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "all.txt").write_text("rb2701\nrb2705\nrb2701C3000\n")
    (tmp_path / "main.txt").write_text("IF2705\nrb27*\nxx*\n")
    text = (
        "front='loopback'\n[instruments]\nids='rb*'\nlist='all.txt'\nfile='main.txt'\n[engine]\nlibrary='compatible'\n"
    )
    with pytest.raises(
        ConfigError, match=r"feed.toml:5: instruments.file: .*main.txt:3: pattern 'xx\*' matches nothing"
    ):
        load(write(text))
    (tmp_path / "main.txt").write_text("IF2705\nrb27*\n")
    assert load(write(text)).choice.ids == choice_of(write(text)).ids == ("rb2701", "rb2705", "IF2705", "rb2701C3000")


def test_odd_ids_are_doubted(write: Callable[..., str], password: Path) -> None:
    text = (
        "front='simnow'\nuser='1'\npassword_file='password'\n[instruments]\n"
        "ids=['SR2701', 'rb2001', 'zz2701', 'rb2705']\n[engine]\nlibrary='compatible'\n"
    )
    doubts = "\n".join(load(write(text)).doubts)
    assert "'SR2701' has the form of no exchange's ids" in doubts and "'rb2001' was delivered in 2020-01" in doubts
    assert "product 'zz' is in no table" in doubts and "rb2705" not in doubts


def test_presets_are_fronts() -> None:
    for preset in presets().values():
        assert front_of(preset.name) == (preset.md_front, preset) and front_of(preset.md_front) == (
            preset.md_front,
            None,
        )
        assert preset.broker == "9999" and (preset.known.isdigit() or preset.is_here)
        if preset.td_front:
            assert front_of(preset.td_front)[0] == preset.td_front
