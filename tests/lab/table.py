# SPDX-License-Identifier: Apache-2.0
"""Text tables, and numbers as people read them."""
from __future__ import annotations

from collections.abc import Sequence


def render(rows: Sequence[Sequence[str]], *, headings: int = 1, left: int = 1) -> str:
    """Columns as wide as needed, the first `left` of them left-aligned, a rule under the headings."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) if i < left else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
        if number + 1 == headings:
            lines.append("-" * (sum(widths) + 2 * (len(widths) - 1)))
    return "\n".join(lines)


def significant(value: float | None, digits: int = 3) -> str:
    """Three digits that mean something and no exponent: 0.0312, 4.27, 1830. "-" for None."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits}g}")
    if abs(rounded) >= 10 ** (digits - 1):
        return f"{rounded:.0f}"
    text = f"{rounded:.{digits + 3}f}".rstrip("0")
    return text + "0" if text.endswith(".") else text


def milliseconds(microseconds: float | None) -> str:
    return significant(None if microseconds is None else microseconds / 1000)
