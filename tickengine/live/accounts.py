"""Accounts in a configuration file, one TOML table each.

::

    [accounts.simnow_future4]
    md_front = "tcp://182.254.243.31:30011"
    td_front = "tcp://182.254.243.31:30001"
    broker_id = "9999"
    investor_id = "123456"
    password_env = "SIMNOW_PASSWORD"        # or password_file, a file that only you can read
    app_id = "simnow_client_test"
    auth_code_env = "SIMNOW_AUTH_CODE"      # or auth_code_file

    [accounts.simnow_future4.limits]        # see tickengine.trader.Limits; false switches one off
    order_volume = 5

    [accounts.paper]
    paper = true
    md_front = "tcp://127.0.0.1:41213"
    broker_id = "9999"
    investor_id = "me"

Passwords themselves do not belong into it: a table with ``password`` is refused.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from .._errors import ConfigError
from .._secret import Secret, secret
from .._toml import tomllib
from ..config import check_fronts, credential
from ..trader.limits import Limits

CONFIG_ENV = "TICKENGINE_CONFIG"
DEFAULT_CONFIG = "tickengine.toml"


@dataclass(frozen=True)
class Account:
    """One account. The repr shows no secret."""

    name: str
    md_front: str
    broker_id: str
    investor_id: str
    td_front: str = ""
    password: Secret | str = field(default="", repr=False)
    app_id: str = field(default="", repr=False)
    auth_code: Secret | str = field(default="", repr=False)
    library: str | None = None
    td_library: str | None = None
    production: bool = True
    paper: bool = False
    balance: float = 1_000_000.0
    lots: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)


_TEXTS = ("md_front", "td_front", "broker_id", "investor_id", "app_id", "library", "td_library")
_SECRETS = ("password", "auth_code")
_KEYS = {
    *_TEXTS,
    *(f"{name}_{where}" for name in _SECRETS for where in ("env", "file")),
    *("production", "paper", "balance", "lots", "limits"),
}


def config_path(given: str | None) -> Path:
    """Where the configuration is: as given, in ``TICKENGINE_CONFIG``, or ``tickengine.toml`` here."""
    return Path(given or os.environ.get(CONFIG_ENV) or DEFAULT_CONFIG)


def load_account(path: Path, name: str) -> Account:
    """The account *name* of a configuration file.

    Raises:
        ConfigError: no such file or account, or a mistake in it; the text names the file and the key.
    """
    try:
        with open(path, "rb") as file:
            config = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"configuration {path}: {error.strerror}; give another with --config") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"configuration {path}: {error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"configuration {path}: is not UTF-8 text") from None
    accounts = config.get("accounts", {})
    if not isinstance(accounts, dict) or name not in accounts:
        known = ", ".join(sorted(accounts)) if isinstance(accounts, dict) and accounts else "none"
        raise ConfigError(f"configuration {path}: there is no [accounts.{name}]; it has: {known}")
    table = accounts[name]
    try:
        if not isinstance(table, dict):
            raise ConfigError("it must be a table")
        return _account(name, table)
    except ConfigError as error:
        raise ConfigError(f"configuration {path}, [accounts.{name}]: {error}") from None


def _account(name: str, table: dict[str, Any]) -> Account:
    for key in _SECRETS:
        if key in table:
            raise ConfigError(f"{key} does not belong into this file: use {key}_env or {key}_file")
    unknown = sorted(set(table) - _KEYS)
    if unknown:
        raise ConfigError(f"{unknown[0]} is not known; known are {', '.join(sorted(_KEYS))}")
    values: dict[str, Any] = {}
    for key in _TEXTS:
        if key in table:
            values[key] = _typed(table, key, str, "a text")
    for key in ("production", "paper"):
        if key in table:
            values[key] = _typed(table, key, bool, "true or false")
    if "balance" in table:
        balance = values["balance"] = float(_typed(table, "balance", (int, float), "a number"))
        if not math.isfinite(balance):
            raise ConfigError(f"balance must be a number, not {balance}")
    for key in ("md_front", "broker_id", "investor_id"):
        if not values.get(key):
            raise ConfigError(f"{key} is missing")
    if not values.get("paper") and not values.get("td_front"):
        raise ConfigError("td_front is missing (or set paper = true)")
    for key in ("md_front", "td_front"):
        if values.get(key):
            with _named(key):
                check_fronts(values[key], key)
    for key in ("broker_id", "investor_id", "app_id"):
        credential(values.get(key, ""), key)
    for key in _SECRETS:
        places = {
            where: _typed(table, f"{key}_{where}", str, "a text")
            for where in ("env", "file")
            if f"{key}_{where}" in table
        }
        if places:
            with _named(key):
                values[key] = secret(**places)
    values["lots"] = _lots(table.get("lots", {}))
    values["limits"] = limits_of(table.get("limits", {}))
    return Account(name=name, **values)


@contextmanager
def _named(key: str) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from None


def limits_of(table: Any) -> Limits:
    """Limits from a table; ``false`` switches one off.

    Raises:
        ConfigError: a limit that does not exist, or a wrong value.
    """
    if not isinstance(table, dict):
        raise ConfigError("limits must be a table")
    known = {item.name: item.type == "bool" for item in fields(Limits)}
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise ConfigError(f"limits.{unknown[0]} is not known; known are {', '.join(known)}")
    values: dict[str, Any] = {k: None if v is False and not known[k] else v for k, v in table.items()}
    return Limits(**values)


def _lots(table: Any) -> dict[str, tuple[int, int]]:
    good = isinstance(table, dict) and all(
        isinstance(pair, list) and len(pair) == 2 and all(type(n) is int and n >= 0 for n in pair)
        for pair in table.values()
    )
    if not good:
        raise ConfigError("lots must be such as { rb2605 = [2, 0] }: lots long and short")
    return {name: (pair[0], pair[1]) for name, pair in table.items()}


def _typed(table: dict[str, Any], key: str, kind: Any, words: str) -> Any:
    value = table[key]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{key} must be {words}")
    return value
