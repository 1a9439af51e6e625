"""Links between the documents lead somewhere, and pages in two languages stay in step."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")])
TWINS = [page for page in PAGES if page.with_name(f"{page.stem}.zh-CN.md").exists()]
# Written twice from the first line on, so their parts are the same.
IN_STEP = [page for page in TWINS if page.stem in ("start", "migrate", "configure", "faq", "limits", "data")]


def _text(page: Path) -> str:
    return page.read_text("utf-8")


def _anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    prose = re.sub(r"^```.*?^```", "", _text(page), flags=re.DOTALL | re.MULTILINE)
    found = set()
    for heading in re.findall(r"^#+ (.+)$", prose, re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add("".join(c if c.isalnum() or c in "-_" else "-" if c == " " else "" for c in words))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", _text(page), flags=re.DOTALL)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    assert not broken


def test_the_index_has_every_page() -> None:
    index = _text(ROOT / "docs" / "README.md")
    linked = set(re.findall(r"\]\(([\w.-]+\.md)\)", index))
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert linked == pages


@pytest.mark.parametrize("page", IN_STEP, ids=lambda page: page.stem)
def test_both_languages_have_the_same_parts_and_commands(page: Path) -> None:
    def shape(text: str) -> list[tuple[str, ...]]:
        return re.findall(r"^(#+) |^(```\w*)|^(\|)|^(- |\d\. )", text, re.MULTILINE)

    def code(text: str) -> list[str]:
        blocks = re.findall(r"^```.*?^```", text, re.DOTALL | re.MULTILINE)
        return [re.sub(r"\s*#.*|\[.*?\]\s*$", "", line).rstrip() for block in blocks for line in block.splitlines()]

    chinese = _text(page.with_name(f"{page.stem}.zh-CN.md"))
    assert shape(_text(page)) == shape(chinese)
    assert code(_text(page)) == code(chinese)


def test_the_chinese_tables_of_configure_have_the_same_names() -> None:
    english, chinese = (_text(ROOT / "docs" / f"configure{end}.md") for end in ("", ".zh-CN"))
    for pattern in (r"^\| `([\w.]+)` \|", r"^\| `tickengine_\w+` \| ([^|]*) \|"):
        assert re.findall(pattern, english, re.MULTILINE) == re.findall(pattern, chinese, re.MULTILINE)
