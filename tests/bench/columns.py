# SPDX-License-Identifier: Apache-2.0
"""The benchmark's tables, as text."""
from __future__ import annotations

from typing import Any

import targets
from cells import Figures
from lab import table

Row = dict[str, Any]
FAIR_PARTS = ("stream", "share", "attack", "many", "dns", "wait", "fair64")
FACTORS = (("rr_p50_us", "rr/stock"), ("short_p50_us", "short/stock"), ("add_p50_ms", "ADD/stock"),
           ("del_p50_ms", "DEL/stock"))


def late(figures: Figures, kind: str) -> str:
    """p99 in ms, or the maximum marked as such."""
    if figures[f"{kind}_p99_us"] is None:
        return "=" + table.milliseconds(figures[f"{kind}_max_us"])
    return table.milliseconds(figures[f"{kind}_p99_us"])


def part_of(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def times(figures: Figures, kind: str, title: str) -> dict[str, str]:
    return {f"{title} p50": table.milliseconds(figures[f"{kind}_p50_us"]), f"{title} p99": late(figures, kind)}


def change_columns(figures: Figures) -> dict[str, str]:
    titles = {"call_ms": "call", "from_call_ms": "from call", "from_return_ms": "from return",
              "after": "Mbit/s then", "drops_before": "drops before", "drops": "drops", "lost": "lost",
              "retransmits": "retr"}
    return {title: table.significant(figures[name]) if name in figures else "" for name, title in titles.items()}


def rest_columns(figures: Figures) -> dict[str, str]:
    shown = {name.removesuffix("_ms"): table.significant(figures[name])
             for name in ("samples", "p50_ms", "p99_ms", "max_ms")}
    more = ("body_kb", "requests_per_second", "natrad_cpu", "client_cpu", "changes_per_second",
            "churned_per_second", "rss_before_mib", "rss_after_mib")
    titles = ("body kB", "req/s", "natrad CPU", "client CPU", "changes/s", "churned/s", "RSS MiB", "after")
    return shown | {title: table.significant(figures[name]) if name in figures else ""
                    for title, name in zip(titles, more)}


def fair_columns(part: str, figures: Figures) -> dict[str, str]:
    """Of the parts about fairness between flows of every kind."""
    number = table.significant
    if part in ("stream", "share"):
        return {"UDP Mbit/s": number(figures["stream_rate"] / 1e6 if figures["stream_rate"] else None),
                "arrived": f"{100 * (figures['arrived'] or 0):.2f} %", **times(figures, "delay", "delay"),
                "idle p50": table.milliseconds(figures["idle_p50_us"]),
                "p99": table.milliseconds(figures["idle_p99_us"]), "reordered": number(figures["reordered"]),
                "total": part_of(figures["total"]), "goodput": part_of(figures["goodput"])}
    if part == "attack":
        return {"TCP/fair": part_of(figures["tcp_of_fair"]), "udp": part_of(figures["udp"]),
                "total": part_of(figures["total"]), **times(figures, "rr", "rr"),
                "before": table.milliseconds(figures["before_rr_p50_us"]), "p99": late(figures, "before_rr")}
    if part == "dns":
        return {"sent": number(figures["sent"]), "lost": number(figures["unanswered"]),
                **{f"{size} B lost": f"{figures[f'unanswered_{size}']:.0f}/{figures[f'sent_{size}']:.0f}"
                   for size in (600, 1200)},
                **{f"{size} B p50": table.milliseconds(figures[f"dns_{size}_p50_us"]) for size in (600, 1200)},
                **{f"{size} B max": table.milliseconds(figures[f"dns_{size}_max_us"]) for size in (600, 1200)}}
    if part == "fair64":
        return {"total": part_of(figures["total"]), "goodput": part_of(figures["goodput"]),
                "retr": number(figures["retransmits"]), "Jain": part_of(figures["jain"])}
    kind = "short" if part == "many" else "wait"
    out = {**times(figures, kind, kind), "total": part_of(figures["total"]), "goodput": part_of(figures["goodput"]),
           "retr": f"{figures['retransmits']:.0f}", "Jain": part_of(figures["jain"])}
    return out | ({"unfinished": number(figures["short_unfinished"])} if part == "many" else {})


def columns(part: str, figures: Figures) -> dict[str, str]:
    number = table.significant
    if part in FAIR_PARTS:
        return fair_columns(part, figures)
    if part == "idle":
        return times(figures, "rr", "rr") | times(figures, "short", "short")
    if part == "change":
        return change_columns(figures)
    if part == "rest":
        return rest_columns(figures)
    if part in ("verbs", "boot"):
        return {name.replace("_", " "): number(value) for name, value in figures.items() if name != "samples"}
    share = {name: part_of(figures.get(name)) for name in ("total", "goodput")}
    if part == "fairness":
        return {**share, "retr": f"{figures['retransmits']:.0f}", "Jain": f"{figures['jain']:.3f}",
                "each cubic": f"{figures['share_cubic']:.3f}", "each bbr": f"{figures['share_bbr']:.3f}"}
    out = dict(share)
    if part == "flood":
        out["udp"] = f"{figures['udp']:.3f}"
    if part in ("flood", "burst"):
        out["1st second"] = number(figures["first_second"])
    if part in ("load", "burst"):
        out |= {"retr": f"{figures['retransmits']:.0f}", "Jain": f"{figures['jain']:.3f}"}
    out |= times(figures, "rr", "rr")
    if part in ("load", "burst"):
        out |= times(figures, "short", "short")
    return out


def place_of(part: str, row: Row) -> dict[str, str]:
    """Columns that say where a row was measured."""
    if part in ("verbs", "boot"):
        return {"limiter": row["limiter"], "pods": str(row["pods"])}
    if part == "idle":
        return {"limiter": row["limiter"]}
    if part == "change":
        return {"direction": row["direction"], "traffic": row["kind"], "over": row["way"], "Mbit/s": row["change"]}
    if part == "rest":
        return {"pods": str(row["pods"]), "every ms": str(row["interval_ms"] or "-"), "path": row["path"] or "all"}
    place = {"limiter": row["limiter"], "direction": row["direction"], "Mbit/s": f"{row['rate'] / 10**6:g}",
             "cc": row["congestion_control"], "flows": str(row["flows"] or "")}
    if part == "attack":
        place["UDP"] = row["traffic"]
    if part == "dns":
        place["limited"] = row["traffic"]
    return place


def print_part(part: str, rows: list[Row]) -> None:
    lines: list[list[str]] = []
    for row in rows:
        factors = row.get("to_stock", {})
        relation = {title: table.significant(factors.get(name), 2) for name, title in FACTORS
                    if any(name in each.get("to_stock", {}) for each in rows)}
        if any("behind_cake" in each for each in rows):
            relation["behind CAKE"] = ", ".join(row.get("behind_cake", []))
        cells_of_row = {**place_of(part, row), **columns(part, row["figures"]), **relation,
                        "target": row.get("target", "")}
        if not lines:
            lines.append(list(cells_of_row))
        lines.append(list(cells_of_row.values()))
    print(f"\n== {part}\n{table.render(lines)}", flush=True)


def bound_of(target: targets.Target) -> str:
    unit = target.unit
    if target.least and target.most == targets.NO_BOUND:
        return f"at least {table.significant(target.least)} {unit}".rstrip()
    bound = f"{table.significant(target.least)} to " if target.least else "at most "
    return f"{bound}{table.significant(target.most)} {unit}".rstrip()


def print_summary(checks: dict[str, list[targets.Check]]) -> None:
    lines = [["part", "target", "", "worst of natra's rows", "of the bound", ""]]
    for part, all_of_part in checks.items():
        for each in targets.worst(all_of_part):
            lines.append([part, each.target.name, bound_of(each.target),
                          f"{'=' if each.by_stand_in else ''}{table.significant(each.value)} "
                          f"{each.target.unit}".rstrip(),
                          f"{each.factor:.2f}", "ok" if each.met else "MISS"])
    if len(lines) > 1:
        print(f"\n== targets\n{table.render(lines, left=2)}", flush=True)
