# SPDX-License-Identifier: Apache-2.0
"""/metrics: what Prometheus reads, and what the documents say of it."""
from __future__ import annotations

import json
import re
from pathlib import Path

from lab import process
from lab.natrad import Natrad
from lab.node import Node
from lab.pod import Pod
from rest_case import RestCase
from support import RATE, eventually


class Metrics(RestCase):
    def values(self, text: str) -> dict[str, float]:
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
                for line in text.splitlines() if not line.startswith("#")}

    def test_promtool_finds_nothing_to_say(self) -> None:
        self.pod()
        answer = self.valid(self.rest.get("/metrics"), "/metrics")
        if process.run(["sh", "-c", "command -v promtool"], check=False).returncode != 0:
            self.skipTest("no promtool: package prometheus")
        done = process.run(["promtool", "check", "metrics"], stdin=answer.body, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        rules = Path(__file__).resolve().parents[2] / "docs" / "monitoring" / "alerts.yml"
        process.run(["promtool", "check", "rules", str(rules)])

    def test_rules_dashboard_and_manual_speak_of_metrics_that_exist(self) -> None:
        self.pod()
        docs = Path(__file__).resolve().parents[2] / "docs"
        families = set(re.findall(r"^# TYPE (\S+)", self.rest.get("/metrics").body, re.MULTILINE))
        for path in ("monitoring/alerts.yml", "monitoring/dashboard.json", "usage/metrics.md"):
            words = set(re.findall(r"\bnatra_[a-z_]*[a-z]\b", (docs / path).read_text()))
            self.assertGreater(len(words), 5, path)
            self.assertEqual({re.sub("_(bucket|sum|count)$", "", word) for word in words} - families, set(), path)
        manual = (docs / "usage/metrics.md").read_text()
        unexplained = {name for name in families if name.startswith("natra_") and name not in manual}
        # "natra_x_bytes_total, ..._packets_total": those of the second kind.
        self.assertEqual({name for name in unexplained if not name.endswith("_packets_total")}, set())

    def test_figures_are_those_of_the_bus(self) -> None:
        pod = self.pod()
        with pod.client().bulk("ingress", 3) as bulk:
            bulk.result()
        labels = f'namespace="lab",pod="pod{pod.number}",interface="eth0",container_id="{pod.container_id}"'
        self.rest.get("/healthz")
        # Something is always sent: neighbours are looked for, say.
        before = self.natrad.counters(pod.object_path(), "ingress")
        text = self.rest.get("/metrics").body
        after = self.natrad.counters(pod.object_path(), "ingress")
        values = self.values(text)
        self.assertEqual(len(values), len([line for line in text.splitlines() if not line.startswith("#")]))
        ingress = f'{labels},direction="ingress"'
        self.assertEqual(values[f"natra_pod_limit_bytes_per_second{{{ingress}}}"], RATE / 8)
        for verdict in ("fast", "paced", "dropped"):
            for unit in ("Bytes", "Packets"):
                name = f"{verdict.capitalize()}{unit}"
                found = values[f'natra_pod_{unit.lower()}_total{{{ingress},verdict="{verdict}"}}']
                self.assertTrue(before[name] <= found <= after[name], f"{before[name]}, {found}, {after[name]}")
        self.assertGreater(before["PacedBytes"], 0)
        self.assertGreaterEqual(values['natra_api_requests_total{route="/healthz",method="GET",status="200"}'], 1)
        self.assertEqual(sum(value for name, value in values.items() if name.startswith("natra_attachments{")), 2)
        self.assertEqual(values["natra_attached_interfaces"], 1)
        self.assertGreaterEqual(values["natra_attach_duration_seconds_count"], 1)

    def test_waits_are_a_histogram(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        self.assertNotIn("natra_pod_queue_delay_seconds_count", self.rest.get("/metrics").body)
        with pod.client().bulk("ingress", 3) as bulk:
            bulk.result()
        before = self.natrad.counters(path, "ingress")
        answer = self.rest.get("/metrics")
        found = self.valid(self.rest.get(self.path_of(pod)), "/v1/pods/{namespace}/{name}").json["ingress"]["queueDelay"]
        after = self.natrad.counters(path, "ingress")
        values = {name: value for name, value in self.values(answer.body).items()
                  if name.startswith("natra_pod_queue_delay_seconds") and 'direction="ingress"' in name}
        buckets = [value for name, value in values.items() if "_bucket{" in name]
        count = next(value for name, value in values.items() if "_count{" in name)
        total = next(value for name, value in values.items() if "_sum{" in name)
        self.assertEqual((len(values), len(buckets)), (14, 12))
        self.assertEqual(sorted(buckets), buckets)
        self.assertEqual(buckets[-1], count)
        self.assertTrue(before["PacedPackets"] <= count <= found["packets"] <= after["PacedPackets"])
        self.assertTrue(before["QueueDelayNsec"] * 0.999 <= total * 1e9 <= after["QueueDelayNsec"] * 1.001)
        self.assertEqual(sum(bucket["packets"] for bucket in found["buckets"]), found["packets"])
        if self.natrad.properties(path)["IngressShaper"] != "police":
            self.assertGreater(total, 0, "a bulk flow has a queue")
        on_bus = self.natrad.properties(path)["IngressQueueDelay"]
        self.assertEqual([bucket["atMostSeconds"] for bucket in found["buckets"]],
                         [ns / 1e9 for ns, _ in on_bus[:-1]] + [None])
        for bucket, (_, packets) in zip(found["buckets"], on_bus):
            self.assertLessEqual(bucket["packets"], packets)
        if process.run(["sh", "-c", "command -v promtool"], check=False).returncode == 0:
            done = process.run(["promtool", "check", "metrics"], stdin=answer.body, check=False)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_what_has_ended_has_no_series(self) -> None:
        with Pod(self.node, limits=self.pod().limits) as pod:
            self.assertIn(pod.container_id, self.rest.get("/metrics").body)
        self.assertNotIn(pod.container_id, self.rest.get("/metrics").body)

    def test_names_from_clients_become_no_labels(self) -> None:
        self.rest.curl("/v1/pods/some-name", method="BREW")
        self.rest.get("/v1/nowhere/else")
        texts: list[str] = []

        def has_both() -> bool:
            texts.append(self.rest.get("/metrics").body)
            return all(f'natra_api_requests_total{{route="other",method="{method}",' in texts[-1]
                       for method in ("other", "GET"))

        self.assertTrue(eventually(has_both), "figures may be 100 ms old, and no older")
        for word in ("BREW", "some-name", "nowhere"):
            self.assertNotIn(word, texts[-1])


class FewSeries(RestCase):
    @classmethod
    def start(cls, node: Node, **env: str) -> Natrad:
        config = node.folder / "natrad.json"
        config.write_text(json.dumps({"api": {"metricsPods": 2}}))
        return super().start(node, NATRA_CONFIG=str(config), **env)

    def test_no_more_than_configured(self) -> None:
        for _ in range(4):
            self.pod()
        text = self.rest.get("/metrics").body
        self.assertEqual(len(set(re.findall(r'container_id="([^"]+)"', text))), 2)
        self.assertIn("natra_attached_interfaces_without_series 2\n", text)
