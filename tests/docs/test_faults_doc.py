"""docs/faults.md and its Chinese twin name tests and models that are there, and the same ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGLISH = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "docs" / "faults.zh-CN.md").read_text(encoding="utf-8")
TEXTS = pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["en", "zh-CN"])

# How a file of this kind begins what can be named in it.
DEFINITIONS = {
    ".py": r"^def {}\(",
    ".cpp": r"^TEST\({}\) ",
    ".pml": r"^#\w+ .*\b{}\b",
}


def rows(text: str) -> list[list[tuple[str, str]]]:
    """(file, name) of each row of the tables of faults; `::name` alone is in the file before it."""
    found = []
    for line in text.splitlines():
        cell = line.rpartition(" | ")[2]
        if not line.startswith("| ") or "::" not in cell:
            continue
        named = re.findall(r"`([\w./]*)::(\w+)`", cell)
        assert cell == ", ".join(f"`{file}::{name}`" for file, name in named) + " |", line
        assert named[0][0], f"the first test has no file: {line}"
        file = ""
        tests = []
        for own, name in named:
            file = own or file
            tests.append((file, name))
        found.append(tests)
    return found


@TEXTS
def test_every_fault_has_a_test(text: str) -> None:
    sections = text.split("\n## ")[1:9]
    faults = [re.findall(r"^\| (?!---).*", section, re.MULTILINE)[1:] for section in sections]
    assert all(faults) and sum(map(len, faults)) == len(rows(text)) == len(rows("\n".join(sections)))


@TEXTS
def test_what_is_named_is_there(text: str) -> None:
    for file, name in (test for row in rows(text) for test in row):
        path = ROOT / file
        assert path.is_file(), f"{file}::{name}: no such file"
        definition = DEFINITIONS[path.suffix].format(name)
        assert re.search(definition, path.read_text(encoding="utf-8"), re.MULTILINE), f"{file} has no {name}"


def test_a_mutant_that_is_named_is_one_that_must_be_found() -> None:
    check = (ROOT / "model" / "check.sh").read_text(encoding="utf-8")
    named = [(Path(file).stem, name) for row in rows(ENGLISH) for file, name in row if file.endswith(".pml")]
    assert named
    for model, name in named:
        assert re.search(rf"^mutant {model} {name}\b", check, re.MULTILINE), f"{model} {name}"


def test_both_languages_name_the_same_in_the_same_order() -> None:
    assert rows(ENGLISH) == rows(CHINESE)


def test_no_test_stands_for_two_faults() -> None:
    named = [test for row in rows(ENGLISH) for test in row]
    assert sorted(set(named)) == sorted(named)


def test_both_languages_have_the_same_parts_and_links() -> None:
    def shape(text: str) -> list[str]:
        return re.findall(r"^(#+ |\||- )", text, re.MULTILINE)

    def links(text: str) -> list[str]:
        found = [link.replace(".zh-CN", "") for link in re.findall(r"\]\(([^)]+)\)", text)]
        return sorted(found)

    assert shape(ENGLISH) == shape(CHINESE)
    assert links(ENGLISH) == links(CHINESE)


@TEXTS
def test_the_runs_of_the_models_and_the_fuzzers_targets_are_those_there_are(text: str) -> None:
    check = (ROOT / "model" / "check.sh").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if "model/README.md" in line)
    counts = [len(re.findall(rf"^{kind} ", check, re.MULTILINE)) for kind in ("correct", "mutant")]
    assert [int(number) for number in re.findall(r"\d+", line)] == counts
    line = next(line for line in text.splitlines() if "fuzz/README.md" in line)
    targets = [path.name for path in (ROOT / "shim" / "fuzz" / "corpus").iterdir()]
    assert sorted(set(re.findall(r"`([a-z_]+)`", line))) == sorted(targets)


def test_what_the_security_document_names_is_there() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    functions = re.findall(r"`(test_\w+)`", text)
    assert len(functions) > 5
    for name in functions:
        assert any(re.search(rf"^def {name}\(", source, re.MULTILINE) for source in sources), name
    for file in re.findall(r"`((?:tests|shim)/[\w./]*)`", text):
        assert (ROOT / file).exists(), file
