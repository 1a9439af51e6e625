"""Checking what a user passes in for a trading connection, before anything is started."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import placement
from .._errors import ConfigError
from .._secret import Secret, checked, hidden
from ..config import MAX_PASSWORD, SIZES, check_fronts, credential, directory, path_text, version_text

RESUME_MODES = {"restart": 0, "resume": 1, "quick": 2}


@dataclass(frozen=True)
class TradingSettings:
    """One trading connection. Made by `trading_settings`, which checks everything."""

    fronts: tuple[str, ...]
    broker_id: str
    investor_id: str
    password: Secret
    app_id: str
    auth_code: Secret = field(repr=False)
    flow_dir: str
    private_topic: int = 1
    public_topic: int = 1
    production: bool = True
    vendor_version: str = ""
    product_info: str = ""
    cpus: tuple[int, ...] | None = None
    realtime: int | None = None

    @property
    def authenticates(self) -> bool:
        """Whether ReqAuthenticate comes before the login."""
        return bool(self.app_id or self.auth_code)


def trading_settings(
    td_server: str | bytes | Sequence[str | bytes],
    broker_id: str | bytes | int,
    investor_id: str | bytes,
    password: Any,
    app_id: str | bytes,
    auth_code: Any,
    flow_dir: str | bytes,
    *,
    private: str = "resume",
    public: str = "resume",
    production: bool = True,
    vendor_version: str = "",
    cpus: int | str | Iterable[int] | None = None,
    realtime: int | None = None,
) -> TradingSettings:
    """Check all arguments. Raises `ConfigError` naming the first wrong one."""
    password, auth_code = hidden(password), hidden(auth_code)
    for name, mode in (("private", private), ("public", public)):
        if not isinstance(mode, str) or mode not in RESUME_MODES:
            raise ConfigError(f"{name} {mode!r} must be one of {', '.join(map(repr, RESUME_MODES))}")
    broker, investor = credential(broker_id, "broker_id"), credential(investor_id, "investor_id")
    for name, value in (("broker_id", broker), ("investor_id", investor)):
        if not value:
            raise ConfigError(f"{name} is empty: trading needs the account's own")
    vendor_cpus, priority = placement.choose(cpus, realtime)
    place = directory(path_text(flow_dir, "flow_dir"))
    if not place:
        raise ConfigError("flow_dir is empty: the journal of orders and the flows' counts need a directory that stays")
    return TradingSettings(
        fronts=tuple(check_fronts(td_server, "td_server")),
        broker_id=broker,
        investor_id=investor,
        password=checked(password, "password", MAX_PASSWORD),
        app_id=credential(app_id, "app_id"),
        auth_code=checked(auth_code, "auth_code", SIZES["auth_code"]),
        flow_dir=place,
        private_topic=RESUME_MODES[private],
        public_topic=RESUME_MODES[public],
        production=bool(production),
        vendor_version=version_text(vendor_version),
        cpus=vendor_cpus,
        realtime=priority,
    )
