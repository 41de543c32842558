# SPDX-License-Identifier: Apache-2.0
"""The machine that this runs on, in the place of one that is booted for it."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from machine import ENVIRONMENT, TRAFFIC, Machine, wait_for


class ThisMachine(Machine):
    def __init__(self) -> None:
        super().__init__(Path("/"), Path("/run"), TRAFFIC)
        self.leader = 1

    def boot(self) -> None:
        wait_for("the end of the boot", self._has_booted, 300)

    def power_off(self) -> None:
        """The next class finds it running."""

    def command(self, argv: Sequence[str]) -> list[str]:
        return ["env", *(f"{name}={value}" for name, value in ENVIRONMENT.items()), *argv]
