# SPDX-License-Identifier: Apache-2.0
"""The REST interface under many clients, clients that misbehave, and malformed requests."""
from __future__ import annotations

import json
import os
import random
import re
import socket
import sys
import threading
import time
from collections.abc import Callable

from lab.cni import CniError
from lab.pod import Limiter, Limits, Pod
from lab.process import Background, CommandError
from lab.rest import Answer, parse
from rest_case import OTHER_USER, RestCase
from support import RATE, TIME_FACTOR, eventually

CLIENTS = 64
SECONDS = float(os.environ.get("NATRA_REST_SECONDS", "6")) * TIME_FACTOR
FUZZ_REQUESTS = int(os.environ.get("NATRA_REST_FUZZ", "20000")) // TIME_FACTOR
SEED = int(os.environ.get("NATRA_REST_SEED", "1"))


def request(method: str, path: str, body: bytes = b"", headers: str = "") -> bytes:
    return (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def rest_of(connection: socket.socket) -> bytes:
    out = b""
    while piece := connection.recv(65536):
        out += piece
    return out


# Asks so many times, each time on a connection of its own, and reads nothing.
HOARDER = """
import resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
connections = []
for _ in range(int(sys.argv[2])):
    connections.append(socket.socket(socket.AF_UNIX))
    try:
        connections[-1].connect(sys.argv[1])
        connections[-1].sendall(b"GET /openapi.json HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
        connections[-1].shutdown(socket.SHUT_WR)
    except OSError:
        pass
print("done", flush=True)
time.sleep(1000)
"""
HOARDED = 400


class Crowd(RestCase):
    def ask(self, raw: bytes) -> Answer:
        return parse(self.rest.raw(raw, timeout=60))

    def test_many_clients_while_limits_change_and_pods_churn(self) -> None:
        stable = [self.pod() for _ in range(4)]
        self.natrad.wait_for_pool(int(self.natrad.environment()["NATRA_POOL_SIZE"]), 60)
        descriptors, resident_mib = self.natrad.descriptors(), self.natrad.resident_mib()
        stop = threading.Event()
        failures: list[str] = []
        served = [0] * CLIENTS

        def worker(body: Callable[[], None]) -> Callable[[], None]:
            def run() -> None:
                try:
                    while not stop.is_set():
                        body()
                except (OSError, ValueError, AssertionError, CniError) as e:
                    failures.append(repr(e))
                    stop.set()
            return run

        def reader(number: int) -> Callable[[], None]:
            choice = random.Random(number)

            def read() -> None:
                pod = choice.choice(stable)
                path = choice.choice(["/v1/pods", "/v1/status", "/healthz", "/metrics", self.path_of(pod),
                                      f"{self.path_of(pod)}/limits", f"{self.path_of(pod)}/flows", "/v1/pods?limit=1"])
                answer = self.ask(request("GET", path))
                assert answer.status == 200, f"{path}: {answer}"
                if path == self.path_of(pod):
                    assert answer.json["containerId"] == pod.container_id, answer
                served[number] += 1
            return read

        def operator() -> None:
            for pod in stable:
                body = b'{"ingress": {"rate": %d}}' % random.randint(10**6, 10**8)
                answer = self.ask(request("PATCH", f"{self.path_of(pod)}/limits", body,
                                          "Content-Type: application/merge-patch+json\r\n"))
                assert answer.status == 200, answer

        def churn() -> None:
            with Pod(self.node, Limiter.NATRA, Limits(RATE, RATE)):
                pass

        threads = [threading.Thread(target=worker(body))
                   for body in (operator, churn, *(reader(number) for number in range(CLIENTS)))]
        for thread in threads:
            thread.start()
        stop.wait(SECONDS)
        stop.set()
        for thread in threads:
            thread.join(120)
        self.assertEqual(failures, [])
        self.assertGreater(min(served), 0)
        self.assertEqual(self.rest.get("/v1/pods").json["total"], len(stable))

        def more() -> dict[str, tuple[int, int]]:
            return {kind: (descriptors.get(kind, 0), now) for kind, now in self.natrad.descriptors().items()
                    if now > descriptors.get(kind, 0)}

        self.assertTrue(eventually(lambda: not more(), 60), f"open before and now: {more()}")
        grown = self.natrad.resident_mib() - resident_mib
        print(f"# {sum(served)} answers; natrad's memory grew from {resident_mib:.1f} by {grown:.1f} MiB")
        self.assertLess(grown, 32, f"MiB, from {resident_mib:.1f}")

    def test_slow_readers_and_idle_connections_harm_nobody(self) -> None:
        self.pod()
        before = self.natrad.descriptors().get("socket", 0)
        misbehaving: list[socket.socket] = []
        for number in range(40):
            connection = self.rest.connect()
            self.addCleanup(connection.close)
            misbehaving.append(connection)
            if number % 2:
                # Takes none of what it asked for.
                connection.sendall(request("GET", "/openapi.json"))
            elif number % 4:
                connection.sendall(b"GET /v1/status HTTP/1.1\r\nHo")
        for _ in range(20):
            self.assertEqual(self.rest.get("/v1/pods").status, 200)
        self.assertEqual(parse(self.rest.raw(request("GET", "/openapi.json"))).json, self.document)
        # natrad ends them in time, all but those who leave what they asked for in its memory.
        slow = misbehaving[1::2]
        for connection in misbehaving[0::2]:
            self.problem(self.valid(parse(rest_of(connection)), "/v1/status"), 408)
        self.assertTrue(eventually(lambda: self.natrad.descriptors().get("socket", 0) <= before + 1 + len(slow), 60),
                        self.natrad.descriptors())
        self.assertTrue(eventually(lambda: self.unread() > len(slow) * len(json.dumps(self.document))))
        # A slow reader still finds all of its answer.
        for connection in slow:
            self.assertEqual(parse(rest_of(connection)).json, self.document)
        self.assertTrue(eventually(lambda: self.natrad.descriptors().get("socket", 0) <= before + 1, 60),
                        self.natrad.descriptors())
        self.assertTrue(eventually(lambda: self.unread() == 0, 60), self.unread())

    def figure(self, name: str) -> int:
        """As it was at most 100 ms ago: so long natrad gives the same answer to all."""
        found = re.search(rf"^{name} (\d+)$", self.rest.get("/metrics").body, re.MULTILINE)
        assert found is not None
        return int(found[1])

    def unread(self) -> int:
        return self.figure("natra_api_unread_bytes")

    def refused(self) -> int:
        return self.figure("natra_api_refused_connections_total")

    def serves(self, uid: int) -> bool:
        try:
            return self.rest.curl("/healthz", uid=uid).status == 200
        except CommandError:
            return False  # one of a flood: its connection was closed

    def test_one_user_who_reads_nothing_takes_no_more_than_a_share(self) -> None:
        self.rest.socket.chmod(0o666)  # here there is no group for it
        before = self.refused()
        hoarder = Background(["setpriv", f"--reuid={OTHER_USER}", "--clear-groups", sys.executable, "-c", HOARDER,
                              str(self.rest.socket), str(HOARDED)])
        self.addCleanup(hoarder.stop)
        self.assertEqual(hoarder.first_line(), "done\n")
        # 96 of 128 connections, and as many that were told so in a few words, whatever natrad has closed meanwhile.
        self.assertTrue(eventually(lambda: self.refused() - before >= HOARDED - 96, 60), self.refused() - before)
        answer = len(json.dumps(self.document, indent=2))
        self.assertTrue(eventually(lambda: self.unread() > 90 * answer, 60), self.unread())
        for _ in range(20):  # and it stays so, with what was on its way
            self.assertLess(self.unread(), 96 * (answer + 16384) + 96 * 4096)
            time.sleep(0.05)
        self.assertEqual(self.rest.curl("/healthz", uid=OTHER_USER - 1).status, 200)
        self.assertEqual(self.rest.get("/openapi.json").status, 200)
        hoarder.kill()
        self.assertTrue(eventually(lambda: self.unread() == 0, 60), self.unread())
        self.assertTrue(eventually(lambda: self.serves(OTHER_USER), 60))

    def test_more_connections_than_allowed_are_told_so(self) -> None:
        idle = [self.rest.connect() for _ in range(140)]
        for connection in idle:
            self.addCleanup(connection.close)
        self.assertTrue(eventually(lambda: self.rest.get("/healthz").status == 503))
        for connection in idle:
            connection.close()
        self.assertTrue(eventually(lambda: self.rest.get("/healthz").status == 200, 30))

    def test_stopping_natrad_answers_what_is_under_way(self) -> None:
        answers: list[bytes] = []
        stop = threading.Event()

        def read() -> None:
            while not stop.is_set():
                try:
                    connection = self.rest.connect()
                except OSError:
                    return  # it listens no more
                answer = b""
                with connection:
                    try:
                        connection.sendall(request("GET", "/v1/pods"))
                    except OSError:
                        pass  # answered before it was asked
                    try:
                        while piece := connection.recv(65536):
                            answer += piece
                    except ConnectionResetError:
                        pass  # what was sent after the answer was not read: that is all that this says
                answers.append(answer)

        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        self.assertTrue(eventually(lambda: len(answers) > 50, 60))
        self.assertEqual(self.natrad.stop(), 0)
        stop.set()
        for thread in threads:
            thread.join(60)
        self.natrad.start()
        # Whoever got through to natrad got a whole answer.
        for answer in answers:
            self.assertTrue(answer)
            self.assertIn(parse(answer).status, (200, 503))
            self.assertTrue(parse(answer).body)


class Fuzz(RestCase):
    """Requests that are damaged, cut off or nonsense: each gets an answer with a status or the end of the connection."""

    def seeds(self, pod: Pod) -> list[bytes]:
        path = self.path_of(pod)
        patch = "Content-Type: application/merge-patch+json\r\n"
        return [request("GET", "/healthz"), request("GET", "/v1/pods?limit=2&namespace=lab&continue=a"),
                request("GET", f"{path}?interface=eth0"), request("GET", f"{path}/flows?direction=ingress&top=3"),
                request("GET", "/v1/pods/lab%2Fpod1/limits", headers='If-Match: "0", W/"1"\r\n'),
                request("HEAD", "/v1/status", headers="Expect: 100-continue\r\nAccept: */*\r\n"),
                request("PATCH", f"{path}/limits", b'{"ingress":{"rate":"10M","burst":80000},"egress":null}', patch),
                request("PATCH", f"{path}/limits", b'{"egress":{"rate":5000000,"burst":null}}', patch),
                request("DELETE", f"{path}/limits", headers="If-Match: *\r\n"),
                b"GET /v1/pods HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]

    def damaged(self, data: bytes, choice: random.Random) -> bytes:
        for _ in range(choice.randint(0, 4)):
            at = choice.randrange(len(data) + 1)
            kind = choice.randrange(6)
            if kind == 0:
                data = data[:at] + bytes([choice.randrange(256)]) + data[at + 1:]
            elif kind == 1:
                data = data[:at] + data[at + choice.randint(1, 30):]
            elif kind == 2:
                data = data[:at]
            elif kind == 3:
                begin = choice.randrange(len(data) + 1)
                data = data[:at] + data[begin:begin + choice.randint(1, 60)] + data[at:]
            elif kind == 4:
                word = choice.choice([b"%00", b"%ff", b"%2F", b"\r\n", b"\0", b"..", b"?", b"&", b"=", b'"', b"\xf0\x9f",
                                      b"99999999999999999999", b"-1", b"null", b"{", b"[" * 200, b"A" * 5000])
                data = data[:at] + word + data[at:]
            else:
                data = choice.randbytes(choice.randint(0, 200))
        return data

    def test_malformed_requests(self) -> None:
        pod = self.pod()
        seeds = self.seeds(pod)
        threads = 8
        statuses: list[dict[int, int]] = [{} for _ in range(threads)]
        failures: list[str] = []

        def attack(number: int) -> None:
            choice = random.Random(SEED * 1000 + number)
            for _ in range(FUZZ_REQUESTS // threads):
                data = self.damaged(choice.choice(seeds), choice)
                try:
                    raw = self.rest.raw(data, timeout=60).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
                    status = parse(raw).status if raw else 0
                except (OSError, ValueError) as e:
                    failures.append(f"{data!r}: {e!r}")
                    return
                statuses[number][status] = statuses[number].get(status, 0) + 1

        begin = time.monotonic()
        attackers = [threading.Thread(target=attack, args=(number,)) for number in range(threads)]
        for thread in attackers:
            thread.start()
        for thread in attackers:
            thread.join()
        self.assertEqual(failures, [])
        found = {status for each in statuses for status in each}
        total = sum(sum(each.values()) for each in statuses)
        print(f"# {total} requests in {time.monotonic() - begin:.0f} s, seed {SEED}: {sorted(found)}")
        self.assertEqual(total, FUZZ_REQUESTS // threads * threads)
        self.assertLessEqual({200, 400, 404, 422}, found)
        self.assertNotIn(500, found)
        self.assertLessEqual(found, {0, 200, 400, 404, 405, 409, 412, 413, 414, 415, 422, 431, 501, 505})
        # The pod is still there, limited, and its limits can be changed.
        self.assertEqual(self.rest.delete(f"{self.path_of(pod)}/limits").status, 200)
        self.assert_rate(self.goodput(pod, "ingress"), RATE)
