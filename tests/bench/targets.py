# SPDX-License-Identifier: Apache-2.0
"""The design's targets for natra, checked against measured figures."""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from cells import Figures


@dataclasses.dataclass(frozen=True)
class Target:
    name: str
    figure: str
    most: float
    least: float = 0.0
    stand_in: str = ""  # judged instead, and stricter, where the samples were too few


@dataclasses.dataclass(frozen=True)
class Check:
    target: Target
    value: float | None
    by_stand_in: bool

    @property
    def factor(self) -> float:
        """How far over the upper or under the lower bound, whichever is worse; at most 1 is met."""
        if self.value is None:
            return float("inf")
        over = self.value / self.target.most if self.target.most else float("inf") if self.value else 0.0
        under = self.target.least / self.value if self.value else float("inf")
        return max(over, under if self.target.least else 0.0)

    @property
    def met(self) -> bool:
        return self.factor <= 1

    def miss(self) -> str:
        if self.value is None:
            return f"{self.target.name} unknown"
        return f"{self.target.name}{'=' if self.by_stand_in else ''} x{self.factor:.2f}"


def load_targets(shaper: str) -> list[Target]:
    """shaper: what natrad reported for the direction."""
    total = Target("total", "total", 0.97, 0.95)
    if shaper == "edt":
        return [total, Target("rr p50", "rr_p50_us", 500)]
    if shaper == "police":
        return [Target("total", "total", 1.05)]
    return [total, Target("rr p50", "rr_p50_us", 50), Target("rr p99", "rr_p99_us", 500, stand_in="rr_max_us"),
            Target("short p50", "short_p50_us", 600), Target("short p99", "short_p99_us", 5000, stand_in="short_max_us")]


BURST = [Target("first second", "first_second", 1.1)]
FLOOD = [Target("total", "total", 1.01)]
CHANGE = [Target("in force after", "from_return_ms", 100)]
NO_DROPS = [Target("drops of what is below", "drops", 0)]
REST = [Target("REST p99", "p99_ms", 50, stand_in="max_ms")]
FAIRNESS = [Target("Jain", "jain", 1.0, 0.95)]


def verb_targets(stock: Figures) -> list[Target]:
    return [Target("ADD p50", "add_p50_ms", stock["add_p50_ms"] or 0),
            Target("DEL p50", "del_p50_ms", 0.2 * (stock["del_p50_ms"] or 0))]


def check(figures: Figures, targets: Sequence[Target]) -> list[Check]:
    out = []
    for target in targets:
        value = figures.get(target.figure)
        stand_in = value is None and bool(target.stand_in)
        out.append(Check(target, figures.get(target.stand_in) if stand_in else value, stand_in))
    return out


def verdict(checks: Sequence[Check]) -> str:
    """ "ok", or what misses and by which factor."""
    misses = [each.miss() for each in checks if not each.met]
    return "miss: " + ", ".join(misses) if misses else "ok" if checks else ""


def worst(checks: Sequence[Check]) -> list[Check]:
    """Of each target the check that is furthest out, in the targets' order."""
    out: dict[str, Check] = {}
    for each in checks:
        if each.target.name not in out or each.factor > out[each.target.name].factor:
            out[each.target.name] = each
    return list(out.values())
