"""AlgoPlus's way of starting: an account object and a function to be a `Process` target."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._secret import Secret
from .mdapi import MdApi


@dataclass
class FutureAccount:
    """An account with the attributes that AlgoPlus programs use.

    ``server_dict["MDServer"]`` is the front, with or without ``tcp://``. The repr shows no secret.
    """

    broker_id: str | bytes | int
    server_dict: Mapping[str, Any]
    investor_id: str | bytes = ""
    password: str | bytes | Secret = field(default="", repr=False)
    app_id: str | bytes = field(default="", repr=False)
    auth_code: str | bytes | Secret = field(default="", repr=False)
    instrument_id_list: Iterable[str | bytes] = ()
    md_page_dir: str | bytes = ""
    td_page_dir: str | bytes = ""


def run_tick_engine(account: FutureAccount, md_queue_list: Iterable[Any] | None = None, **options: Any) -> None:
    """Run an `MdApi` for *account* in this process until it is told to end (SIGTERM, SIGINT).

    ``Process(target=run_tick_engine, args=(account, [queue_1, queue_2])).start()``. *options* are
    `MdApi`'s keyword arguments. Any object with the attributes of `FutureAccount` will do, and so will one of
    AlgoPlus 3's, which calls two of them ``subscribe_list`` and ``md_flow_path``.

    Raises: as `MdApi` and `MdApi.Join`.
    """
    api = MdApi(
        account.server_dict["MDServer"],
        account.broker_id,
        account.investor_id,
        account.password,
        account.app_id,
        account.auth_code,
        _either(account, "instrument_id_list", "subscribe_list"),
        md_queue_list,
        _either(account, "md_page_dir", "md_flow_path"),
        **options,
    )
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda _number, _frame: api.Release())
    try:
        api.Join()
    except KeyboardInterrupt:
        pass  # Join has released; Ctrl-C is the usual way to end such a process


def _either(account: Any, name: str, newer: str) -> Any:
    """An attribute that AlgoPlus has renamed. Raises: AttributeError, with the name that is ours."""
    return getattr(account, newer) if hasattr(account, newer) and not hasattr(account, name) else getattr(account, name)
