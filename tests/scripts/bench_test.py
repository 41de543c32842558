# SPDX-License-Identifier: Apache-2.0
"""Does the benchmark judge and write down what was measured, no more and no less?"""
from __future__ import annotations

import sys
import unittest
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "bench")]

import markdown  # noqa: E402
import targets  # noqa: E402

STREAM = {"arrived": 0.999, "delay_p50_us": 150.0, "delay_p99_us": None, "delay_max_us": 4000.0, "stream_rate": 2e6,
          "idle_p50_us": 100.0, "idle_p99_us": 900.0, "delay_over_p50_us": 50.0, "delay_over_p99_us": None,
          "delay_over_max_us": 3100.0}


def row(limiter: str, figures: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"part": "stream", "limiter": limiter, "direction": "ingress", "rate": 20_000_000, "flows": 4,
            "congestion_control": "cubic", "traffic": "", "figures": figures, **more}


class Targets(unittest.TestCase):
    def test_below_the_base_is_met(self) -> None:
        checks = targets.check({**STREAM, "delay_over_p50_us": -20.0, "delay_over_max_us": -1.0}, targets.STREAM)
        self.assertEqual(targets.verdict(checks), "ok")

    def test_the_maximum_stands_in_for_an_unknown_p99(self) -> None:
        verdict = targets.verdict(targets.check(STREAM, targets.STREAM))
        self.assertEqual(verdict, "miss: delay p99 over idle= x1.03")

    def test_without_the_stock_plugin_names_may_not_be_lost(self) -> None:
        for stock, lost, wanted in ((None, 0.1, "miss"), (None, 0.0, "ok"), ({"lost_share": 0.1}, 0.1, "ok")):
            checks = targets.check({"lost_share": lost}, targets.dns_targets(stock))
            self.assertTrue(targets.verdict(checks).startswith(wanted))

    def test_behind_cake_is_more_than_noise(self) -> None:
        ours = {"arrived": 0.9, "delay_p50_us": 5000.0, "delay_p99_us": None, "goodput": 0.95}
        self.assertEqual(targets.behind(ours, {"arrived": 1.0, "delay_p50_us": 1000.0, "delay_p99_us": 1.0,
                                               "goodput": 0.955}),
                         ["arrived 0.900 to 1.000", "delay_p50 5.0 ms to 1.0 ms"])
        self.assertEqual(targets.behind(ours, ours), [])


class Markdown(unittest.TestCase):
    def document(self, rows: list[dict[str, Any]], absent: list[str]) -> str:
        facts = {"kernel": "6.12.1", "shapers": {"ingress": "edt"}, "commit": "abc1234", "date": "2026-01-02",
                 "absent": absent, "virtual": True, "arguments": {"seconds": 5, "parts": ["stream"]}}
        return markdown.document([{"environment": facts, "rows": rows}])

    def test_contenders_stand_side_by_side(self) -> None:
        text = self.document([row("stock", STREAM), row("natra", STREAM, target="ok", behind_cake=[]),
                              row("cake", {**STREAM, "arrived": 1.0})], [])
        self.assertIn("| limit | direction | TCP | UDP Mbit/s | idle | natra | stock | CAKE | target | behind CAKE |",
                      text)
        self.assertIn("| 20 Mbit/s | to the pod | 4 cubic | 2.0 (0.5 of its share) | 0.1 / 0.9 | 99.9 %, "
                      "0.15 / =4.0 | 99.9 %, 0.15 / =4.0 | 100 %, 0.15 / =4.0 | ok |  |", text)
        self.assertIn("1 of 1 cells meet their targets.", text)

    def test_misses_and_absences_are_told(self) -> None:
        text = self.document([row("natra", STREAM, target="miss: arrived x1.20")], ["cake", "fq_codel"])
        self.assertIn("**missed**: arrived x1.20", text)
        self.assertIn("0 of 1 cells meet their targets.", text)
        self.assertIn("| abc1234 | 2026-01-02 | 5 | stream | CAKE, HTB + fq_codel |", text)

    def test_every_part_about_fairness_has_a_table(self) -> None:
        self.assertLessEqual(set(markdown.columns.FAIR_PARTS), set(markdown.PARTS))


if __name__ == "__main__":
    unittest.main()
