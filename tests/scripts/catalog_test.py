# SPDX-License-Identifier: Apache-2.0
"""The journal catalog explains each of natrad's events, and names no field that they do not have."""
from __future__ import annotations

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENTRY = re.compile(r"([0-9a-f]{32})\nSubject: ([^\n]+)\nDefined-By: natra\nDocumentation: man:\S+\n\n(.+)", re.DOTALL)


class Catalog(unittest.TestCase):
    def setUp(self) -> None:
        text = (ROOT / "systemd/natra.catalog").read_text()
        parts = text.split("\n-- ")[1:]
        self.entries = [found.groups() for found in map(ENTRY.fullmatch, parts) if found]
        events = (ROOT / "daemon/util/log_events.hpp").read_text()
        self.events = dict(re.findall(r'inline constexpr Event (\w+)\{"([^"]*)"\};', events))

    def test_each_event_has_one_entry(self) -> None:
        self.assertGreater(len(self.events), 10)
        self.assertEqual(sorted(id_ for id_, _, _ in self.entries), sorted(self.events.values()))

    def test_each_event_is_said_somewhere(self) -> None:
        sources = "".join(path.read_text() for path in (ROOT / "daemon").rglob("*.cpp"))
        for name in self.events:
            self.assertIn(f"events::{name},", sources)

    def test_fields_are_those_of_the_log(self) -> None:
        # What follows only lines about limited directions have; without a value journalctl shows the field's name.
        announce = (ROOT / "daemon/pods/announce.cpp").read_text().replace("if (!shaping) continue", "\0").split("\0")[0]
        fields = set(re.findall(r'\{"(NATRA_\w+)",', announce)) | {"NATRA_FILE", "NATRA_OPERATOR"}
        suffixes = re.findall(r'prefix \+ "(\w+)"', announce)
        fields |= {prefix + suffix for prefix in ("NATRA_INGRESS_", "NATRA_EGRESS_") for suffix in suffixes}
        for id_, subject, body in self.entries:
            for field in re.findall(r"@(\w+)@", subject + body):
                self.assertIn(field, fields, f"in the entry {id_}")


if __name__ == "__main__":
    unittest.main()
