# SPDX-License-Identifier: Apache-2.0
"""What is built up in steps and is taken down whole, also when a step failed."""
from __future__ import annotations

import abc
from types import TracebackType
from typing import Self

from . import process


class Built(abc.ABC):
    """with Derived(...) as thing: ... Taking down waits for no signal and is not stopped by one."""

    @abc.abstractmethod
    def _build_up(self) -> None: ...

    @abc.abstractmethod
    def _take_down(self) -> None:
        """Called after a _build_up() that failed half-way, too."""

    def __enter__(self) -> Self:
        try:
            self._build_up()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        with process.uninterrupted():
            self._take_down()
