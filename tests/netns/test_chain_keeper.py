# SPDX-License-Identifier: Apache-2.0
"""natrad keeps itself in the chain that the runtime uses."""
from __future__ import annotations

import json
import unittest
from typing import Any

from lab.node import Node
from lab.pod import Limiter, Limits, Pod, conflist
import support
from support import RATE, eventually


class Keeper(unittest.TestCase):
    def setUp(self) -> None:
        self.node = self.enterContext(Node(support.BUILD))
        self.net_d = self.node.folder / "net.d"
        self.bin = self.node.folder / "bin"
        for each in (self.net_d, self.bin):
            each.mkdir()
        for name in ("natra", "ptp"):
            found = next(folder / name for folder in self.node.build.cni_path() if (folder / name).is_file())
            (self.bin / name).symlink_to(found.resolve())
        self.config = self.node.folder / "natrad.json"
        self.file = self.net_d / "10-lab.conflist"
        self.configure(True)

    def configure(self, manage: bool) -> None:
        self.config.write_text(json.dumps({"chain": {
            "manage": manage, "directories": [str(self.net_d)], "binaryDirectories": [str(self.bin)],
            "stateDirectory": str(self.node.folder / "chain-state")}}))

    def types(self) -> list[str]:
        return [each["type"] for each in json.loads(self.file.read_text())["plugins"]]

    def write(self, conf: dict[str, Any]) -> str:
        text = json.dumps(conf)
        self.file.write_text(text)
        return text

    def test_a_pod_of_the_kept_chain_is_limited_and_the_original_comes_back(self) -> None:
        original = self.write(conflist(self.node, Limiter.STOCK))
        natrad = self.node.start_natrad(NATRA_CONFIG=str(self.config))
        self.assertTrue(eventually(lambda: self.types() == ["ptp", "natra"]))
        with Pod(self.node, limits=Limits(RATE, RATE), config=json.loads(self.file.read_text())) as pod:
            facts = natrad.properties(pod.object_path())
            self.assertEqual((facts["IngressRate"], facts["EgressRate"]), (RATE, RATE))
        self.configure(False)
        natrad.restart()
        self.assertTrue(eventually(lambda: self.file.read_text() == original))

    def test_two_limiters_in_one_chain_are_told_of_though_it_is_not_managed(self) -> None:
        self.configure(False)
        stock = next(folder / "bandwidth" for folder in self.node.build.cni_path() if (folder / "bandwidth").is_file())
        (self.bin / "bandwidth").symlink_to(stock.resolve())
        conf = conflist(self.node, Limiter.NATRA)
        conf["plugins"].append({"type": "bandwidth", "capabilities": {"bandwidth": True}})
        text = self.write(conf)
        natrad = self.node.start_natrad(NATRA_CONFIG=str(self.config))
        told = [each for each in natrad.status()["Degraded"] if str(self.file) in each]
        self.assertEqual(len(told), 1, natrad.status()["Degraded"])
        self.assertIn('plugins[1] ("natra") and plugins[2] ("bandwidth")', told[0])
        self.assertEqual(self.file.read_text(), text)
        self.write(conflist(self.node, Limiter.NATRA))
        self.assertTrue(eventually(lambda: natrad.status()["Degraded"] == []))

    def test_files_that_appear_later_and_a_plugin_that_is_missing(self) -> None:
        natrad = self.node.start_natrad(NATRA_CONFIG=str(self.config))
        (self.bin / "natra").unlink()
        self.write(conflist(self.node, Limiter.NONE))
        self.assertTrue(eventually(lambda: any("natra is not in" in each for each in natrad.status()["Degraded"])))
        self.assertEqual(self.types(), ["ptp"])
        (self.bin / "natra").symlink_to(self.node.build.shim.resolve())
        self.write(conflist(self.node, Limiter.NONE))
        self.assertTrue(eventually(lambda: self.types() == ["ptp", "natra"]))
        self.assertEqual(natrad.status()["Degraded"], [])
