"""What the package's own texts may not have: unpickling of what others can write, passwords in commands."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import tickengine

ROOT = Path(__file__).parents[2]
PACKAGE = Path(tickengine.__file__).parent

RUNS_DATA = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "yaml", "jsonpickle", "cloudpickle"}
CALLS = {"eval", "exec", "compile", "__import__"}

# Every place that takes an object from somewhere else, and why it may. A pipe of multiprocessing has no name: only the
# process that made it, and those that it was handed to, can write to it.
RECEIVES = {
    "_supervisor.py": "the pipe to the process that this engine has started",
    "_child.py": "the same pipe, the other end",
    "demo.py": "pipes to the demonstration's own workers",
    "front/process.py": "the pipe to the front's process that this object has started, both ends",
    "bench/crew.py": "pipes to the benchmark's own workers",
    "bench/parts.py": "the same pipes, the other end",
    "record/process.py": "the pipe to the process that this recorder has started",
    "vendor.py": "the pipe to a forked child that has loaded a library to describe it",
}
# Text that becomes texts, numbers, lists and dicts, and nothing else.
READS = {
    "log.py: json.loads()": "the status in a segment of this user, of at most 4 KiB",
    "bench/parts.py: json.loads()": "the shim's own tables of struct layouts",
    "replay/csvfile.py: json.loads()": "the shim's own tables of struct layouts",
    "trader/records.py: json.loads()": "the shim's own tables of struct layouts",
    "record/notes.py: json.loads()": "the notes beside a recording, a line each",
    "live/accounts.py: tomllib.load()": "the user's own configuration file",
    "feed/document.py: tomllib.loads()": "the user's own configuration file, at most 1 MiB, and command line",
    "feed/lines.py: tomllib.loads()": "keys in quotes out of the same",
}
SOCKETS = {
    "front/connection.py": "bytes from clients, for the front's own parser",
    "front/calls.py": "a wake-up from this process, whose bytes mean nothing",
}


def _sources() -> dict[str, ast.Module]:
    paths = sorted(PACKAGE.rglob("*.py"))
    assert len(paths) > 50
    return {str(path.relative_to(PACKAGE)): ast.parse(path.read_text()) for path in paths}


def test_nothing_is_unpickled_or_run_that_another_user_can_write() -> None:
    found: set[str] = set()
    receives: set[str] = set()
    for name, tree in _sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                modules = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules = {(node.module or "").partition(".")[0]}
            else:
                modules = set()
            found |= {f"{name}: import {module}" for module in modules & RUNS_DATA}
            if isinstance(node, ast.Call):
                function = node.func
                if isinstance(function, ast.Name) and function.id in CALLS:
                    found.add(f"{name}: {function.id}()")
                elif isinstance(function, ast.Attribute) and function.attr in ("loads", "load", "Unpickler"):
                    found.add(f"{name}: {ast.unparse(function)}()")
                elif isinstance(function, ast.Attribute) and function.attr == "recv":
                    receives.add(name)
    assert found == READS.keys(), found
    assert receives == RECEIVES.keys() | SOCKETS.keys()


def test_pipes_have_no_name_and_no_listener() -> None:
    """multiprocessing's Listener, Client and managers would unpickle what comes over a socket with a name."""
    for name, tree in _sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("multiprocessing"):
                assert not {alias.name for alias in node.names} & {"Listener", "Client", "managers", "BaseManager"}, (
                    name
                )


def _texts() -> dict[str, str]:
    paths = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*")]
    paths += [*(ROOT / "scripts").iterdir(), *(ROOT / "examples").rglob("*")]
    paths = [p for p in paths if p.is_file() and p.suffix in ("", ".md", ".py", ".sh")]
    assert {"README.md", "README.zh-CN.md", "SECURITY.md"} <= {p.name for p in paths}
    return {str(p.relative_to(ROOT)): p.read_text() for p in paths}


def test_no_example_takes_a_password_from_the_command_line() -> None:
    argument = re.compile(r"(?i)(--?(password|passwd|auth[-_]?code)[= ](?!-)(?!file|env)\S)")
    assignment = re.compile(r"(?i)\b\w*(password|passwd|auth_code)\w*\s*=\s*[^\s`]*(sys\.argv|args\.)")
    typed = re.compile(r"(?m)^\s*(export )?\w*(PASSWORD|AUTH_CODE)=[^\s$]+")  # it stays in the shell's history
    for name, text in _texts().items():
        for pattern in (argument, assignment, typed):
            found = pattern.search(text)
            assert found is None, f"{name}: {found and found[0]!r}"


def test_no_option_of_a_command_takes_one() -> None:
    from tickengine.cli import build_parser

    seen = 0
    parsers = [build_parser()]
    while parsers:
        for action in parsers.pop()._actions:
            if isinstance(action.choices, dict):
                parsers += action.choices.values()
            seen += 1
            for option in action.option_strings:
                assert not re.search(r"pass|auth|secret", option) or option.endswith(("-env", "-file")), option
    assert seen > 20
