# SPDX-License-Identifier: Apache-2.0
"""The configuration: checked, and changed while natrad and traffic run."""
from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import time
from pathlib import Path
from typing import Any, ClassVar

import support
from lab import process
from lab.node import Node
from lab.traffic import DIRECTIONS
from support import RATE, NodeCase, mean_rate


class Configured(NodeCase):
    """A node whose natrad has a file of its own; configure() writes it."""

    file: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        cls.node = cls.enterClassContext(Node(support.BUILD))
        cls.file = cls.node.folder / "natrad.json"
        cls.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        cls.addClassCleanup(cls.notify.close)
        cls.notify.bind(str(cls.node.folder / "notify"))
        cls.natrad = cls.node.start_natrad(NATRA_CONFIG=str(cls.file),
                                           NOTIFY_SOCKET=str(cls.node.folder / "notify"))

    def setUp(self) -> None:
        # What natrad said when it came up, and of the case before.
        self.notify.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.notify.recv(4096)
        self.notify.settimeout(20)
        self.configure()

    def configure(self, **values: Any) -> str:
        """Returns what natrad logged while it reloaded."""
        self.file.write_text(json.dumps(values))
        return self.reload()

    def reload(self) -> str:
        start = self.natrad.log.stat().st_size
        self.natrad.signal(signal.SIGHUP)
        self.told = []
        while "READY=1" not in self.told:
            self.told.append(self.notify.recv(4096).decode())
        return self.natrad.log.read_bytes()[start:].decode()


class Reload(Configured):
    def test_new_limits_are_in_force_under_traffic_and_nothing_is_lost(self) -> None:
        pod = self.pod(ingress_burst=RATE, egress_burst=RATE)
        path = pod.object_path()
        self.assertEqual(self.natrad.properties(path)["IngressBurst"], RATE)
        before = {each: self.natrad.counters(path, each) for each in DIRECTIONS}
        with pod.client().bulk("ingress", 5) as bulk:
            time.sleep(2)
            self.configure(limits={"maxBurst": "10ms", "heavyThreshold": {"time": "2ms"}})
            timeline = bulk.result()["timeline_bytes"]
        self.assert_rate(mean_rate(timeline, 1.5, 4.5), RATE, 0.75, 1.05)
        facts = self.natrad.properties(path)
        self.assertEqual((facts["IngressBurst"], facts["EgressBurst"]), (RATE // 100, RATE // 100))
        for direction in DIRECTIONS:
            after = self.natrad.counters(path, direction)
            self.assertEqual({name for name, value in before[direction].items() if after[name] < value}, set())
        pod.chain.check(pod.attachment)
        self.natrad.restart()
        self.assertEqual(self.natrad.properties(path)["IngressBurst"], RATE // 100)
        pod.chain.check(pod.attachment)

    def test_default_burst(self) -> None:
        pod = self.pod()
        path = pod.object_path()
        self.assertEqual(self.natrad.properties(path)["EgressBurst"], 0)
        self.configure(limits={"defaultBurst": "50ms"})
        self.assertEqual(self.natrad.properties(path)["EgressBurst"], RATE // 20)
        pod.chain.check(pod.attachment)
        self.configure()
        self.assertEqual(self.natrad.properties(path)["EgressBurst"], 0)
        pod.chain.check(pod.attachment)

    def test_a_wrong_configuration_changes_nothing(self) -> None:
        pod = self.pod(ingress_burst=RATE)
        path = pod.object_path()
        said = self.configure(limits={"maxBurst": "5ms"}, shaper="fq")
        self.assertIn(f'{self.file}: shaper: "fq" is none of auto, edt, htb, police', said)
        self.assertIn("stays in force", said)
        self.assertEqual(self.natrad.properties(path)["IngressBurst"], RATE)
        self.file.write_text("{")
        self.assertIn("parse error", self.reload())

    def test_what_is_unknown_and_what_needs_a_restart_is_named(self) -> None:
        said = self.configure(limits={"maxBrust": "5ms"}, spoolDir="/nowhere")
        self.assertIn(f"{self.file}: limits.maxBrust: unknown key", said)
        self.assertIn("spoolDir has changed: in force when natrad is restarted", said)
        # Not in force yet, so it is said again.
        self.assertIn("spoolDir has changed", self.configure(spoolDir="/nowhere"))

    def test_the_service_manager_is_told(self) -> None:
        self.configure()
        reloading, ready = self.told
        self.assertRegex(reloading, r"^RELOADING=1\nMONOTONIC_USEC=[1-9]\d*$")
        self.assertEqual(ready, "READY=1")

    def test_log_level(self) -> None:
        self.configure(logLevel="error")
        size = self.natrad.log.stat().st_size
        self.pod()
        self.assertEqual(self.natrad.log.stat().st_size, size)


class Check(NodeCase):
    natrad_env = None

    def check(self, text: str) -> tuple[int, str]:
        file = self.node.folder / "check.json"
        file.write_text(text)
        done = process.run([str(support.BUILD.natrad), "--check-config", str(file)], check=False)
        return done.returncode, done.stdout + done.stderr

    def test_valid(self) -> None:
        status, said = self.check('{"shaper": "htb" /* why */}')
        self.assertEqual(status, 0, said)
        self.assertTrue(said.startswith("configuration is valid\n"), said)
        self.assertIn(f'shaper = "htb" ({self.node.folder}/check.json)', said)

    def test_every_problem_is_printed(self) -> None:
        status, said = self.check('{"shaper": 7, "colour": "red", "limits": {"maxBurst": "long"}}')
        self.assertEqual(status, 1)
        for word in ("shaper: 7 is none of", "colour: unknown key", 'limits.maxBurst: "long" is not a time'):
            self.assertIn(word, said)

    def test_the_manuals_have_every_key_and_variable(self) -> None:
        status, said = self.check("{}")
        self.assertEqual(status, 0, said)
        keys = re.findall(r"^(\S+) = ", said, re.MULTILINE)
        self.assertGreater(len(keys), 20)
        docs = Path(__file__).resolve().parents[2] / "docs"
        schema = (docs.parent / "daemon/config/schema.cpp").read_text()
        variables = re.findall(r'"(NATRA_\w+)"', schema)
        self.assertGreater(len(variables), 5)
        for page in (docs / "usage/configuration.md", docs / "man/natrad.json.5"):
            words = set(re.findall(r"[\w.]+", page.read_text()))
            self.assertEqual([each for each in (*keys, *variables) if each not in words], [], page)

    def test_help_and_wrong_usage(self) -> None:
        for option in ("--help", "-h"):
            done = process.run([str(support.BUILD.natrad), option])
            self.assertTrue(done.stdout.startswith("usage: natrad "), done.stdout)
            self.assertEqual(done.stderr, "")
        for wrong in (["--colour"], ["--help", "me"], ["--check-config", "a", "b"]):
            done = process.run([str(support.BUILD.natrad), *wrong], check=False)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertTrue(done.stderr.startswith("usage: natrad "), done.stderr)
        manual = (Path(__file__).resolve().parents[2] / "docs/man/natrad.8").read_text().replace("\\-", "-")
        for option in re.findall(r"--[a-z-]+", process.run([str(support.BUILD.natrad), "--help"]).stdout):
            self.assertIn(option, manual)

    def test_a_reload_is_refused_for_errors_and_not_for_unknown_keys(self) -> None:
        file = self.node.folder / "reload.json"
        for text, status in (('{"shaper": "fq"}', 78), ('{"colour": "red"}', 0), ("{}", 0)):
            file.write_text(text)
            done = process.run([str(support.BUILD.natrad), "--check-reload"], check=False,
                               env={"NATRA_CONFIG": str(file)})
            self.assertEqual((done.returncode, done.stdout), (status, ""), text)
            self.assertEqual("the configuration was not reloaded" in done.stderr, status != 0, done.stderr)

    def test_absent_file(self) -> None:
        done = process.run([str(support.BUILD.natrad), "--check-config", "/nonexistent.json"], check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nonexistent.json", done.stderr)

    def test_natrad_does_not_start_with_errors(self) -> None:
        file = self.node.folder / "bad.json"
        file.write_text('{"edtPacing": "on", "shaper": "htb"}')
        done = process.run([str(support.BUILD.natrad)], check=False,
                           env={"NATRA_CONFIG": str(file), "NATRA_RUNTIME_DIR": str(self.node.folder / "run")})
        # What natrad.service has in RestartPreventExitStatus=.
        self.assertEqual(done.returncode, 78)
        self.assertIn(f'edtPacing ({file}): "on" contradicts shaper ({file}): "htb"', done.stderr)
