# SPDX-License-Identifier: Apache-2.0
"""Network namespaces.

Made by `ip netns` so that they have a path; entered by nsenter, because
`ip netns exec` mounts another /sys, in which pinned BPF objects are not.
"""
from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import process

FOLDER = Path("/run/netns")


class Namespace:
    def __init__(self, name: str) -> None:
        self.name = name
        process.run(["ip", "netns", "add", name])
        try:
            self.run(["ip", "link", "set", "lo", "up"])
        except BaseException:
            self.delete()
            raise

    @classmethod
    def existing(cls, path: str) -> Namespace:
        """One that another program made, and removes."""
        if Path(path).resolve().parent != FOLDER.resolve():
            raise ValueError(f"{path} is not in {FOLDER}")
        self = cls.__new__(cls)
        self.name = Path(path).name
        return self

    @property
    def path(self) -> str:
        return str(FOLDER / self.name)

    def exists(self) -> bool:
        return (FOLDER / self.name).exists()

    def command(self, argv: Sequence[str]) -> list[str]:
        return ["nsenter", f"--net={self.path}", "--", *argv]

    def run(self, argv: Sequence[str], *, timeout: float = 30, check: bool = True, stdin: str = "",
            env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return process.run(self.command(argv), timeout=timeout, check=check, stdin=stdin, env=env)

    def start(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None,
              log: Path | None = None, stdin: int = subprocess.DEVNULL) -> process.Background:
        return process.Background(self.command(argv), env=env, log=log, stdin=stdin)

    def json(self, argv: Sequence[str]) -> Any:
        return json.loads(self.run(argv).stdout or "[]")

    def has_file(self, path: Path) -> bool:
        return path.is_file()

    def sysctl(self, name: str, value: object) -> None:
        self.sysctls({name: value})

    def sysctls(self, values: Mapping[str, object]) -> None:
        # As files: sysctl(8) is one more package. In one process: they are slow to start in an emulated machine.
        words = [word for name, value in values.items() for word in (str(value), f"/proc/sys/{name.replace('.', '/')}")]
        self.run(["sh", "-ec", 'while [ $# -gt 0 ]; do echo "$1" > "$2"; shift 2; done', "sh", *words])

    def links(self) -> list[str]:
        return [link["ifname"] for link in self.json(["ip", "-json", "link", "show"])]

    def qdiscs(self, device: str) -> list[dict[str, Any]]:
        """What was installed; the kernel's own noqueue is not listed."""
        found = self.json(["tc", "-json", "qdisc", "show", "dev", device])
        return [qdisc for qdisc in found if qdisc["kind"] != "noqueue"]

    def filters(self, device: str, hook: str) -> list[dict[str, Any]]:
        """hook: "ingress", "egress" (of a clsact qdisc) or "root"."""
        where = [] if hook == "root" else [hook]
        done = self.run(["tc", "-json", "filter", "show", "dev", device, *where], check=False)
        return json.loads(done.stdout or "[]") if done.returncode == 0 else []

    def delete(self) -> None:
        process.run(["ip", "netns", "del", self.name], check=False)
