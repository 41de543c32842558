# SPDX-License-Identifier: Apache-2.0
"""What takes its time for one pod does not make others wait: natrad has one thread for the kernel."""
from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from lab.node import PEER_V4
from lab.pod import Limiter, Limits, Pod
from support import RATE, TIME_FACTOR, NodeCase

# One packet of 60 kB, which is half a second of SLOW, every 50 ms.
SLOW = 1_000_000
SENDER = """
import socket, sys, time
UDP_SEGMENT = 103
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1400)
while True:
    try:
        sender.sendto(bytes(60000), (sys.argv[1], 9))
    except OSError:
        pass
    time.sleep(0.05)
"""
LIFTS = 20
# s; of these lifts one after the other, half a second each.
IN_TURN = LIFTS / 2


def seconds(call: Callable[[], object]) -> float:
    begin = time.monotonic()
    call()
    return time.monotonic() - begin


class Turns(NodeCase):
    def slow_pods(self, number: int) -> list[str]:
        """Object paths of pods with a full queue."""
        pods = [self.pod(0, SLOW) for _ in range(number)]
        for pod in pods:
            sender = pod.netns.start([sys.executable, "-c", SENDER, PEER_V4])
            self.addCleanup(sender.stop)
        paths = [pod.object_path() for pod in pods]
        time.sleep(1)
        return paths

    def test_nobody_waits_for_the_lifts_of_others(self) -> None:
        paths = self.slow_pods(LIFTS)
        changed, ended = self.pod(), self.pod()
        path = changed.object_path()
        coming = Pod(self.node, Limiter.NATRA, Limits(RATE, RATE))
        coming.create()
        self.addCleanup(coming.destroy)
        self.addCleanup(coming.delete)
        calls = {"SetLimits": lambda: self.natrad.set_limits(path, EgressRate=RATE // 2),
                 "ADD": coming.add, "DEL": ended.delete}
        alone = seconds(lambda: self.natrad.set_limits(path, EgressRate=RATE // 3))
        with ThreadPoolExecutor(LIFTS + len(calls)) as threads:
            begin = time.monotonic()
            lifts = [threads.submit(self.natrad.set_limits, each, EgressRate=0) for each in paths]
            time.sleep(0.1 * TIME_FACTOR)
            others = {name: threads.submit(seconds, call) for name, call in calls.items()}
            took = {name: each.result() for name, each in others.items()}
            for each in lifts:
                each.result()
            every = time.monotonic() - begin
        for name, value in took.items():
            self.assertLess(value, (IN_TURN / 3 + 2 * alone) * TIME_FACTOR, f"{name}; alone {alone:.3f} s, all: {took}")
        self.assertLess(every, IN_TURN / 1.5 * TIME_FACTOR, took)
