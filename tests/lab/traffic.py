# SPDX-License-Identifier: Apache-2.0
"""Traffic between a pod and the peer, by natra-traffic.

Directions are the pod's: "ingress" is traffic to it. Results are the tool's
JSON; see tests/tools.
"""
from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .namespace import Namespace
from .process import Background, CommandError

Json = dict[str, Any]
PORT = 5201
DIRECTIONS = ("ingress", "egress")
# A probe's answer may wait this long behind bulk traffic before it counts as unfinished.
GRACE_SECONDS = 10


class Server:
    """Serves all kinds of traffic; ends with this process, however that ends."""

    def __init__(self, executable: Path, where: Namespace, control: Path) -> None:
        self.executable = executable
        self.control = control
        self._process = where.start(
            [str(executable), "server", "--port", str(PORT), "--control", str(control),
             "--until-eof", "1", "--seconds", "86400"], stdin=subprocess.PIPE)
        try:
            ready = json.loads(self._process.first_line())
        except json.JSONDecodeError:
            ready = {"error": "no answer"}
        if not ready.get("ready"):
            self._process.stop()
            raise RuntimeError(f"natra-traffic server: {ready.get('error')}")

    def stop(self) -> None:
        self._process.stop()


def start_wire(executable: Path, where: Namespace, seconds: float, *, interval_us: int = 2000) -> Running:
    """Samples what the devices there receive: result()["at_ns"], of time.monotonic_ns(), and ["received_bytes"]."""
    return Running(where.start([str(executable), "wire", "--milliseconds", str(round(seconds * 1000)),
                                "--interval-us", str(interval_us)]), seconds)


class Running:
    """One client at work. Stop it, or take its result."""

    def __init__(self, process: Background, seconds: float) -> None:
        self._process = process
        self._timeout = seconds + 2 * GRACE_SECONDS + 30

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()

    def running(self) -> bool:
        return self._process.running()

    def result(self, *, may_fail: bool = False) -> Json:
        """Waits for the end. Raises CommandError if it failed or, unless may_fail, has errors to tell."""
        out = self._process.result(self._timeout)
        self._process.stop()
        if out.get("errors") and not may_fail:
            raise CommandError(self._process.argv, 0, "", f"errors: {out['errors']}")
        return out


@dataclasses.dataclass(frozen=True)
class Client:
    """Starts clients in a pod's namespace. The methods do not wait: ask for .result()."""
    where: Namespace
    server: Server
    address: str

    def bulk(self, direction: str, seconds: int, *, flows: int = 1,
             congestion_controls: Sequence[str] = ("cubic",)) -> Running:
        return self._start("bulk", seconds, "--control", self.server.control, "--seconds", seconds,
                           "--direction", tool_direction(direction), "--flows", flows,
                           "--congestion-control", ",".join(congestion_controls))

    def rr(self, seconds: float, *, interval_us: int = 1000) -> Running:
        return self._start("rr", seconds, "--milliseconds", round(seconds * 1000),
                           "--interval-us", interval_us, "--grace-milliseconds", GRACE_SECONDS * 1000)

    def short(self, direction: str, seconds: float, *, interval_us: int = 50_000, parallel: int = 1,
              size: int = 16_000) -> Running:
        return self._start("short", seconds, "--milliseconds", round(seconds * 1000), "--size", size,
                           "--direction", tool_direction(direction), "--interval-us", interval_us,
                           "--parallel", parallel, "--grace-milliseconds", GRACE_SECONDS * 1000)

    def udp(self, direction: str, seconds: int, *, rate: int, payload: int = 1000,
            flows: int = 0, waits: bool = False) -> Running:
        """A flood in so many flows, 0: with a new 5-tuple for every packet; with `waits` one flow of an ordinary
        socket, which waits while its buffer is full."""
        return self._start("udp", seconds, "--control", self.server.control, "--seconds", seconds,
                           "--direction", tool_direction(direction), "--rate", rate, "--payload", payload,
                           "--sender", "socket" if waits else "flood",
                           "--flows", flows)

    def stream(self, direction: str, seconds: float, *, rate: int, bursts: int = 25, payload: int = 1200) -> Running:
        """One UDP flow of `rate` bit/s on the wire in so many bursts a second (0: evenly spaced packets), from an
        ordinary socket: packets of `payload` bytes at most, what is lost of them, and one-way delays."""
        return self._start("stream", seconds, "--control", self.server.control, "--milliseconds", round(seconds * 1000),
                           "--direction", tool_direction(direction), "--rate", rate, "--bursts", bursts,
                           "--payload", payload)

    def dns(self, seconds: float, *, interval_us: int, answer: int = 600) -> Running:
        """Queries of 60 bytes from the pod, each from a new socket and none repeated, answered with `answer` bytes;
        what is not answered within 5 s is lost."""
        return self._start("dns", seconds, "--control", self.server.control, "--milliseconds", round(seconds * 1000),
                           "--interval-us", interval_us, "--answer", answer)

    def _start(self, kind: str, seconds: float, *options: object) -> Running:
        argv = [str(self.server.executable), kind, "--server", self.address, "--port", str(PORT),
                *map(str, options)]
        return Running(self.where.start(argv), seconds)


def tool_direction(direction: str) -> str:
    return {"ingress": "down", "egress": "up"}[direction]


@dataclasses.dataclass(frozen=True)
class Load:
    """What a pod's traffic looked like with bulk flows in one direction and thin ones beside them."""
    bulk: Json
    rr: Json
    short: Json
    stream: Json | None = None


def share_interval_us(packet_bytes: int, share: float, rate: int) -> int:
    """The interval at which packets of this size take that share of a rate."""
    return round(packet_bytes * 8 * 1e6 / (share * rate)) if rate else 0


def under_load(client: Client, direction: str, seconds: int, *, flows: int = 1,
               congestion_controls: Sequence[str] = ("cubic",), rate: int = 0, stream_rate: int = 0) -> Load:
    """Bulk flows for 1 + seconds; the thin flows start when the first second is over.

    The thin flows are really thin: 2 % of the rate for the ping-pong, 5 % for the 16 kB transfers. With stream_rate
    there is a UDP stream of so many bit/s, too.
    """
    ping_interval = max(1000, share_interval_us(130, 0.02, rate))
    short_interval = max(50_000, share_interval_us(16_700, 0.05, rate))
    with client.bulk(direction, 1 + seconds, flows=flows,
                     congestion_controls=congestion_controls) as bulk:
        time.sleep(1)
        with contextlib.ExitStack() as ends:
            stream = ends.enter_context(client.stream(direction, seconds, rate=stream_rate)) if stream_rate else None
            rr = ends.enter_context(client.rr(seconds, interval_us=ping_interval))
            short = ends.enter_context(client.short(direction, seconds, interval_us=short_interval))
            short_result = short.result(may_fail=True)
            rr_result = rr.result(may_fail=True)
            return Load(bulk.result(), rr_result, short_result, stream.result() if stream else None)
