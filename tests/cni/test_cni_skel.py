# SPDX-License-Identifier: Apache-2.0
"""What the Go library's skeleton (cni/pkg/skel) checks before a plugin's own code: its cases, its codes, its texts."""
from __future__ import annotations

import json
from typing import Any

from plugin import VERSIONS, Answer, VethPod, run
from support import NodeCase

GOOD = {"CONTAINERID": "some-container-id", "NETNS": "/nonexistent", "IFNAME": "eth0",
        "CNI_ARGS": "some;extra;args"}
CONF = {"cniVersion": "1.1.0", "name": "skel-test", "type": "natra"}


class Skel(NodeCase):
    natrad_env = None

    def run_with(self, verb: str, stdin: Any = None, **env: str) -> Answer:
        return run(self.node, verb, CONF if stdin is None else stdin, **{**GOOD, **env})

    def assert_error(self, answer: Answer, code: int, message: str, details: str | None = None) -> None:
        self.assertEqual((answer.code, answer.message), (code, message))
        self.assertEqual(answer.err, "", "errors are for stdout")
        if details is not None:
            self.assertEqual(json.loads(answer.out).get("details", ""), details)

    def test_each_missing_variable_is_named(self) -> None:
        for verb, needed in (("ADD", ("CONTAINERID", "NETNS", "IFNAME")), ("CHECK", ("CONTAINERID", "NETNS", "IFNAME")),
                             ("DEL", ("CONTAINERID", "IFNAME")), ("GC", ("PATH",))):
            for name in needed:
                with self.subTest(f"{verb} {name}"):
                    self.assert_error(self.run_with(verb, **{name: ""}), 4,
                                      f"required env variables [CNI_{name}] missing")

    def test_all_missing_variables_are_named(self) -> None:
        for verb, names in (("ADD", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME"),
                            ("CHECK", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME"), ("DEL", "CNI_CONTAINERID,CNI_IFNAME")):
            with self.subTest(verb):
                answer = self.run_with(verb, CONTAINERID="", NETNS="", IFNAME="")
                self.assert_error(answer, 4, f"required env variables [{names}] missing")

    def test_variables_that_may_be_missing(self) -> None:
        for verb, name in (("DEL", "NETNS"), ("ADD", "PATH"), ("DEL", "PATH"), ("STATUS", "CONTAINERID"),
                           ("STATUS", "PATH"), ("GC", "CONTAINERID")):
            with self.subTest(f"{verb} {name}"):
                answer = self.run_with(verb, {**CONF, "prevResult": {"cniVersion": "1.1.0"}}, **{name: ""})
                self.assertEqual(answer.status, 0, answer.out)

    def test_container_ids(self) -> None:
        for name in ("some-%%container-id", "-leading", "_leading", ".leading", "a/b", "a b", "a\u00e9"):
            with self.subTest(name):
                self.assert_error(self.run_with("ADD", CONTAINERID=name), 4, "invalid characters in containerID", name)

    def test_interface_names(self) -> None:
        for name, message in (("1234567890123456", "interface name is too long"), (".", "interface name is . or .."),
                              ("..", "interface name is . or .."),
                              ("test/test", "interface name contains / or : or whitespace characters"),
                              ("test:test", "interface name contains / or : or whitespace characters"),
                              ("test test", "interface name contains / or : or whitespace characters"),
                              ("test\ttest", "interface name contains / or : or whitespace characters")):
            with self.subTest(name):
                self.assert_error(self.run_with("ADD", IFNAME=name), 4, message)

    def test_unknown_command(self) -> None:
        self.assert_error(self.run_with("NOPE"), 4, "unknown CNI_COMMAND: NOPE")
        self.assert_error(self.run_with("add"), 4, "unknown CNI_COMMAND: add")

    def test_no_command_is_a_person(self) -> None:
        answer = self.run_with("")
        self.assertEqual((answer.status, answer.out), (0, ""))
        self.assertIn("CNI protocol versions supported: 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0", answer.err)

    def test_stdin_that_is_no_configuration(self) -> None:
        for stdin in ("", "{:}", "[]", "7", '{"name": 7}', CONF_TEXT + "x", CONF_TEXT[:-1]):
            with self.subTest(stdin):
                answer = self.run_with("ADD", stdin)
                self.assertEqual(answer.code, 6)
                self.assertTrue(answer.message.startswith("error unmarshall network config: "), answer.message)

    def test_stdin_that_cannot_be_read(self) -> None:
        env = {"CNI_COMMAND": "ADD", **{f"CNI_{name}": GOOD[name] for name in ("CONTAINERID", "NETNS", "IFNAME")}}
        done = self.node.host.run(["sh", "-c", 'exec "$0" </', str(self.node.build.shim)], env=env, check=False)
        answer = Answer(done.returncode, done.stdout, done.stderr, 0)
        self.assert_error(answer, 5, "error reading from stdin: Is a directory")

    def test_network_names(self) -> None:
        self.assert_error(self.run_with("ADD", {"cniVersion": "1.1.0"}), 7, "missing network name")
        self.assert_error(self.run_with("ADD", {**CONF, "name": ""}), 7, "missing network name")
        for name in ("te%%st", "a b", "-x", "a/b"):
            with self.subTest(name):
                self.assert_error(self.run_with("ADD", {**CONF, "name": name}), 7,
                                  "invalid characters found in network name", name)

    def test_a_configuration_without_a_version_is_0_1_0(self) -> None:
        for verb in ("ADD", "DEL"):
            self.assert_error(self.run_with(verb, {"name": "skel-test"}), 1, "incompatible CNI versions",
                              'config is "0.1.0", plugin supports ["0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]')
        for verb in ("CHECK", "GC", "STATUS"):
            self.assert_error(self.run_with(verb, {"name": "skel-test"}), 1,
                              f"config version does not allow {verb}")

    def test_versions_are_compared_as_texts(self) -> None:
        for version in ("0.1.0", "0.2.0", "0.3.2", "1.0", "1.2.0", "v1.0.0", "1.0.0-rc1"):
            with self.subTest(version):
                self.assert_error(self.run_with("ADD", {**CONF, "cniVersion": version}), 1,
                                  "incompatible CNI versions")

    def test_gates(self) -> None:
        gates = {"CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}
        for verb, first in gates.items():
            for version in (*VERSIONS, "1.2.0"):
                with self.subTest(f"{verb} {version}"):
                    answer = self.run_with(verb, {**CONF, "cniVersion": version,
                                                  "prevResult": {"cniVersion": version}})
                    if version == "1.2.0":
                        self.assert_error(answer, 1, f"plugin version does not allow {verb}")
                    elif version < first:
                        self.assert_error(answer, 1, f"config version does not allow {verb}")
                    else:
                        self.assertEqual(answer.status, 0, answer.out)

    def test_version_needs_no_stdin_and_no_names(self) -> None:
        for stdin in ("", "{", '{"cniVersion": "9.9.9"}'):
            answer = self.run_with("VERSION", stdin, CONTAINERID="", NETNS="", IFNAME="", PATH="")
            self.assertEqual(answer.result["supportedVersions"], list(VERSIONS))

    def test_the_plugins_own_namespace(self) -> None:
        pod = VethPod(self.node)
        self.addCleanup(pod.destroy)
        answer = pod.run("ADD", pod.conf("1.1.0"), NETNS=self.node.host.path)
        self.assert_error(answer, 8, "plugin's netns and netns from CNI_NETNS should not be the same")
        allowed = pod.run("ADD", pod.conf("1.1.0"), NETNS=self.node.host.path, CNI_NETNS_OVERRIDE="TRUE")
        self.assertEqual(allowed.status, 0, allowed.out)

    def test_an_error_is_an_object_of_code_and_message(self) -> None:
        answer = self.run_with("ADD")
        self.assertEqual(answer.out, '{\n    "code": 999,\n    "msg": "must be called as chained plugin"\n}\n')


CONF_TEXT = json.dumps(CONF)
