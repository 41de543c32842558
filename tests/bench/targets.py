# SPDX-License-Identifier: Apache-2.0
"""The design's targets for natra, checked against measured figures."""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from cells import Figures
from lab import table


NO_BOUND = float("inf")


@dataclasses.dataclass(frozen=True)
class Target:
    name: str
    figure: str
    most: float
    least: float = 0.0
    stand_in: str = ""  # judged instead, and stricter, where the samples were too few

    @property
    def unit(self) -> str:
        return "us" if self.figure.endswith("_us") else "ms" if self.figure.endswith("_ms") else ""


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
        # A figure below its base is negative, and met.
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
FAIRNESS = [Target("Jain", "jain", 1.0, 0.97)]
FAIRNESS_64 = [Target("Jain", "jain", 1.0, 0.95)]
STREAM = [Target("arrived", "arrived", 1.0, 0.995),
          Target("delay p50 over idle", "delay_over_p50_us", 200),
          Target("delay p99 over idle", "delay_over_p99_us", 3000, stand_in="delay_over_max_us")]
SHARE = [Target("arrived", "arrived", 1.0, 0.95)]
ATTACK = [Target("TCP of its fair share", "tcp_of_fair", NO_BOUND, 0.75), Target("total", "total", 1.01),
          Target("rr p50 over before", "rr_over_p50_us", 200),
          Target("rr p99 over before", "rr_over_p99_us", 3000, stand_in="rr_over_max_us")]


def many_targets(stock: Figures | None) -> list[Target]:
    out = [Target("short p50", "short_p50_us", 10_000)]
    if stock is not None:
        slow = stock["short_p99_us"] or stock["short_max_us"] or 0
        out.append(Target("short p99 to stock's", "short_p99_us", 0.3 * slow, stand_in="short_max_us"))
    return out


def dns_targets(stock: Figures | None) -> list[Target]:
    """The stock plugin's loss, if it was measured, else none."""
    return [Target("lost", "lost_share", (stock or {}).get("lost_share") or 0)]


def wait_targets(stock: Figures | None) -> list[Target]:
    out = [Target("wait p50", "wait_p50_us", 20_000)]
    if stock is not None:
        out.append(Target("goodput to stock's", "goodput", NO_BOUND, 0.99 * (stock["goodput"] or 0)))
    return out


def verb_targets(stock: Figures | None) -> list[Target]:
    if stock is None:
        return []
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


# Figures in which CAKE may be better, each with what difference means nothing: a part of it, and an absolute one. Of
# these more is better.
MORE_IS_BETTER = {"arrived": 0.002, "tcp_of_fair": 0.03, "goodput": 0.01, "jain": 0.02}
LESS_IS_BETTER = {"delay_p50_us": 200, "delay_p99_us": 1000, "rr_p50_us": 100, "rr_p99_us": 500, "short_p50_us": 500,
                  "short_p99_us": 2000, "wait_p50_us": 1000, "lost_share": 0.02, "dns_600_p50_us": 1000,
                  "dns_1200_p50_us": 1000}


def behind(ours: Figures, cake: Figures) -> list[str]:
    """The figures in which natra is worse than CAKE by more than a tenth and by more than the noise."""
    out = []
    for names, sign in ((MORE_IS_BETTER, -1), (LESS_IS_BETTER, 1)):
        for name, noise in names.items():
            mine, theirs = ours.get(name), cake.get(name)
            if mine is None or theirs is None:
                continue
            by = sign * (mine - theirs)
            if by > noise and (sign < 0 or by > 0.1 * theirs):
                out.append(f"{name.removesuffix('_us')} {shown(name, mine)} to {shown(name, theirs)}")
    return out


def shown(name: str, value: float) -> str:
    return table.milliseconds(value) + " ms" if name.endswith("_us") else f"{value:.3f}"
