"""docs/configure.md says what the schema, the metrics and the example unit are."""

from __future__ import annotations

import configparser
import re
import shlex
from pathlib import Path

import pytest

from tickengine.cli import build_parser
from tickengine.feed.presets import presets
from tickengine.feed.run import EXIT_DECIDED
from tickengine.feed.schema import KEYS, QUEUES
from tickengine.watch import metrics

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "configure.md").read_text("utf-8")


def test_the_table_of_keys_is_the_schema() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", TEXT, re.MULTILINE)
    expected = []
    for key in KEYS:
        section = f"{QUEUES}.NAME" if key.section == QUEUES else key.section
        expected.append((f"{section}.{key.name}".lstrip("."), key.form.words, key.default, key.words))
    assert rows == expected


def test_the_table_of_metrics_is_the_collectors() -> None:
    rows = re.findall(r"^\| `(tickengine_\w+)` \| ([^|]*) \| ([^|]+) \|$", TEXT, re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == sorted(metrics.names())
    words = {n.name: n.words for n in (*metrics.ENGINE, *metrics.QUEUE, *metrics.RECORDER)}
    words |= {name: meaning for name, (_, meaning) in metrics.OTHERS.items()}
    for name, _, meaning in rows:
        assert meaning == words[name.removeprefix("tickengine_").removesuffix("_total")]
    mentioned = set(re.findall(r"tickengine_[a-z_]+", TEXT)) - {"tickengine_"}
    assert mentioned <= metrics.names()


def test_every_preset_is_named_and_the_day_is_the_tables() -> None:
    for preset in presets().values():
        assert f"`{preset.name}`" in TEXT
        day = preset.known
        assert not day or f"{day[:4]}-{day[4:6]}-{day[6:]}" in TEXT


@pytest.mark.parametrize("line", re.findall(r"^tickengine (?:run|check|init|health|front) .*$", TEXT, re.MULTILINE))
def test_every_command_is_one(line: str) -> None:
    arguments = shlex.split(line, comments=True)[1:]
    assert build_parser().parse_args(arguments).command == arguments[0]


def test_the_unit_starts_what_there_is() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string((ROOT / "examples" / "tickengine@.service").read_text("utf-8"))
    service = unit["Service"]
    program, *arguments = shlex.split(service["ExecStart"])
    assert Path(program).name == "tickengine"
    options = build_parser().parse_args(arguments)
    assert options.command == "run" and options.log_format == "json" and options.file.endswith("/%i.toml")
    assert (
        service["Type"] == "notify"
        and service["KillMode"] == "mixed"
        and int(service["RestartPreventExitStatus"]) == EXIT_DECIDED
    )
    for key in ("WatchdogSec", "KillMode", "RestartPreventExitStatus"):
        assert f"`{key}" in TEXT
