# SPDX-License-Identifier: Apache-2.0
"""Prometheus understands what docs/ gives it: alert rules, the dashboard's expressions, the manual's questions."""
from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ALERTS = ROOT / "docs/monitoring/alerts.yml"
ALERTS_TEST = ROOT / "tests/monitoring/alerts_test.yml"
DASHBOARD = ROOT / "docs/monitoring/dashboard.json"
MANUAL = ROOT / "docs/usage/metrics.md"
# As Grafana replaces them.
VARIABLES = {"$__rate_interval": "1m", "$instance": ".*", "$namespace": ".*", "$pod": ".*"}


def promtool(*arguments: str) -> str:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"promtool {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


def expressions(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "expr" in node:
            yield node["expr"]
        for value in node.values():
            yield from expressions(value)
    elif isinstance(node, list):
        for value in node:
            yield from expressions(value)


def questions(text: str) -> list[str]:
    """Of the manual's block: each begins with a comment, and goes on in lines that are indented."""
    block = re.findall(r"^```promql\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for line in "".join(block).splitlines() if not line.startswith("#")]
    out: list[str] = []
    for line in lines:
        # What a line begins in parentheses the next ones go on with.
        if out and (line.startswith(" ") or out[-1].count("(") > out[-1].count(")")):
            out[-1] += f" {line.strip()}"
        else:
            out.append(line)
    return out


@unittest.skipUnless(shutil.which("promtool"), "no promtool: package prometheus")
class Monitoring(unittest.TestCase):
    def assert_understood(self, found: list[str]) -> None:
        for name, value in VARIABLES.items():
            found = [each.replace(name, value) for each in found]
        for each in found:
            self.assertNotIn("$", each)
        rules = [{"record": f"test:expression:{number}", "expr": each} for number, each in enumerate(found)]
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            # JSON is YAML.
            json.dump({"groups": [{"name": "test", "rules": rules}]}, file)
            file.flush()
            self.assertIn(f"{len(found)} rules found", promtool("check", "rules", file.name))

    def test_alert_rules(self) -> None:
        promtool("check", "rules", str(ALERTS))
        promtool("test", "rules", str(ALERTS_TEST))
        # Each is seen both to fire and not to.
        cases = ALERTS_TEST.read_text()
        for name in re.findall(r"^ +- alert: (\w+)$", ALERTS.read_text(), re.MULTILINE):
            self.assertRegex(cases, rf"alertname: {name}, eval_time: \w+, exp_alerts: \[\]")
            self.assertRegex(cases, rf"alertname: {name}\n +eval_time: \w+\n +exp_alerts:\n +- exp_labels")

    def test_dashboard(self) -> None:
        found = list(expressions(json.loads(DASHBOARD.read_text())))
        self.assertGreater(len(found), 10)
        self.assert_understood(found)

    def test_the_manuals_questions(self) -> None:
        found = questions(MANUAL.read_text())
        self.assertEqual(len(found), 5)
        self.assert_understood(found)

    def test_what_prometheus_does_not_understand_is_found(self) -> None:
        for wrong in ("rate(natra_pod_bytes_total)", "sum by (pod) natra_pod_bytes_total", "topk(natra_degradations"):
            with self.assertRaises(AssertionError):
                self.assert_understood([wrong])


if __name__ == "__main__":
    unittest.main()
