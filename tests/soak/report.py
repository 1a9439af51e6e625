"""What a run tells: lines while it goes, a summary, JSON and Markdown."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from .leaks import Series
from .plan import KINDS, Plan

LAST_FAULTS = 6
MOST_WRONGS = 50


class Report:
    """Collects; prints what must be seen at once."""

    def __init__(self, plan: Plan, command: str) -> None:
        self.plan = plan
        self.command = command
        self.began = time.time()
        self._start = time.monotonic()
        self.round = 0
        self.faults: list[dict[str, Any]] = []
        self.wrongs: list[dict[str, Any]] = []
        self.rounds: list[dict[str, Any]] = []
        self.series: list[Series] = []
        self.checkpoints = 0
        self.interrupted = False

    @property
    def now(self) -> float:
        return time.monotonic() - self._start

    def say(self, text: str) -> None:
        print(f"{int(self.now) // 60:3d}:{int(self.now) % 60:02d}  {text}", flush=True)

    def begin(self, lane: str, kind: str, args: dict[str, Any]) -> dict[str, Any]:
        fault = {
            "at": round(self.now, 2),
            "round": self.round,
            "lane": lane,
            "kind": kind,
            "args": args,
            "seconds": None,
            "end": "under way",
        }
        self.faults.append(fault)
        return fault

    def end(self, fault: dict[str, Any], how: str) -> None:
        fault["seconds"] = round(self.now - fault["at"], 2)
        fault["end"] = how

    def wrong(self, text: str) -> None:
        """A violation: said at once, with what happened last."""
        last = [f"{f['at']:.1f} s {f['kind']} {f['args']} ({f['end']})" for f in self.faults[-LAST_FAULTS:]]
        self.wrongs.append({"at": round(self.now, 2), "round": self.round, "what": text, "last_faults": last})
        if len(self.wrongs) <= MOST_WRONGS:
            self.say(f"WRONG in round {self.round}, seed {self.plan.seed}: {text}")
            for line in last:
                print(f"          after {line}", flush=True)

    # ---- at the end ----------------------------------------------------------------------------------------

    def kinds(self) -> dict[str, dict[str, Any]]:
        """Per kind: how often planned, done, and how long until mended."""
        planned = Counter(step.kind for r in self.plan.rounds for step in (*r.feed, *r.crew))
        found = {}
        for kind in KINDS:
            mine = [f for f in self.faults if f["kind"] == kind]
            times = [f["seconds"] for f in mine if f["end"] == "mended"]
            if planned[kind]:
                found[kind] = {
                    "planned": planned[kind],
                    "begun": len(mine),
                    "mended": len(times),
                    "median_s": round(statistics.median(times), 2) if times else None,
                    "longest_s": max(times, default=None),
                }
        return found

    def total(self, name: str) -> int:
        return sum(int(r[name]) for r in self.rounds)

    def data(self) -> dict[str, Any]:
        return {
            "seed": self.plan.seed,
            "command": self.command,
            "machine": machine(),
            "began": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.began)),
            "seconds": round(self.now, 1),
            "interrupted": self.interrupted,
            "checkpoints": self.checkpoints,
            "totals": {
                name: self.total(name)
                for name in ("promised", "written", "undelivered", "received", "lost", "skipped", "taken", "restarts")
            },
            "kinds": self.kinds(),
            "rounds": self.rounds,
            "series": [
                {
                    **dataclasses.asdict(s),
                    "growth": {name: dataclasses.asdict(g) for name, g in s.growths().items()},
                }
                for s in self.series
            ],
            "wrong": self.wrongs,
            "faults": self.faults,
            "plan": dataclasses.asdict(self.plan),
        }

    def summary(self) -> str:
        t = self.data()["totals"]
        lines = [
            "",
            f"seed {self.plan.seed}, {self.now / 60:.1f} minutes, {len(self.rounds)} rounds, "
            f"{self.checkpoints} balances" + (", interrupted" if self.interrupted else ""),
            f"ticks: the front sent {t['promised']:,}, the log has {t['written']:,}; {t['undelivered']:,} died with "
            "cut connections",
            f"readers: {t['received']:,} received + {t['lost']:,} lost + {t['skipped']:,} skipped "
            f"= all that was written for them; killed workers took {t['taken']:,} with them",
            f"engine started again {t['restarts']} times",
            "",
            f"{'fault':26s}{'begun':>7s}{'mended':>8s}{'median s':>10s}{'longest s':>11s}",
        ]
        lines += [
            f"{kind:26s}{k['begun']:7d}{k['mended']:8d}{_text(k['median_s']):>10s}{_text(k['longest_s']):>11s}"
            for kind, k in self.kinds().items()
        ]
        for label, name, g in self.growths():
            lines.append(f"{label}: {name} {g.first:g} -> {g.last:g}, {g.per_hour:+.1f} an hour")
        lines.append("")
        lines.append(f"{len(self.wrongs)} violations" if self.wrongs else "nothing was wrong")
        return "\n".join(lines)

    def growths(self) -> list[tuple[str, str, Any]]:
        """All that were judged; of the readers, who are many, the ones that grew most."""
        found: list[tuple[str, str, Any]] = []
        most: dict[str, tuple[str, str, Any]] = {}
        for series in self.series:
            for name, g in series.growths().items():
                if series.what != "reader":
                    found.append((series.label, name, g))
                elif name not in most or g.last - g.first > most[name][2].last - most[name][2].first:
                    most[name] = (series.label, name, g)
        return [*found, *most.values()]

    def markdown(self) -> str:
        data = self.data()
        t, m = data["totals"], data["machine"]
        lines = [
            f"{self.now / 60:.0f} minutes, {len(self.rounds)} engines one after the other, "
            f"{self.checkpoints} balances, seed {self.plan.seed}. {m['cpu']}, {m['cpus']} CPUs, {m['system']}, "
            f"Python {m['python']}; tickengine {m['commit']}.",
            "",
            "```",
            self.command,
            "```",
            "",
            "| ticks | |",
            "| --- | ---: |",
            f"| sent by the front | {t['promised']:,} |",
            f"| written to the log | {t['written']:,} |",
            f"| died with cut connections | {t['undelivered']:,} |",
            f"| received by all readers | {t['received']:,} |",
            f"| lost by readers that were overtaken, counted | {t['lost']:,} |",
            f"| skipped as asked | {t['skipped']:,} |",
            f"| in the hands of killed workers | {t['taken']:,} |",
            f"| violations | {len(self.wrongs)} |",
            "",
            "| fault | done | mended | median s | longest s |",
            "| --- | ---: | ---: | ---: | ---: |",
        ]
        lines += [
            f"| {kind} | {k['begun']} | {k['mended']} | {_text(k['median_s'])} | {_text(k['longest_s'])} |"
            for kind, k in data["kinds"].items()
        ]
        lines += ["", f"The engine process was started again {t['restarts']} times.", ""]
        lines += [
            "| round | reader | filter | received | lost | skipped | killed |",
            "| ---: | --- | --- | ---: | ---: | ---: | ---: |",
        ]
        for r in self.rounds:
            lines += [
                f"| {r['round']} | {q['name']} ({q['style']}, {q['wait']}) | {q['filter']} | {q['received']:,} | "
                f"{q['lost']:,} | {q['skipped']:,} | {q['kills']} |"
                for q in r["readers"]
            ]
        lines += ["", "| process | what | first third | last third | an hour |", "| --- | --- | ---: | ---: | ---: |"]
        lines += [
            f"| {label} | {name} | {g.first:g} | {g.last:g} | {g.per_hour:+.1f} |" for label, name, g in self.growths()
        ]
        lines += ["", *[f"- {w['at']} s: {w['what']}" for w in self.wrongs]]
        return "\n".join(lines) + "\n"

    def write(self, json_path: str | None, markdown_path: str | None) -> None:
        if json_path:
            Path(json_path).write_text(json.dumps(self.data(), indent=1))
        if markdown_path:
            Path(markdown_path).write_text(self.markdown())


def _text(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f}"


def machine() -> dict[str, Any]:
    cpu = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    here = os.path.dirname(os.path.abspath(__file__))
    git = subprocess.run(
        ["git", "-C", here, "describe", "--always", "--dirty=+"], capture_output=True, text=True, check=False
    )
    return {
        "cpu": cpu,
        "cpus": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": git.stdout.strip() or "without git",
        "argv": sys.argv[1:],
    }
