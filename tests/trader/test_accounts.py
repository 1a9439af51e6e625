"""Accounts in a configuration file: a mistake is named, with the file and the key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tickengine import ConfigError
from tickengine.live import AbstractStrategy, get_command_line_parser, run_live
from tickengine.live.accounts import load_account

ACCOUNT = {"md_front": "tcp://127.0.0.1:41213", "broker_id": "9999", "investor_id": "me", "paper": True}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"md_front": "127.0.0.1"}, "md_front: .*must be tcp://host:port"),
        ({"md_front": ","}, "md_front is empty"),
        ({"td_front": "udp://127.0.0.1:1"}, "td_front: .*must be tcp://host:port"),
        ({"broker_id": "12345678901"}, "broker_id must have at most 10 bytes"),
        ({"password_env": "NOT_SET_AT_ALL"}, "password: .*NOT_SET_AT_ALL is not set"),
        ({"balance": float("nan")}, "balance must be a number"),
        ({"balance": float("inf")}, "balance must be a number"),
        ({"balance": True}, "balance must be a number"),
        ({"lots": {"rb2605": [True, 1]}}, "lots must be such as"),
        ({"lots": {"rb2605": [1, -1]}}, "lots must be such as"),
        ({"limits": {"order_volume": 0}}, "order_volume must be"),
    ],
)
def test_a_mistake_in_an_account_is_named_with_its_place(wrong: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text("[accounts.a]\n" + "".join(f"{key} = {toml(v)}\n" for key, v in {**ACCOUNT, **wrong}.items()))
    with pytest.raises(ConfigError, match=rf"^configuration {path}, \[accounts.a\]: .*{words}"):
        load_account(path, "a")


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value) if isinstance(value, (str, bool, list)) else str(value)


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "accounts.toml").write_text(
        "[accounts.a]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in ACCOUNT.items())
    )
    options = get_command_line_parser(
        AbstractStrategy,
        f"--account a --instruments rb2605 --config {tmp_path}/accounts.toml --base-folder {tmp_path}/file/x",
    )
    with pytest.raises(SystemExit, match=f"^tickengine: directory {tmp_path}/file/x: Not a directory; give another"):
        run_live(AbstractStrategy, {}, options=options)
