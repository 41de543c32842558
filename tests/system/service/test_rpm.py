# SPDX-License-Identifier: Apache-2.0
"""The RPM's files and scriptlets, in a root where nothing runs. Installed by the host's rpm; its libraries are Debian's."""
from __future__ import annotations

import unittest
from pathlib import Path

import support
from lab import process

# What the package has, beside documentation and licences.
FILES = """
/etc/natra
/etc/natra/natrad.d
/etc/natra/natrad.json
/opt/cni
/opt/cni/bin
/opt/cni/bin/natra
/usr/lib/systemd/catalog/natra.catalog
/usr/lib/systemd/system-preset/80-natra.preset
/usr/lib/systemd/system/natrad-api-tcp.socket
/usr/lib/systemd/system/natrad-api.socket
/usr/lib/systemd/system/natrad-reopen@.service
/usr/lib/systemd/system/natrad.service
/usr/lib/sysusers.d/natra.conf
/usr/lib/tmpfiles.d/natra.conf
/usr/libexec/cni
/usr/libexec/cni/natra
/usr/sbin/natrad
/usr/share/dbus-1/interfaces/io.natra.Natrad1.xml
/usr/share/dbus-1/system-services/io.natra.Natrad1.service
/usr/share/dbus-1/system.d/io.natra.Natrad1.conf
/usr/share/man/man5/io.natra.Natrad1.5.gz
/usr/share/man/man5/natrad-api.5.gz
/usr/share/man/man5/natrad.json.5.gz
/usr/share/man/man8/natra.8.gz
/usr/share/man/man8/natrad.8.gz
/usr/share/natra
/usr/share/natra/monitoring
/usr/share/natra/monitoring/alerts.yml
/usr/share/natra/monitoring/dashboard.json
/usr/share/natra/monitoring/scrape.yml
/usr/share/polkit-1/actions/io.natra.natrad.policy
""".split()
WANTS = "etc/systemd/system/multi-user.target.wants/natrad.service"


class Rpm(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.root = support.MACHINE.root
        found = [each for each in support.RPMS if not each.name.endswith(".src.rpm")]
        assert len(found) == 1, f"one package is expected, not {found}"
        cls.package = found[0]

    def rpm(self, *arguments: str) -> str:
        done = process.run(["rpm", f"--root={self.root}", "--nodeps", *arguments], timeout=120)
        return done.stdout + done.stderr

    def query(self, *arguments: str) -> list[str]:
        return process.run(["rpm", "-qp", str(self.package), *arguments]).stdout.splitlines()

    def test_1_files(self) -> None:
        listed = [path for path in self.query("--list")
                  if not path.startswith(("/usr/share/doc/", "/usr/share/licenses/", "/usr/lib/.build-id"))]
        self.assertEqual(sorted(listed), FILES)
        self.assertEqual(self.query("--configfiles"), ["/etc/natra/natrad.json"])
        self.assertEqual(len([path for path in self.query("--licensefiles") if "/licenses/" in path]), 3)
        for line in self.query("--queryformat", "[%{FILEUSERNAME} %{FILEGROUPNAME}\n]"):
            self.assertEqual(line, "root root")

    def test_2_install(self) -> None:
        said = self.rpm("--install", str(self.package))
        self.assertNotIn("scriptlet failed", said)
        self.assertTrue((self.root / WANTS).is_symlink(), "natrad.service is not enabled by its preset")
        self.assertIn("\nnatra:x:", (self.root / "etc/group").read_text())

    def test_3_upgrade(self) -> None:
        """To itself: enabled and configured stays as it is, also against the preset."""
        changed = self.root / "etc/natra/natrad.json"
        changed.write_text('{"logLevel": "debug"}\n')
        (self.root / WANTS).unlink()
        self.assertNotIn("scriptlet failed", self.rpm("--upgrade", "--force", str(self.package)))
        self.assertEqual(changed.read_text(), '{"logLevel": "debug"}\n')
        self.assertFalse((self.root / WANTS).is_symlink(), "an upgrade enabled what was disabled")

    def test_4_erase(self) -> None:
        support.MACHINE.chroot(["systemctl", "enable", "natrad.service"])
        (self.root / "var/lib/natra").mkdir()
        self.assertNotIn("scriptlet failed", self.rpm("--erase", "natra"))
        left = [path for path in FILES if path != "/etc/natra" and (Path(self.root) / path[1:]).is_symlink()
                or (Path(self.root) / path[1:]).is_file()]
        self.assertEqual(left, [])
        self.assertFalse((self.root / "var/lib/natra").exists())
        self.assertFalse((self.root / WANTS).is_symlink())
