"""Numbers into words, in English and Chinese: disconnect reasons, errors, events. And text decoding.

Disconnect reasons: the vendor's documented five, and 40961 as measured on the genuine 6.3.6 library.
Error names: the vendor's error table.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .tick import Event

DISCONNECT_REASONS: dict[int, tuple[str, str]] = {
    0x1001: ("network read failed: the front closed or reset the connection", "网络读失败：前置关闭或重置了连接"),
    0x1002: ("network write failed: the connection was gone while sending", "网络写失败：发送时连接已断开"),
    0x2001: ("heartbeat time-out: nothing received for 120 s", "接收心跳超时：120 秒未收到任何数据"),
    0x2002: ("heartbeat could not be sent", "发送心跳失败"),
    0x2003: ("broken packet received", "收到错误报文"),
    0xA001: ("broken message content received", "收到内容错误的报文"),
}

EVENT_NAMES: dict[int, str] = {
    1: "engine_started",
    2: "front_connected",
    3: "front_disconnected",
    4: "heartbeat_warning",
    5: "logged_in",
    6: "login_refused",
    7: "subscribed",
    8: "subscribe_refused",
    9: "unsubscribed",
    10: "error",
    11: "gave_up",
    12: "engine_lost",
    13: "engine_stopped",
    14: "ack_overdue",
    15: "login_overdue",
    16: "stale",
}
EVENT_CODES: dict[str, int] = {name: code for code, name in EVENT_NAMES.items()}

# name in the vendor's table, English, Chinese; those a login or a subscription can meet
ERRORS: dict[int, tuple[str, str, str]] = {
    1: ("INVALID_DATA_SYNC_STATUS", "data synchronisation is not in a valid state", "不在已同步状态"),
    2: ("INCONSISTENT_INFORMATION", "session information is inconsistent", "会话信息不一致"),
    3: ("INVALID_LOGIN", "wrong user or password", "不合法的登录"),
    4: ("USER_NOT_ACTIVE", "user is not active", "用户不活跃"),
    5: ("DUPLICATE_LOGIN", "logged in already", "重复的登录"),
    6: ("NOT_LOGIN_YET", "not logged in", "还没有登录"),
    7: ("NOT_INITED", "the front is not initialised yet", "还没有初始化"),
    8: ("FRONT_NOT_ACTIVE", "the front is not active", "前置不活跃"),
    9: ("NO_PRIVILEGE", "no privilege", "无此权限"),
    11: ("USER_NOT_FOUND", "user not found", "找不到该用户"),
    12: ("BROKER_NOT_FOUND", "broker not found", "找不到该经纪公司"),
    13: ("INVESTOR_NOT_FOUND", "investor not found", "找不到投资者"),
    15: ("BAD_FIELD", "a field of the request is wrong", "字段有误"),
    16: ("INSTRUMENT_NOT_FOUND", "instrument not found", "找不到合约"),
    19: ("INVESTOR_NOT_ACTIVE", "investor is not active", "投资者不活跃"),
    48: ("INVALID_INVESTORIDORPASSWORD", "wrong investor or password", "投资者代码或密码不正确"),
    49: ("INVALID_LOGIN_IPADDRESS", "login from this address is not allowed", "登录地址不允许"),
    60: ("SINGLEUSERSESSION_EXCEED_LIMIT", "too many sessions of this user", "该用户会话数超限"),
    63: ("AUTH_FAILED", "client authentication failed", "客户端认证失败"),
    64: ("NOT_AUTHENT", "client is not authenticated", "客户端未认证"),
    75: ("LOGIN_FORBIDDEN", "login forbidden, usually after repeated failures", "禁止登录，通常因连续失败"),
    77: ("NO_FOUND_FUNCTION", "this front has no such function", "前置没有该功能"),
    131: ("WEAK_PASSWORD", "password is too weak: change it first", "弱密码，请先修改"),
    132: ("SIMPLE_PASSWORD", "password is too simple: change it first", "密码过于简单，请先修改"),
    140: ("FIRST_LOGIN", "first login: change the password first", "首次登录，请先修改密码"),
    143: ("IP_FORBIDDEN", "this address is forbidden", "该地址被禁止"),
    144: ("IP_BLACK", "this address is on the black list", "该地址在黑名单中"),
    2001: ("PASSWORD_MISMATCH", "password does not match", "密码不匹配"),
    2012: ("ACCOUNT_NOT_ACTIVE", "account is not active", "账户不活跃"),
    4040: (
        "API_FRONT_SHAKE_HAND_ERR",
        "api and front do not fit: another library version is needed",
        "API 与前置握手失败，需要其他版本",
    ),
    6000: ("OVER_SUB_INST_LIMIT", "too many subscriptions", "订阅数超限"),
    6023: ("AFTER_LOGIN", "logged in already", "已登录"),
}

EXIT_SILENT = 5
"""Exit status of an engine process that ended itself because no tick came."""

_EVENT_WORDS: dict[str, tuple[str, str]] = {
    "engine_started": ("engine started (epoch {e.Epoch})", "引擎已启动（第 {e.Epoch} 代）"),
    "front_connected": ("front connected", "前置已连接"),
    "front_disconnected": ("front disconnected: {reason}", "前置连接断开：{reason}"),
    "heartbeat_warning": ("no message from the front for {e.Value} s", "{e.Value} 秒未收到前置报文"),
    "logged_in": ("logged in, trading day {text}", "登录成功，交易日 {text}"),
    "login_refused": ("login refused: {error}", "登录被拒绝：{error}"),
    "subscribed": ("subscribed, {e.Value} instruments acknowledged", "订阅完成，{e.Value} 个合约已确认"),
    "subscribe_refused": ("subscription of {text} refused: {error}", "合约 {text} 订阅被拒绝：{error}"),
    "unsubscribed": ("unsubscribed {text}", "已退订 {text}"),
    "error": ("error from the front: {error}", "前置返回错误：{error}"),
    "gave_up": ("gave up: {text}", "放弃登录：{text}"),
    "engine_lost": ("engine process lost (exit status {e.Value})", "引擎进程丢失（退出状态 {e.Value}）"),
    "engine_hung": (
        "engine process lost (exit status {e.Value}): it hung{where} for {e.Reason} s and was killed",
        "引擎进程丢失（退出状态 {e.Value}）：停滞{where} {e.Reason} 秒，已被终止",
    ),
    "engine_silent": (
        "engine process ended itself (exit status {e.Value}): no tick came",
        "引擎进程自行结束（退出状态 {e.Value}）：没有行情",
    ),
    "engine_stopped": ("engine stopped", "引擎已停止"),
    "ack_overdue": ("{e.Value} subscriptions not acknowledged in time", "{e.Value} 个订阅未按时确认"),
    "stale": ("no tick for {e.Value} s", "{e.Value} 秒没有行情"),
    "login_overdue": ("login not answered in time", "登录未按时得到应答"),
}


def disconnect_reason(reason: int, language: str = "en") -> str:
    """``"4097 (0x1001): network read failed…"``; *language* is ``"en"`` or ``"zh"``."""
    english, chinese = DISCONNECT_REASONS.get(reason, ("unknown reason", "未知原因"))
    return f"{reason} (0x{reason:04x}): {english if language == 'en' else chinese}"


def error_words(error_id: int, message: str = "", language: str = "en") -> str:
    """``"3 INVALID_LOGIN: wrong user or password"``, with the front's own words when there are any."""
    name, english, chinese = ERRORS.get(error_id, ("", "", ""))
    ours = english if language == "en" else chinese
    text = f"{error_id} {name}".rstrip() + (f": {ours}" if ours else "")
    return f"{text} ({message})" if message and message != ours else text


def event_text(event: Event, language: str) -> str:
    """An event in words."""
    name = event.name
    if name == "engine_lost":
        name = "engine_hung" if event.Reason > 0 else "engine_silent" if event.Value == EXIT_SILENT else name
    template = _EVENT_WORDS.get(name)
    if template is None:
        return event.name
    message = event.Text if event.name in ("login_refused", "error") else ""
    return template[0 if language == "en" else 1].format(
        e=event,
        text=event.Text,
        where=(f" in {event.Text}" if language == "en" else f"于 {event.Text}") if event.Text else "",
        reason=disconnect_reason(event.Reason, language),
        error=error_words(event.ErrorID, message, language),
    )


def decode(text: bytes, encoding: str = "gb18030") -> str:
    """Vendor text as ``str``: the one place where it is decoded.

    ASCII mostly, GB18030 otherwise (the vendor's; UTF-8 in texts of our own). A character that was cut at the
    array's end, or is none, becomes U+FFFD; what stands before and behind it stays. Never raises and needs no
    locale: the codec is Python's own.
    """
    return text.decode("ascii") if text.isascii() else text.decode(encoding, "replace")


def clean(text: str) -> str:
    """Without what a terminal would obey: texts come from fronts and from files."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def complain(why: object) -> None:
    """What a command cannot do, on stderr; there may be names of files and of instruments in it."""
    print(*map(clean, f"tickengine: {why}".splitlines()), sep="\n", file=sys.stderr)


texts: dict[bytes, str] = {}
"""Texts that come again and again, decoded: ids and days. The same `str` each time, so its hash is made once."""

_MOST_TEXTS = 65536  # more than there are instruments; beyond it, data is damaged


def remember(text: bytes) -> str:
    """`decode`, and into `texts`."""
    if len(texts) >= _MOST_TEXTS:
        texts.clear()
    decoded = texts[text] = sys.intern(decode(text))
    return decoded
