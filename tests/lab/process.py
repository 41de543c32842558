# SPDX-License-Identifier: Apache-2.0
"""Child processes, bounded in time."""
from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any


class CommandError(RuntimeError):
    """A command that failed; str() has the command and what it said."""

    def __init__(self, argv: Sequence[str], status: int | None, out: str, err: str) -> None:
        said = (err.strip() or out.strip())[-2000:]
        how = "did not end in time" if status is None else f"exit status {status}"
        super().__init__(f"{' '.join(argv)}: {how}: {said}")
        self.status = status
        self.out = out
        self.err = err


def run(argv: Sequence[str], *, timeout: float = 30, check: bool = True, stdin: str = "",
        env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs to the end. Raises CommandError at the timeout and, with check, for a bad status."""
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout,
                              env=merged(env), start_new_session=True, check=False)
    except subprocess.TimeoutExpired as e:
        raise CommandError(argv, None, text_of(e.stdout), text_of(e.stderr)) from None
    if check and done.returncode != 0:
        raise CommandError(argv, done.returncode, done.stdout, done.stderr)
    return done


class Background:
    """A process that runs until it ends or is stopped; it dies with this one.

    A session of its own keeps a terminal's Ctrl-C away from it: cleaning up is
    this process' business and needs it alive until then.
    """

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None,
                 log: Path | None = None, stdin: int = subprocess.DEVNULL) -> None:
        self.argv = list(argv)
        with contextlib.ExitStack() as files:
            err: Any = subprocess.PIPE
            if log is not None:
                err = files.enter_context(log.open("ab"))
            self._child = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *argv], stdin=stdin, stdout=subprocess.PIPE,
                stderr=err, env=merged(env), start_new_session=True, text=True)

    @property
    def pid(self) -> int:
        return self._child.pid

    def running(self) -> bool:
        return self._child.poll() is None

    def fate(self) -> str:
        """"running", "exit status 1" or "killed by SIGSEGV"."""
        status = self._child.poll()
        if status is None:
            return "running"
        return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"

    def first_line(self) -> str:
        """The first line of its standard output; empty if it ended without one."""
        assert self._child.stdout is not None
        return self._child.stdout.readline()

    def result(self, timeout: float) -> Any:
        """Waits for its end; its standard output as JSON. Raises CommandError."""
        try:
            out, err = self._child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise CommandError(self.argv, None, "", "") from None
        if self._child.returncode != 0:
            raise CommandError(self.argv, self._child.returncode, out or "", err or "")
        return json.loads(out)

    def stop(self, timeout: float = 10) -> int:
        """SIGTERM, and SIGKILL if that does not help in time. The exit status as subprocess has it."""
        if self.running():
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
        self._close()
        return self._child.returncode

    def signal(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def kill(self) -> None:
        if self.running():
            self._child.kill()
        self._child.wait(10)
        self._close()

    def _close(self) -> None:
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            if pipe is not None:
                pipe.close()


def merged(env: Mapping[str, str] | None) -> dict[str, str]:
    """This process' environment with the C locale and these variables."""
    return {**os.environ, "LC_ALL": "C", **(env or {})}


def text_of(data: bytes | str | None) -> str:
    return data.decode(errors="replace") if isinstance(data, bytes) else data or ""


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt like Ctrl-C does, so that `with` blocks clean up.

    SIGINT too, where it was ignored: a shell does that to what it starts in the background.
    """
    def interrupt(number: int, _frame: object) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = {each: signal.signal(each, interrupt) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Signals wait until the block is done: an impatient second Ctrl-C must not stop the cleanup."""
    held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        # Children inherit the mask, and what came meanwhile has been answered by the cleanup.
        while signal.sigtimedwait(held, 0) is not None:
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
