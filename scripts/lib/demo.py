# SPDX-License-Identifier: Apache-2.0
"""The measuring part of scripts/demo: demo.py BUILD-DIR."""
from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from lab import process, table, traffic  # noqa: E402
from lab.build import Build  # noqa: E402
from lab.node import Node  # noqa: E402
from lab.pod import Limiter, Limits, Pod  # noqa: E402

RATE = 20_000_000
VIDEO_RATE = RATE // 4  # half of what two flows have each
SECONDS = 5
NAMES = {Limiter.NONE: "no limiter", Limiter.STOCK: "stock bandwidth plugin", Limiter.NATRA: "natra"}
WHERE = {"ingress": "to the pod", "egress": "from the pod"}
_start = time.monotonic()


def progress(text: str) -> None:
    print(f"[{time.monotonic() - _start:6.1f} s] {text}", file=sys.stderr, flush=True)


def say(text: str = "") -> None:
    print(text, flush=True)


def megabits(bits_per_second: float) -> str:
    return table.significant(bits_per_second / 1e6)


def measure(node: Node) -> dict[tuple[str, Limiter], traffic.Load]:
    out = {}
    for direction in traffic.DIRECTIONS:
        for limiter, name in NAMES.items():
            limits = Limits() if limiter is Limiter.NONE else Limits(RATE, RATE)
            progress(f"{WHERE[direction]}, {name}: a new pod, 1 bulk flow for {1 + SECONDS} s, "
                     f"pings, 16 kB transfers and a video beside it")
            with Pod(node, limiter, limits) as pod:
                out[direction, limiter] = traffic.under_load(
                    pod.client(), direction, SECONDS, rate=RATE, stream_rate=VIDEO_RATE)
    return out


def print_comparison(loads: dict[tuple[str, Limiter], traffic.Load]) -> None:
    rows = [["", "goodput", "1st second", "ping p50", "p99", "16 kB p50", "video arrived", "p50", "p99"],
            ["", "Mbit/s", "MB", "ms", "ms", "ms", "%", "ms", "ms"]]
    for direction in traffic.DIRECTIONS:
        rows.append([f"{WHERE[direction]} ({direction})", *[""] * 8])
        for limiter, name in NAMES.items():
            load = loads[direction, limiter]
            assert load.stream is not None
            rows.append([f"  {name}", megabits(load.bulk["goodput_bps"]),
                         table.significant(load.bulk["first_second_bytes"] / 1e6),
                         table.milliseconds(load.rr["p50_us"]), table.milliseconds(load.rr["p99_us"]),
                         table.milliseconds(load.short["p50_us"]),
                         f"{100 * (1 - load.stream['lost_share']):.1f}",
                         table.milliseconds(load.stream["p50_us"]), table.milliseconds(load.stream["p99_us"])])
    say(f"""
One bulk TCP flow (cubic) takes what it can get; the pod's limit is {RATE // 10**6} Mbit/s each way. Beside it there
is a video: {VIDEO_RATE // 10**6} Mbit/s of UDP in 25 bursts a second, half its fair share.
""")
    say(table.render(rows, headings=2))
    samples = min(load.short["samples"] for load in loads.values())
    say(f"""
goodput       what the bulk flow delivered after its first second. The limit counts headers, and the video,
              pings and transfers take their share: about {(RATE - VIDEO_RATE) * 0.88 / 1e6:.0f} Mbit/s remain.
1st second    delivered in the first second of a pod that was idle: {RATE / 8e6:g} MB is the limit. The container
              runtime knows no burst and sends the largest number it has; the stock plugin takes it
              at its word, natra knows it for what it is.
ping          64 bytes there and back on a connection of their own, beside the bulk flow.
16 kB         a transfer on a new connection, beside the bulk flow ({samples} of them or more). At exactly the
              limit it takes {16_000 * 8 * 1e3 / RATE:g} ms; natra lets small flows run ahead and makes the bulk flow wait
              for it, so that the total stays at the limit.
video         packets that arrived, and how long they were on their way. A real one shows what is lost as
              blocks, and waits for what is late.""")


def address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def show_heavy_flows(node: Node, pod: Pod, path: str) -> None:
    natrad = node.natrad
    assert natrad is not None
    progress("what natrad sees: 2 bulk flows, pings and 16 kB transfers to the pod for 4 s")
    client = pod.client()
    with client.bulk("ingress", 4, flows=2, congestion_controls=("cubic", "bbr")) as bulk, \
            client.rr(3, interval_us=2500) as rr, \
            client.short("ingress", 3, interval_us=130_000) as short:
        time.sleep(2.5)
        flows = natrad.heavy_flows(path, "ingress")
        short.result()
        rr.result()
        bulk.result()
    rows = [["heavy flow", "Mbit/s now", "MB", "marked", "dropped"]]
    for flow in flows:
        name = (f"{flow['Protocol']} {address(flow['Source'], flow['SourcePort'])} -> "
                f"{address(flow['Destination'], flow['DestinationPort'])}")
        rows.append([name, megabits(flow["RateBps"]), table.significant(flow["Bytes"] / 1e6),
                     str(flow["MarkedPackets"]), str(flow["DroppedPackets"])])
    say("\nHeavy flows to the pod as natrad lists them (D-Bus, HeavyFlows). There are 2 bulk flows, one with\n"
        "cubic, one with BBR; a transfer that shows up below them was too fast for a moment:\n")
    say(table.render(rows) if flows else "  none: that should not be")
    counters = natrad.counters(path, "ingress")
    say(f"\nAll packets to this pod: {counters['FastPackets']} passed at once, "
        f"{counters['PacedPackets']} paced, {counters['DroppedPackets']} dropped.")


def show_live_change(node: Node, pod: Pod, path: str) -> None:
    natrad = node.natrad
    assert natrad is not None
    after = 50_000_000
    progress(f"a live change: a bulk flow to the pod for 10 s; after 4 s its limit becomes {after // 10**6} Mbit/s")
    with pod.client().bulk("ingress", 10) as bulk:
        began = time.monotonic()
        time.sleep(4)
        natrad.set_limits(path, IngressRate=after)
        took = time.monotonic() - began - 4
        result = bulk.result()
    natrad.reset_limits(path)
    per_bucket = [8 * each / 0.1 for each in result["timeline_bytes"]]
    say(f"""
The limit changed while traffic ran (the call took {table.significant(took * 1000)} ms with busctl's start):

  busctl call io.natra.Natrad1 {path} \\
      io.natra.Natrad1.Attachment SetLimits 'a{{sv}}' 1 IngressRate t {after}

  second   Mbit/s""")
    for second in range(10):
        rate = sum(per_bucket[10 * second:10 * second + 10]) / 10
        note = "  <- SetLimits" if second == 4 else ""
        say(f"  {second + 1:6}   {megabits(rate):>6}  {'#' * round(rate / 1e6)}{note}")


def demonstrate(build: Build) -> None:
    progress("starting a private bus and natrad in a network namespace that plays the node")
    with Node(build) as node:
        natrad = node.start_natrad()
        loads = measure(node)
        progress("one more pod with natra, through the same chain (ptp, then natra)")
        with Pod(node, Limiter.NATRA, Limits(RATE, RATE)) as pod:
            path = pod.object_path()
            facts: dict[str, Any] = natrad.properties(path)
            print_comparison(loads)
            say(f"\nOn this kernel natrad chose: to the pod {facts['IngressShaper']} ({facts['IngressHook']}), "
                f"from the pod {facts['EgressShaper']} ({facts['EgressHook']}).")
            show_heavy_flows(node, pod, path)
            show_live_change(node, pod, path)
        progress("cleaning up")
    progress("done; nothing is left behind")


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print("demo: needs root", file=sys.stderr)
        return 1
    build = Build(Path(sys.argv[1]))
    if missing := build.missing():
        print("demo: " + "; ".join(missing), file=sys.stderr)
        return 1
    try:
        with process.terminable():
            demonstrate(build)
    except KeyboardInterrupt:
        progress("interrupted; everything has been cleaned up")
        return 128 + signal.SIGINT
    except Exception as e:  # the whole of what a newcomer should read, instead of a traceback
        if os.environ.get("NATRA_DEBUG"):
            raise
        print(f"demo: failed: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
