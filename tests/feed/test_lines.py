"""Where the keys of a TOML text stand: every key the parser finds has a line, and it is the right one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickengine._toml import tomllib
from tickengine.feed.lines import Path, lines_of, split_key


def paths_of(value: Any, path: Path = ()) -> set[Path]:
    found = {path} if path else set()
    if isinstance(value, dict):
        for key, item in value.items():
            found |= paths_of(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            found |= paths_of(item, (*path, number))
    return found


def test_every_kind_of_key_and_value() -> None:
    text = '''# a comment = 1
a = "x = [1, # not a comment" # a comment
'b c' = """
not = "a key"
\\""" still inside"""""
lit = \'\'\'
[not.a.header]
\'\'\'
many = [
  1, # one
  [2, 3],

  { k = "v", "l" = [4] },
]
d.e . "f" = 1979-05-27 07:32:00

[ t . u ]   # a header
x = { }
[[arr]]
n = 1
[arr.sub]
m = -1.5e3
[[arr]]
n = [ ]
[[arr.deep]]
z = true
'''
    lines = lines_of(text.replace("\n", "\r\n"))
    assert lines == lines_of(text)
    assert set(lines) == paths_of(tomllib.loads(text))
    expected = {
        ("a",): 2, ("b c",): 3, ("lit",): 6, ("many",): 9, ("many", 0): 10, ("many", 1): 11, ("many", 1, 1): 11,
        ("many", 2): 13, ("many", 2, "l", 0): 13, ("d",): 15, ("d", "e", "f"): 15, ("t",): 17, ("t", "u"): 17,
        ("t", "u", "x"): 18, ("arr",): 19, ("arr", 0): 19, ("arr", 0, "n"): 20, ("arr", 0, "sub", "m"): 22,
        ("arr", 1): 23, ("arr", 1, "n"): 24, ("arr", 1, "deep", 0, "z"): 26,
    }  # fmt: skip
    assert {path: lines[path] for path in expected} == expected


# A writer of TOML that knows where it puts each key.

SCALARS = [
    "1", "0x1F", "1.5e-3", "true", "inf", "1979-05-27", "1979-05-27T07:32:00Z", "07:32:00",
    '"plain"', '"a # = [ { \\" \\\\"', "'c:\\'", "'# \" ]'", '"""one"""', '"""a""b\\""""""', "'''x''y'''''",
    '"""\nline [x]\nk = 1 # """', "'''\n[[h]]\n'''", '""', "''",
]  # fmt: skip
KEYS = st.sampled_from(["a", "b", "c-1", "9", '"q.r"', "'lit # x'", '"esc\\"aped"', '"[x]"', '"中文"'])
GAPS = st.sampled_from(["", " ", "\t "])
FILL = st.sampled_from(["", "\n", "# k = [ { \" ''' \n", "  # [x]\n\n"])

values = st.recursive(
    st.sampled_from(SCALARS).map(lambda text: ("scalar", text)),
    lambda inner: st.one_of(
        st.tuples(st.just("array"), st.lists(st.tuples(FILL, inner, FILL), max_size=3)),
        st.tuples(st.just("table"), st.dictionaries(KEYS, inner, max_size=2)),
    ),
    max_leaves=5,
)
bodies = st.dictionaries(KEYS, st.tuples(GAPS, values, FILL), max_size=4)
documents = st.tuples(bodies, st.lists(st.tuples(st.booleans(), bodies), max_size=3))


class Writer:
    def __init__(self) -> None:
        self.text = ""
        self.lines: dict[Path, int] = {}

    def add(self, text: str) -> None:
        self.text += text

    def note(self, path: Path) -> None:
        self.lines[path] = self.text.count("\n") + 1

    def value(self, value: Any, path: Path) -> None:
        kind, content = value
        if kind == "scalar":
            self.add(content)
        elif kind == "array":
            self.add("[")
            for number, (before, item, after) in enumerate(content):
                self.add(before)
                self.note((*path, number))
                self.value(item, (*path, number))
                self.add(after + ",")
            self.add("]")
        else:
            self.add("{")
            for number, (key, item) in enumerate(content.items()):
                self.add(", " if number else " ")
                self.note((*path, name_of(key)))
                self.add(key + " = ")
                self.value(item, (*path, name_of(key)))
            self.add(" }")

    def body(self, body: Any, path: Path) -> None:
        for key, (gap, value, fill) in body.items():
            self.add(fill + gap)
            self.note((*path, name_of(key)))
            self.add(key + gap + "=" + gap)
            self.value(value, (*path, name_of(key)))
            self.add(gap + "\n")


def name_of(key: str) -> str:
    return next(iter(tomllib.loads(f"{key} = 1")))


@settings(max_examples=60, deadline=None)
@given(documents)
def test_every_line_is_where_it_was_written(document: Any) -> None:
    top, sections = document
    writer = Writer()
    writer.body(top, ())
    elements = 0
    for number, (many, body) in enumerate(sections):
        path: Path = ("many", elements) if many else (f"section {number}", "inner")
        if many and elements == 0:
            writer.note(("many",))
        elif not many:
            writer.note(path[:1])
        writer.note(path)
        writer.add("[[ many ]]" if many else f'["section {number}" . inner] # ]')
        writer.add("\n")
        elements += many
        writer.body(body, path)
    parsed = tomllib.loads(writer.text)
    assert paths_of(parsed) == set(writer.lines)
    assert lines_of(writer.text) == writer.lines


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a", ("a",)), ("a.b", ("a", "b")), (' a . "b.c" ', ("a", "b.c")), ("queues.'x'.wait", ("queues", "x", "wait")),
        ("", None), ("a.", None), (".a", None), ('"a', None), ("a b", None), ("a=", None), ("a.\\", None),
    ],
)  # fmt: skip
def test_a_dotted_key_is_split(text: str, parts: tuple[str, ...] | None) -> None:
    assert split_key(text) == parts


@settings(deadline=None)
@given(st.text(max_size=20))
def test_no_text_breaks_the_splitting(text: str) -> None:
    parts = split_key(text)
    assert parts is None or all(parts)
