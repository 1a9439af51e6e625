"""Vendor text is GB18030, may be cut anywhere, and needs no locale to be read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from writing import Feed

import tickengine
from tickengine import Event
from tickengine._shim import Callback_
from tickengine.callbacks import call_of
from tickengine.words import decode

ROOT = Path(tickengine.__file__).resolve().parent
chinese = st.text(st.characters(codec="gb18030", exclude_characters="\ufffd\0"), min_size=1, max_size=40)


@given(chinese)
def test_every_text_comes_back(text: str) -> None:
    assert decode(text.encode("gb18030")) == text


@given(chinese, st.data())
def test_a_cut_text_keeps_what_stands_before_the_cut(text: str, data: st.DataObject) -> None:
    """ctpwrapper #62: a multibyte character cut at the array's end raised, or the whole text became ''."""
    raw = text.encode("gb18030")
    cut = raw[: data.draw(st.integers(0, len(raw)))]
    whole = 0
    while len(text[: whole + 1].encode("gb18030")) <= len(cut) and whole < len(text):
        whole += 1
    found = decode(cut)
    assert found.startswith(text[:whole])
    assert len(found) <= whole + 2  # at most the rest of one character
    assert found or not cut


@given(st.binary(max_size=100))
def test_no_bytes_raise(raw: bytes) -> None:
    assert bool(decode(raw)) == bool(raw)


def test_a_full_array_of_the_vendor_gives_its_text() -> None:
    """ErrorMsg has 81 bytes and may have no NUL; 40 characters and a half fit."""
    raw = ("错" * 41).encode("gb18030")[:81]
    assert decode(raw) == "错" * 40 + "\ufffd"


def test_the_callbacks_message_stays_bytes_and_decodes() -> None:
    from tickengine import _shim

    c = Callback_()
    c.kind, c.has_info, c.error_id = _shim.CB_ERROR, True, 3
    c.error_msg = ("错" * 42).encode("gb18030")[:83]
    name, (info, _, _) = call_of(c)
    assert name == "OnRspError"
    assert decode(info["ErrorMsg"]) == "错" * 41 + "\ufffd"


def test_an_event_says_in_what_its_text_is_encoded(feed: Feed) -> None:
    """Our own texts are UTF-8, the vendor's GB18030; reading one as the other gives no error, only nonsense."""
    queue = feed.queue(events=True)
    words = "不合法的登录"
    feed.event("gave_up", text=words.encode(), encoding=0)
    feed.event("login_refused", error_id=3, text=words.encode("gb18030"), encoding=1)
    own, vendors = queue.get(), queue.get()
    assert isinstance(own, Event) and isinstance(vendors, Event)
    assert (own.Text, vendors.Text) == (words, words)
    assert words in own.words


def test_a_cut_name_in_a_tick_and_in_the_instrument_table(feed: Feed) -> None:
    feed.tick("cu2601", ExchangeInstID=("某" * 16).encode("gb18030")[:31])  # 15 characters and a half, no NUL
    tick = feed.queue().get()
    (entry,) = feed.log.instruments()
    assert tick.ExchangeInstID == entry["ExchangeInstID"] == "某" * 15 + "\ufffd"


PROGRAM = """
import sys
from writing import Feed
from tickengine.words import disconnect_reason
from tickengine.products import product_of
assert sys.stdout.encoding.upper() != "UTF-8", sys.stdout.encoding
assert sys.flags.utf8_mode == 0
feed = Feed()
try:
    queue = feed.queue(events=True)
    feed.tick("cu2601", ExchangeInstID="\\u94dc".encode("gb18030"))
    feed.event("error", error_id=3, text="\\u4e0d\\u5408\\u6cd5".encode("gb18030"), encoding=1)
    tick, event = queue.get(), queue.get()
    assert tick.ExchangeInstID == "\\u94dc"
    assert "\\u4e0d\\u5408\\u6cd5" in event.words
    assert "\\u7f51\\u7edc" in disconnect_reason(4097, "zh")
    assert product_of("cu2601").NameChinese == "\\u94dc"
finally:
    feed.close()
print("fine")
"""


@pytest.mark.parametrize("locale", ["C", "POSIX", "zh_CN.GB18030"])
def test_it_runs_on_a_machine_without_chinese_locales(locale: str) -> None:
    """openctp-ctp-python #37: `_S_create_c_locale name not valid` killed the process at the first callback.

    The last locale does not exist on most machines; what asks libstdc++ for it dies. Files opened in the
    locale's encoding warn, and a warning ends the program.
    """
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))},
        "LC_ALL": locale,
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONWARNDEFAULTENCODING": "1",
        "PYTHONPATH": f"{ROOT.parent}:{Path(__file__).resolve().parents[1]}",
    }
    command = [sys.executable, "-W", "error::EncodingWarning", "-c", PROGRAM]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "fine", done.stderr


@pytest.mark.parametrize("library", ["libtickshim.so", "libcompatible.so", "libcompatible_trader.so"])
def test_the_libraries_ask_for_no_locale(library: str) -> None:
    """The root cause in the wrappers was ``std::locale("zh_CN.GB18030")``. Neither it nor a stream, which
    brings one, nor setlocale or iconv is among the symbols that the libraries need."""
    raw = (ROOT / library).read_bytes()
    assert b"_ZNSt18condition_variable" in raw or library != "libtickshim.so"  # symbol names are to be seen
    assert (
        re.findall(rb"\w*(?:St6locale|_S_create_c_locale|ios_base|basic_[io]*stringstream|setlocale|iconv)\w*", raw)
        == []
    )
