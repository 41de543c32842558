# SPDX-License-Identifier: Apache-2.0
"""The sockets of the REST interface: systemd's, natrad's own, and whose they are."""
from __future__ import annotations

import grp
import json
import stat
from typing import Any

from lab import process
from lab.natrad import Natrad
from lab.node import Node
from lab.rest import Answer, parse_curl
from rest_case import OTHER_USER, RestCase
from support import NodeCase


class ReadOnly(RestCase):
    """systemd's socket activation, with a TCP socket beside the Unix one."""

    # As systemd does it: sockets from descriptor 3 on, with their names, and the pid of the process itself.
    LAUNCH = """#!/usr/bin/env python3
import os, socket
tcp = socket.create_server(("127.0.0.1", 9475))
os.dup2(tcp.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="api-readonly")
os.execv({natrad!r}, [{natrad!r}])
"""

    @classmethod
    def start(cls, node: Node, **env: str) -> Natrad:
        launcher = node.folder / "launcher"
        launcher.write_text(cls.LAUNCH.format(natrad=str(node.build.natrad.resolve())))
        launcher.chmod(0o755)
        return node.start_natrad(launcher, **env, **cls.socket_of(node))

    def tcp(self, path: str, *options: str) -> Answer:
        done = self.node.host.run(["curl", "-sS", "-i", *options, f"http://127.0.0.1:9475{path}"])
        return parse_curl(done.stdout)

    def test_a_tcp_socket_reads_only(self) -> None:
        pod = self.pod()
        self.assertEqual(self.tcp("/healthz").json, {"status": "ok"})
        # DNS rebinding: a browser on the node would show it to anybody.
        self.problem(self.tcp("/v1/pods", "-H", "Host: pods.example:9475"), 421, "host", "pods.example:9475")
        for host in ("localhost:9475", "192.0.2.1", "[::1]:9475"):
            self.assertEqual(self.tcp("/healthz", "-H", f"Host: {host}").status, 200)
        self.assertIn("natra_build_info", self.tcp("/metrics").body)
        path = f"{self.path_of(pod)}/limits"
        self.assertEqual(self.tcp(path).status, 200)
        self.problem(self.tcp(path, "-X", "DELETE"), 403)
        patch = ("-X", "PATCH", "-H", "Content-Type: application/json", "-d", '{"ingress":{"rate":1000000}}')
        self.problem(self.tcp(path, *patch), 403)
        self.assertEqual(self.rest.get(path).json["ingress"]["override"], {})


class OfAGroup(RestCase):
    """natrad's own socket is for one group of the node."""

    # Any group will do that is not root's.
    GROUP = next(each for each in grp.getgrall() if each.gr_gid != 0)
    OTHER_GROUP = GROUP.gr_gid + 1

    @classmethod
    def start(cls, node: Node, **env: str) -> Natrad:
        return super().start(node, NATRA_API_GROUP=cls.GROUP.gr_name, **env)

    def test_members_use_the_socket_and_others_do_not(self) -> None:
        status = self.rest.socket.stat()
        self.assertEqual((status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)), (0, self.GROUP.gr_gid, 0o660))
        self.assertEqual(self.rest.curl("/healthz", uid=OTHER_USER, gid=self.GROUP.gr_gid).status, 200)
        with self.assertRaises(process.CommandError):
            self.rest.curl("/healthz", uid=OTHER_USER, gid=self.OTHER_GROUP)


class OfAGroupThatIsNotThere(RestCase):
    @classmethod
    def start(cls, node: Node, **env: str) -> Natrad:
        return super().start(node, NATRA_API_GROUP="no-such-group", **env)

    def test_the_socket_is_roots_alone_and_it_is_said(self) -> None:
        status = self.rest.socket.stat()
        self.assertEqual((status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)), (0, 0, 0o660))
        self.assertEqual(self.rest.get("/healthz").status, 200)
        self.assertIn(f'{self.rest.socket} is for root alone: api.group: "no-such-group" is no group here',
                      self.natrad.log.read_text())


class WithoutASocket(NodeCase):
    natrad_env = {"NATRA_API_SOCKET": "/nowhere/api.sock"}

    def test_pods_are_limited_all_the_same_and_it_is_said(self) -> None:
        self.assert_capped(self.pod(), "ingress")
        self.assertIn("no REST interface: listen at /nowhere/api.sock", " ".join(self.natrad.status()["Degraded"]))
