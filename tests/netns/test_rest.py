# SPDX-License-Identifier: Apache-2.0
"""The REST interface against real pods: every path and method, and every answer as the OpenAPI document has it."""
from __future__ import annotations

import datetime
import gzip
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from lab.kinds import add_other_network
from lab.natrad import ATTACHMENT, Natrad
from lab.node import Node
from lab.pod import Pod
from lab.ptrace import held
from lab.rest import parse
from lab.state import fill_sketch
from rest_case import OTHER_USER, RestCase
from support import RATE, eventually, mean_rate


class Reading(RestCase):
    def test_health_and_status(self) -> None:
        self.assertEqual(self.valid(self.rest.get("/healthz"), "/healthz").json, {"status": "ok"})
        self.pod()
        status = self.valid(self.rest.get("/v1/status"), "/v1/status").json
        self.assertEqual(status["attachments"], 1)
        self.assertEqual(status["degraded"], self.natrad.status()["Degraded"])
        self.assertEqual(status["kernel"], self.natrad.status()["Kernel"])
        self.valid(self.rest.get("/openapi.json"), "/openapi.json")
        head = self.rest.curl("/v1/status", method="HEAD")
        self.assertEqual((head.status, head.body), (200, ""))

    def test_a_pod_by_all_its_names(self) -> None:
        pod = self.pod()
        self.pod()
        identifier = pod.object_path().rpartition("/")[2]
        facts = self.natrad.properties(pod.object_path())
        for path in (identifier, pod.container_id,
                     quote(f"lab/pod{pod.number}", safe="")):
            with self.subTest(path):
                found = self.valid(self.rest.get(f"/v1/pods/{path}"), "/v1/pods/{id}").json
                self.assertEqual((found["id"], found["containerId"]), (identifier, pod.container_id))
        found = self.valid(self.rest.get(self.path_of(pod)), "/v1/pods/{namespace}/{name}").json
        self.assertEqual((found["namespace"], found["name"], found["interface"]), ("lab", f"pod{pod.number}", "eth0"))
        for direction in ("ingress", "egress"):
            word = direction.capitalize()
            self.assertEqual([found[direction][name] for name in ("rate", "source", "shaper", "hook", "reason")],
                             [facts[f"{word}{name}"] for name in ("Rate", "Source", "Shaper", "Hook", "Reason")])
            self.assertTrue(found[direction]["inForce"])

    def test_names_that_fit_several_or_none(self) -> None:
        pods = [self.pod(), self.pod()]
        ambiguous = self.problem(self.valid(self.rest.get(f"/v1/pods/{self.node.label}"), "/v1/pods/{id}"), 409)
        self.assertEqual({each["containerId"] for each in ambiguous["candidates"]}, {pod.container_id for pod in pods})
        keys = add_other_network(self.node).connect(self.node, network="second")
        second = self.enterContext(Pod(self.node, limits=pods[0].limits, beside=pods[0], interface="net1", **keys))
        self.assertEqual(len(self.problem(self.rest.get(self.path_of(pods[0])), 409)["candidates"]), 2)
        found = self.valid(self.rest.get(f"{self.path_of(pods[0])}?interface=net1"), "/v1/pods/{namespace}/{name}").json
        self.assertEqual(found["id"], second.object_path().rpartition("/")[2])
        self.problem(self.rest.get("/v1/pods/nobody"), 404, "id", "nobody")
        self.problem(self.rest.get("/v1/pods/lab/nobody"), 404, "id", "lab/nobody")
        self.problem(self.rest.get(f"{self.path_of(pods[1])}/flows?interface=net1"), 404)

    def test_pages_and_filters(self) -> None:
        pods = [self.pod() for _ in range(5)]
        listed = self.valid(self.rest.get("/v1/pods"), "/v1/pods").json
        self.assertEqual((listed["total"], listed["continue"]), (5, None))
        everything = [item["id"] for item in listed["items"]]
        self.assertEqual(sorted(everything), everything)
        seen: list[str] = []
        path = "/v1/pods?limit=2"
        for expected in (2, 2, 1):
            page = self.valid(self.rest.get(path), "/v1/pods").json
            self.assertEqual((len(page["items"]), page["total"]), (expected, 5))
            seen += [item["id"] for item in page["items"]]
            path = f"/v1/pods?limit=2&continue={page['continue']}"
        self.assertEqual((page["continue"], seen), (None, everything))
        one = self.rest.get(f"/v1/pods?namespace=lab&name=pod{pods[2].number}&interface=eth0&network=lab").json
        self.assertEqual([item["containerId"] for item in one["items"]], [pods[2].container_id])
        self.assertEqual(self.rest.get("/v1/pods?namespace=other").json["total"], 0)
        for query, field, value in (("limit=0", "limit", "0"), ("limit=501", "limit", "501"), ("limit=x", "limit", "x"),
                                    ("limit=1&limit=2", "limit", "2"), ("colour=red", "colour", "red")):
            with self.subTest(query):
                self.problem(self.valid(self.rest.get(f"/v1/pods?{query}"), "/v1/pods"), 400, field, value)

    def test_who_fills_the_limit(self) -> None:
        pod = self.pod()
        path = f"{self.path_of(pod)}/flows"
        template = "/v1/pods/{namespace}/{name}/flows"
        with pod.client().bulk("ingress", 8, flows=3):
            self.assertTrue(eventually(lambda: len(self.rest.get(path).json["ingress"]["flows"]) == 3, 7))
            flows = self.valid(self.rest.get(f"{path}?direction=ingress&top=2"), template).json
        self.assertNotIn("egress", flows)
        ingress = flows["ingress"]
        self.assertEqual((ingress["rate"], len(ingress["flows"])), (RATE, 2))
        self.assertGreaterEqual(ingress["heavyFlows"], 2)
        first, second = ingress["flows"]
        self.assertGreaterEqual(first["rate"], second["rate"])
        self.assertAlmostEqual(first["share"], first["rate"] / RATE)
        self.assertEqual((first["protocol"], first["sourcePort"]), ("tcp", 5201))
        self.assertEqual((ingress["tableSlots"], ingress["tableMisses"]), (64, 0))
        trust = ingress["classification"]
        self.assertGreater(trust["occupancy"], 0, "three flows have cells")
        self.assertLess(trust["falseHeavyChance"], 0.01)
        self.assertEqual(trust["overestimateBytes"], 0)
        self.assertGreater(trust["thresholdBytes"], 0)
        self.assertRegex(first["firstSeen"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
        for query, field, value in (("direction=down", "direction", "down"), ("top=0", "top", "0"), ("top=65", "top", "65")):
            self.problem(self.valid(self.rest.get(f"{path}?{query}"), template), 400, field, value)

    def test_what_is_refused_whatever_it_was(self) -> None:
        for status, raw in (
                (400, b"GET /v1/pods HTTP/1.1\r\n\r\n"),
                (405, b"BREW /v1/pods HTTP/1.1\r\nHost: a\r\n\r\n"),
                (405, b"DELETE /v1/pods HTTP/1.1\r\nHost: a\r\n\r\n"),
                (413, b"GET /v1/pods HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n"),
                (414, b"GET /v1/pods?name=" + 4096 * b"a" + b" HTTP/1.1\r\n\r\n"),
                (431, b"GET /v1/pods HTTP/1.1\r\nName: " + 16384 * b"a" + b"\r\n\r\n"),
                (431, b"GET /v1/pods HTTP/1.1\r\n" + 65 * b"Name: a\r\n" + b"\r\n"),
                (501, b"GET /v1/pods HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"),
                (505, b"GET /v1/pods HTTP/2.0\r\n\r\n")):
            with self.subTest(f"{status}: {raw[:40]!r}"):
                self.problem(self.valid(parse(self.rest.raw(raw)), "/v1/pods"), status)
                self.assertEqual("allow" in parse(self.rest.raw(raw)).headers, status == 405)

    def test_forms_of_a_request_that_rfc_9112_has(self) -> None:
        for raw in (b"GET http://node/v1/pods HTTP/1.1\r\nHost: node\r\n\r\n",
                    b"\r\nGET /v1/pods HTTP/1.1\r\nHost: node\r\n\r\n",
                    b"GET /v1/pods HTTP/1.1\r\nHost: node\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"):
            with self.subTest(raw=raw):
                self.assertEqual(self.valid(parse(self.rest.raw(raw)), "/v1/pods").status, 200)

    def test_long_answers_are_compressed_for_those_that_ask(self) -> None:
        self.pod()
        for path in ("/metrics", "/v1/pods", "/openapi.json"):
            plain = self.rest.get(path)
            self.assertEqual((plain.headers.get("content-encoding"), plain.headers["vary"]), (None, "Accept-Encoding"))
            whole = self.rest.raw(f"GET {path} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n".encode())
            head, _, body = whole.partition(b"\r\n\r\n")
            self.assertIn(b"Content-Encoding: gzip", head)
            self.assertIn(f"Content-Length: {len(body)}".encode(), head)
            self.assertLess(len(body), len(plain.body) / 2)
            self.assertEqual(gzip.decompress(body).decode().splitlines()[:1], plain.body.splitlines()[:1])
        short = parse(self.rest.raw(b"GET /healthz HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n"))
        self.assertNotIn("content-encoding", short.headers)

    def test_what_is_not_there_and_what_is_not_allowed(self) -> None:
        self.problem(self.rest.get("/v2/pods"), 404)
        self.problem(self.rest.get("/v1/../v1/pods"), 404)
        for method, path, allowed in (("POST", "/v1/pods", "GET, HEAD"), ("PUT", "/v1/pods/x/limits",
                                                                         "GET, HEAD, PATCH, DELETE")):
            answer = self.rest.curl(path, method=method)
            self.problem(answer, 405)
            self.assertEqual(answer.headers["allow"], allowed)

    def test_other_users_of_the_group_read_and_do_not_write(self) -> None:
        pod = self.pod()
        self.rest.socket.chmod(0o666)  # here there is no group for it
        before = self.rest.get(f"{self.path_of(pod)}/limits").body
        self.assertEqual(self.rest.curl("/v1/status", uid=OTHER_USER).status, 200)
        self.assertEqual(self.rest.curl("/metrics", uid=OTHER_USER).status, 200)
        path = f"{self.path_of(pod)}/limits"
        for answer in (self.rest.patch(path, {"ingress": {"rate": 1_000_000}}, uid=OTHER_USER),
                       self.rest.curl(path, method="DELETE", uid=OTHER_USER)):
            self.assertIn(f"uid {OTHER_USER}", self.problem(answer, 403)["detail"])
        self.assertEqual(self.rest.get(path).body, before)


class Trust(RestCase):
    def test_an_unreliable_classification_is_told(self) -> None:
        pod = self.pod()
        path = f"{self.path_of(pod)}/flows"
        identifier = pod.object_path().rpartition("/")[2]
        pin = str(self.natrad.pins / identifier / "egress_state")
        sentence = f"lab/pod{pod.number} eth0: egress: "

        def told(look: Callable[[], bool]) -> bool:
            fill_sketch(pin)  # it drains within a second
            return look()

        self.assertFalse(any(each.startswith(sentence) for each in self.natrad.status()["Degraded"]))
        self.assertTrue(eventually(lambda: told(
            lambda: self.rest.get(path).json["egress"]["classification"]["falseHeavyChance"] == 1), 20))
        self.assertTrue(eventually(lambda: told(
            lambda: self.natrad.properties(pod.object_path())["EgressClassification"]["FalseHeavyChance"] == 1), 20))
        series = f'natra_pod_false_heavy_ratio{{namespace="lab",pod="pod{pod.number}",interface="eth0",' \
                 f'container_id="{pod.container_id}",direction="egress"}} 1\n'
        self.assertTrue(eventually(lambda: told(lambda: series in self.rest.get("/metrics").body), 20))
        self.assertTrue(eventually(lambda: told(
            lambda: any(each.startswith(sentence) for each in self.rest.get("/v1/status").json["degraded"])), 60))
        found = next(each for each in self.natrad.status()["Degraded"] if each.startswith(sentence))
        self.assertIn("of the flows that begin are taken for heavy ones", found)
        self.assertEqual(self.rest.get(path).json["ingress"]["classification"]["falseHeavyChance"], 0)


class Writing(RestCase):
    TEMPLATE = "/v1/pods/{namespace}/{name}/limits"

    @classmethod
    def start(cls, node: Node, **env: str) -> Natrad:
        return super().start(node, NATRA_LOG_LEVEL="debug", **env)  # requests are logged before they are carried out

    def patched(self, pod: Pod, patch: object, *options: str) -> dict[str, Any]:
        answer = self.valid(self.rest.patch(f"{self.path_of(pod)}/limits", patch, *options), self.TEMPLATE, "PATCH")
        self.assertEqual(answer.status, 200, answer.body)
        found: dict[str, Any] = answer.json
        return found

    def test_a_change_takes_effect_under_traffic(self) -> None:
        for direction in ("ingress", "egress"):
            for after in (3 * RATE, RATE // 2):
                with self.subTest(f"{direction}, {RATE} to {after} bit/s"):
                    pod = self.pod()
                    with pod.client().bulk(direction, 7) as bulk:
                        time.sleep(3)
                        limits = self.patched(pod, {direction: {"rate": f"{after // 1000}k"}})
                        timeline = bulk.result()["timeline_bytes"]
                    self.assert_rate(mean_rate(timeline, 1, 2.5), RATE, high=1.1)
                    self.assert_rate(mean_rate(timeline, 4.5, 7), after, high=1.05)
                    self.assertEqual((limits[direction]["rate"], limits[direction]["source"]),
                                     (after, "operator_override"))

    def test_merge_patch_value_by_value(self) -> None:
        pod = self.pod()
        limits = self.patched(pod, {"ingress": {"rate": "5M", "burst": 80_000}, "egress": {"rate": 0}})
        self.assertEqual(limits["ingress"]["override"], {"rate": 5_000_000, "burst": 80_000})
        self.assertEqual(limits["ingress"]["requested"]["rate"], RATE)
        self.assertEqual((limits["egress"]["rate"], limits["egress"]["override"]), (0, {"rate": 0}))
        self.assertEqual(self.natrad.properties(pod.object_path())["EgressShaper"], "")
        limits = self.patched(pod, {"ingress": {"rate": None}, "egress": None})
        self.assertEqual(limits["ingress"]["override"], {"burst": 80_000})
        self.assertEqual([limits[each]["rate"] for each in ("ingress", "egress")], [RATE, RATE])
        self.assertEqual(limits["egress"]["source"], "runtime")
        self.assertEqual(self.patched(pod, {}), limits)
        answer = self.valid(self.rest.delete(f"{self.path_of(pod)}/limits"), self.TEMPLATE, "DELETE")
        self.assertEqual(answer.json["ingress"]["override"], {})
        self.assertEqual(self.valid(self.rest.get(f"{self.path_of(pod)}/limits"), self.TEMPLATE).json, answer.json)

    def test_what_a_get_answered_is_taken_back_edited(self) -> None:
        pod = self.pod(ingress=RATE)
        path = f"{self.path_of(pod)}/limits"
        document = self.rest.get(path).json
        self.assertEqual(self.patched(pod, document), document)
        self.assertEqual(self.rest.get(path).json, document)
        document["ingress"]["rate"] = RATE // 2
        limits = self.patched(pod, document)
        self.assertEqual(limits["ingress"]["override"], {"rate": RATE // 2})
        self.assertEqual(limits["egress"]["override"], {})
        # By now somebody has changed what cannot be changed: the first edit.
        self.problem(self.rest.patch(path, document), 422, "ingress.source", "runtime")

    def test_overrides_survive_a_restart_and_end_with_the_pod(self) -> None:
        pod = self.pod()
        begin = time.time()
        self.assertEqual(self.rest.get(f"{self.path_of(pod)}/limits").json["overriddenAt"], None)
        limits = self.patched(pod, {"ingress": {"rate": RATE // 2}})
        self.assertRegex(limits["overriddenBy"], r"^uid 0, pid \d+ over REST$")
        at = datetime.datetime.fromisoformat(limits["overriddenAt"].replace("Z", "+00:00")).timestamp()
        self.assertTrue(begin - 1 <= at <= time.time() + 1, limits["overriddenAt"])
        before = self.rest.get(f"{self.path_of(pod)}/limits")
        self.natrad.restart()
        after = self.rest.get(f"{self.path_of(pod)}/limits")
        self.assertEqual((after.body, after.headers["etag"]), (before.body, before.headers["etag"]))
        # The same container, interface and name once more are another pod all the same.
        pod.delete()
        pod.destroy()
        pod.create()
        pod.add()
        limits = self.rest.get(f"{self.path_of(pod)}/limits").json
        self.assertEqual((limits["ingress"]["rate"], limits["ingress"]["override"], limits["overriddenBy"],
                          limits["overriddenAt"]), (RATE, {}, "", None))

    def test_what_is_pinned_of_the_data_path(self) -> None:
        pod = self.pod()
        template = "/v1/pods/{namespace}/{name}"

        def pinned() -> Any:
            found = self.valid(self.rest.get(self.path_of(pod)), template).json
            return found["dataPath"], bool(found["overriddenBy"])

        nothing = {"attachMode": None, "attachModeBy": None, "shaper": None, "shaperBy": None}
        self.assertEqual(pinned(), (nothing, False))
        self.natrad.call(pod.object_path(), ATTACHMENT, "SetDataPath", "a{sv}", 1, "Shaper", "s", "police")
        self.assertEqual(pinned(), ({**nothing, "shaper": "police", "shaperBy": "an operator"}, True))
        self.natrad.call(pod.object_path(), ATTACHMENT, "SetDataPath", "a{sv}", 2, "Shaper", "s", "auto",
                         "EdtPacing", "s", "off")
        self.assertEqual(pinned(), ({**nothing, "shaper": "not edt", "shaperBy": "an operator"}, True))
        self.natrad.call(pod.object_path(), ATTACHMENT, "ResetDataPath")
        self.assertEqual(pinned(), (nothing, False))

    def test_two_operators_do_not_overwrite_each_other(self) -> None:
        pod = self.pod()
        path = f"{self.path_of(pod)}/limits"
        tag = self.rest.get(path).headers["etag"]
        with_tag = ("--header", f"If-Match: {tag}")
        first = self.rest.patch(path, {"ingress": {"rate": "1M"}}, *with_tag)
        self.assertEqual(first.status, 200, first.body)
        self.assertNotEqual(first.headers["etag"], tag)
        for answer, method in ((self.rest.patch(path, {"ingress": {"rate": "2M"}}, *with_tag), "PATCH"),
                               (self.rest.delete(path, *with_tag), "DELETE"),
                               (self.rest.patch(path, {}, *with_tag), "PATCH")):
            self.problem(self.valid(answer, self.TEMPLATE, method), 412, "if-match", tag)
        self.assertEqual(self.rest.get(path).json["ingress"]["rate"], 1_000_000)
        self.patched(pod, {"ingress": {"rate": "2M"}}, "--header", f"If-Match: \"x\", {first.headers['etag']}")
        # curl sends a header without a value where its name ends in a semicolon.
        for header, value in (("If-Match: x", '"x"'), ("If-Match;", '""'), ("If-Match: *, \"x\"", '"*, "x""')):
            for answer in (self.rest.patch(path, {"ingress": {"rate": "3M"}}, "--header", header),
                           self.rest.patch(path, {}, "--header", header),
                           self.rest.delete(path, "--header", header)):
                self.problem(answer, 400, "if-match", value)
        tag = self.rest.get(path).headers["etag"]
        self.problem(self.rest.patch(path, {}, "--header", f"If-Match: W/{tag}"), 412)
        self.assertEqual(self.patched(pod, {}, "--header", "If-Match: *")["ingress"]["rate"], 2_000_000)
        self.assertEqual(self.patched(pod, {}, "--header", f"If-Match: , W/{tag}, {tag}")["ingress"]["rate"], 2_000_000)

    def test_a_tag_is_of_the_limits_whoever_changes_the_data_path(self) -> None:
        pod = self.pod()
        path = f"{self.path_of(pod)}/limits"
        before = self.patched(pod, {"ingress": {"rate": RATE // 2}})
        tag = self.rest.get(path).headers["etag"]
        self.natrad.call(pod.object_path(), ATTACHMENT, "SetDataPath", "a{sv}", 1, "Shaper", "s", "police")
        now = self.rest.get(path)
        self.assertNotEqual(now.json["overriddenBy"], before["overriddenBy"])
        self.assertEqual(now.headers["etag"], tag)
        self.assertEqual(self.rest.curl(path, "--header", f"If-None-Match: {tag}").status, 304)
        # What is asked for is the same as what holds: still another override.
        for patch in ({"egress": {"rate": RATE}}, {"ingress": {"rate": RATE // 4}}, {"ingress": None}):
            self.patched(pod, patch, "--header", f"If-Match: {tag}")
            tag, last = self.rest.get(path).headers["etag"], tag
            self.assertNotEqual(tag, last)

    def test_if_none_match(self) -> None:
        pod = self.pod()
        path = f"{self.path_of(pod)}/limits"
        tag = self.rest.get(path).headers["etag"]
        for given in (tag, f"W/{tag}", "*", f'"x", {tag}'):
            header = ("--header", f"If-None-Match: {given}")
            for method in ("GET", "HEAD"):
                answer = self.valid(self.rest.curl(path, *header, method=method), self.TEMPLATE)
                self.assertEqual((answer.status, answer.headers["etag"]), (304, tag))
                self.assertNotIn("content-length", answer.headers)
            for answer, method in ((self.rest.patch(path, {"ingress": {"rate": 1_000_000}}, *header), "PATCH"),
                                   (self.rest.delete(path, *header), "DELETE")):
                self.problem(self.valid(answer, self.TEMPLATE, method), 412, "if-none-match", given)
        self.assertEqual(self.rest.curl(path, "--header", 'If-None-Match: "x"').status, 200)
        for header, status, field in (('If-Match: "x"', 412, "if-match"), ("If-None-Match: x", 400, "if-none-match")):
            self.problem(self.valid(self.rest.curl(path, "--header", header), self.TEMPLATE), status, field, '"x"')
        self.assertEqual(self.rest.get(path).headers["etag"], tag)

    def test_a_patch_of_nothing_takes_its_turn(self) -> None:
        pod = self.pod()
        object_path = pod.object_path()
        path = f"{self.path_of(pod)}/limits"
        tag = self.rest.get(path).headers["etag"]
        with ThreadPoolExecutor() as clients:
            with held(self.natrad.pid, "natra-kernel"):
                first = clients.submit(self.rest.patch, path, {"ingress": {"rate": RATE // 2}})
                log = f"PATCH limits of lab/pod{pod.number} "
                self.assertTrue(eventually(lambda: log in self.natrad.log.read_text()))
                late = clients.submit(self.rest.patch, path, {}, "--header", f"If-Match: {tag}")
                self.assertEqual(self.rest.get(path).headers["etag"], tag)
                time.sleep(0.5)
                self.assertFalse(late.done(), "answered before the change that came first")
            self.assertEqual(first.result().status, 200)
            self.problem(self.valid(late.result(), self.TEMPLATE, "PATCH"), 412)
        answer = self.rest.patch(path, {})
        self.assertEqual(answer.json["ingress"]["rate"], RATE // 2)
        self.assertEqual((answer.body, answer.headers["etag"]),
                         (self.rest.get(path).body, self.rest.get(path).headers["etag"]))
        # Nobody has changed anything by it.
        before = self.natrad.properties(object_path)
        self.patched(pod, {"ingress": {}})
        after = self.natrad.properties(object_path)
        for name in ("OverriddenBy", "OverriddenAtUsec"):
            self.assertEqual(after[name], before[name])
        self.problem(self.rest.patch("/v1/pods/nobody/limits", {}), 404, "id", "nobody")

    def test_changes_that_take_long_hold_up_nobody_who_reads(self) -> None:
        pods = [self.pod() for _ in range(6)]  # more than natrad has workers
        with ThreadPoolExecutor() as clients:
            with held(self.natrad.pid, "natra-kernel"):
                changes = [clients.submit(self.rest.patch, f"{self.path_of(pod)}/limits",
                                          {"ingress": {"rate": RATE // 2}}) for pod in pods]
                for pod in pods:
                    log = f"PATCH limits of lab/pod{pod.number} "
                    self.assertTrue(eventually(lambda log=log: log in self.natrad.log.read_text()))
                for path in ("/healthz", "/v1/status", "/v1/pods", "/metrics"):
                    self.assertEqual(self.rest.get(path).status, 200)
                self.assertEqual([change.done() for change in changes], [False] * len(pods))
            for change in changes:
                answer = self.valid(change.result(), self.TEMPLATE, "PATCH")
                self.assertEqual((answer.status, answer.json["ingress"]["rate"]), (200, RATE // 2))

    def test_what_is_wrong_is_named_and_changes_nothing(self) -> None:
        pod = self.pod(ingress=RATE, egress=0)
        path = f"{self.path_of(pod)}/limits"
        before = self.rest.get(path).body
        for patch, field, value in (
                ({"ingress": {"rate": "fast"}}, "ingress.rate", "fast"),
                ({"ingress": {"rate": -1}}, "ingress.rate", -1),
                ({"ingress": {"rate": 1.5}}, "ingress.rate", 1.5),
                ({"ingress": {"rate": 10**15 + 1}}, "ingress.rate", 10**15 + 1),
                ({"ingress": {"burst": 2**40}}, "ingress.burst", 2**40),
                ({"egress": {"burst": 8000}}, "egress.burst", 8000),
                ({"ingress": {"speed": 1}}, "ingress.speed", 1),
                ({"sideways": {}}, "sideways", "an object"),
                # One good and one bad: nothing is half-applied.
                ({"ingress": {"rate": 5_000_000}, "egress": {"rate": "x"}}, "egress.rate", "x"),
                ({"ingress": {"rate": 5_000_000}, "egress": {"rate": 2**63}}, "egress.rate", 2**63)):
            with self.subTest(str(patch)):
                self.problem(self.valid(self.rest.patch(path, patch), self.TEMPLATE, "PATCH"), 422, field, value)
                self.assertEqual(self.rest.get(path).body, before)
        for text in ("", "{", "[]", "null", '{"ingress": {"rate": 1}, "ingress": {}}'):
            with self.subTest(text):
                self.problem(self.rest.patch(path, text), 400)
        self.problem(self.rest.patch(path, "{}", content_type="text/plain"), 415, "content-type", "text/plain")
        self.problem(self.rest.patch(path, " " * 70_000), 413)
        self.problem(self.rest.patch("/v1/pods/nobody/limits", {}), 404, "id", "nobody")
        self.assertEqual(self.rest.get(path).body, before)
