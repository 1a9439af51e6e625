"""The public surface is what `__all__` says, documented, and free of a second truth."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import tickengine
from tickengine import MdApi, TickEngine, TraderApi, _shim
from tickengine.trader.vendor_td import REQUESTS
from tickengine.words import EVENT_CODES

HEADER = Path(__file__).parents[2] / "shim" / "include" / "tickshim.h"


def test_all_names_exist_and_are_documented() -> None:
    assert sorted(tickengine.__all__) == sorted(set(tickengine.__all__))
    for name in tickengine.__all__:
        thing = getattr(tickengine, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), name
            for method, function in inspect.getmembers(thing, inspect.isfunction):
                if not method.startswith("_") and function.__module__.startswith("tickengine"):
                    assert inspect.getdoc(function), f"{name}.{method}"


def test_mdapi_and_engine_take_algoplus_arguments_in_its_order() -> None:
    order = [
        *("md_server", "broker_id", "investor_id", "password", "app_id", "auth_code"),
        *("instrument_id_list", "md_queue_list", "page_dir", "using_udp", "multicast"),
    ]
    for cls in (MdApi, TickEngine):
        parameters = [p for n, p in inspect.signature(cls.__init__).parameters.items() if n != "self"]
        positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert positional == order


def test_traderapi_takes_algoplus_arguments_in_its_order() -> None:
    parameters = inspect.signature(TraderApi.__init__).parameters.values()
    positional = [p.name for p in parameters if p.name != "self" and p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == [
        *("broker_id", "td_server", "investor_id", "password", "app_id", "auth_code"),
        *("md_queue", "flow_path", "private_resume_type", "public_resume_type"),
    ]


def test_every_query_has_its_callback_and_its_request() -> None:
    requests = {name for name in vars(TraderApi) if name.startswith("ReqQry")}
    assert requests == {name for name in REQUESTS if name.startswith("ReqQry")}
    assert {name.replace("Req", "OnRsp") for name in requests} == {n for n in vars(TraderApi) if "OnRspQry" in n}


def test_every_function_of_the_header_is_bound_and_no_other() -> None:
    text = HEADER.read_text()
    declared = set(re.findall(r"TK_API [^;(]*?\b(tk_\w+)\(", text))
    assert declared == {name for name, _, _ in _shim._TABLE}


def test_event_codes_are_the_headers() -> None:
    declared = {name.lower(): int(code) for name, code in re.findall(r"TK_EV_(\w+) = (\d+)", HEADER.read_text())}
    assert declared == EVENT_CODES


def test_structures_of_the_binding_have_the_sizes_of_the_header(tmp_path: Path) -> None:
    import ctypes
    import subprocess

    pairs = {
        "tk_log_info": _shim.LogInfo,
        "tk_instrument": _shim.Instrument,
        "tk_reader_info": _shim.ReaderInfo,
        "tk_latency": _shim.LatencyTable,
        "tk_queue_info": _shim.QueueInfo,
        "tk_take": _shim.Take,
        "tk_product_rule": _shim.ProductRule,
        "tk_vendor_info": _shim.VendorInfo,
        "tk_callback": _shim.Callback_,
        "tk_forwarder_info": _shim.ForwarderInfo,
    }
    source = tmp_path / "sizes.c"
    lines = []
    for name, structure in pairs.items():
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        for field, *_ in structure._fields_:
            lines.append(f'printf("{name}.{field} %zu\\n", offsetof({name}, {field}));')
    includes = "#include <stddef.h>\n#include <stdio.h>\n"
    body = "".join(lines)
    source.write_text(f'{includes}#include "{HEADER}"\nint main(void) {{ {body} return 0; }}\n')
    subprocess.run(["gcc", str(source), "-o", str(tmp_path / "sizes")], check=True)
    printed = subprocess.run([str(tmp_path / "sizes")], capture_output=True, text=True, check=True).stdout
    expected = {}
    for name, structure in pairs.items():
        expected[name] = ctypes.sizeof(structure)
        for field, *_ in structure._fields_:
            expected[f"{name}.{field}"] = getattr(structure, field).offset
    assert {line.split()[0]: int(line.split()[1]) for line in printed.splitlines()} == expected
