# SPDX-License-Identifier: Apache-2.0
"""A private D-Bus daemon and calls on it through busctl."""
from __future__ import annotations

import json
import re
import shlex
import time
from pathlib import Path
from typing import Any

from . import process

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
    <allow user="*"/>
  </policy>
</busconfig>
"""


class BusError(RuntimeError):
    """An error answer. name is D-Bus' ("io.natra.Error.NotFound"), str() its message."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class Bus:
    def __init__(self, folder: Path) -> None:
        self._socket = folder / "bus"
        self._config = folder / "bus.conf"
        self._config.write_text(CONFIG.format(socket=self._socket))
        self._daemon: process.Background | None = None
        self.start()

    @property
    def address(self) -> str:
        return f"unix:path={self._socket}"

    def start(self) -> None:
        self._daemon = process.Background(
            ["dbus-daemon", f"--config-file={self._config}", "--nofork", "--nopidfile",
             "--print-address=1"])
        if not self._daemon.first_line():
            self._daemon.stop()
            raise RuntimeError(f"dbus-daemon did not start with {self._config}")

    def stop(self) -> None:
        if self._daemon is not None:
            self._daemon.stop()
            self._daemon = None
        self._socket.unlink(missing_ok=True)

    def program(self) -> list[str]:
        """busctl on this bus."""
        return ["busctl", f"--address={self.address}"]

    def busctl(self, *arguments: str, timeout: float = 30, user: int | None = None) -> Any:
        """busctl's JSON answer; None if it printed nothing; as this user, if one is given. Raises BusError."""
        argv = [*self.program(), "--json=short", *arguments]
        if user is not None:
            argv = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *argv]
        # The error's name is only in sd-bus' debug log.
        done = process.run(argv, timeout=timeout, check=False,
                           env={"SYSTEMD_LOG_LEVEL": "debug", "SYSTEMD_LOG_TARGET": "console",
                                "SYSTEMD_LOG_COLOR": "0"})
        if done.returncode != 0:
            names = re.findall(r"type=error .*?error-name=(\S+)", done.stderr)
            said = re.findall(r"^(?:Call failed|Failed to [^:]*): (.*)$", done.stderr, re.MULTILINE)
            raise BusError(names[-1] if names else "", said[-1] if said else done.stderr[-500:])
        return json.loads(done.stdout) if done.stdout.strip() else None

    def call(self, service: str, path: str, interface: str, method: str, signature: str = "",
             *arguments: object, timeout: float = 30, user: int | None = None,
             interactive: bool = True) -> list[Any]:
        """The answer's arguments; interactive: polkit may ask for a password. Raises BusError."""
        words = [signature, *map(str, arguments)] if signature else []
        asking = f"--allow-interactive-authorization={'yes' if interactive else 'no'}"
        answer = self.busctl(asking, "call", service, path, interface, method, "--", *words, timeout=timeout,
                             user=user)
        return answer["data"] if answer else []

    def monitor(self, service: str, into: Path, timeout: float = 10) -> process.Background:
        """Writes the signals of a service into a file, each a line of JSON. Returns when it listens."""
        match = f"type='signal',sender='{service}'"
        said = into.with_suffix(".log")
        into.touch()
        shell = 'exec "$0" "$@" >' + shlex.quote(str(into))
        out = process.Background(["sh", "-c", shell, *self.program(), "--json=short", f"--match={match}", "monitor"], log=said)
        deadline = time.monotonic() + timeout
        while "Monitoring" not in said.read_text() + into.read_text():
            if not out.running() or time.monotonic() > deadline:
                out.stop()
                raise RuntimeError(f"busctl does not listen: {said.read_text()}")
            time.sleep(0.02)
        return out

    def properties(self, service: str, path: str, interface: str) -> dict[str, Any]:
        answer = self.call(service, path, "org.freedesktop.DBus.Properties", "GetAll", "s", interface)
        return {name: value["data"] for name, value in answer[0].items()}

    def tree(self, service: str) -> list[str]:
        argv = [*self.program(), "--list", "tree", service]
        done = process.run(argv, check=False)
        # An object may go between the walk and the look at it; busctl tells the rest all the same.
        if done.returncode != 0 and not all("Unknown object" in line for line in done.stderr.splitlines()):
            raise process.CommandError(argv, done.returncode, done.stdout, done.stderr)
        return done.stdout.split()

    def has_owner(self, name: str) -> bool:
        daemon = "org.freedesktop.DBus"
        return bool(self.call(daemon, "/org/freedesktop/DBus", daemon, "NameHasOwner", "s", name)[0])
