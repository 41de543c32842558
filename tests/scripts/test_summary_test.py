# SPDX-License-Identifier: Apache-2.0
"""Do scripts/test's figures tell the truth? A project of tests that end in every
way is run by the real meson, and counted."""
from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SUMMARY = Path(sys.argv.pop(1))

# A GoogleTest program as meson sees it: writes the report it is told to, or not.
GTEST = """#!/bin/sh
report=${1#--gtest_output=xml:}
case $0 in *crashed) kill -ABRT $$ ;; *endless) exec sleep 30 ;; esac
cat >"$report" <<X
<testsuites><testsuite name="S" tests="4">
<testcase name="good" status="run" classname="S"/>
<testcase name="skipped" status="run" classname="S"><skipped/></testcase>
<testcase name="DISABLED_off" status="notrun" classname="S"/>
X
case $0 in *failing)
    echo '<testcase name="bad" status="run" classname="S"><failure/></testcase>' >>"$report" ;;
esac
echo '</testsuite></testsuites>' >>"$report"
case $0 in *failing | *leaking) exit 1 ;; esac
"""
TAP = "#!/bin/sh\necho 1..3\necho ok 1 - a\necho ok 2 - b '# SKIP'\n"
PROGRAMS = {
    "gtest-good": GTEST, "gtest-failing": GTEST, "gtest-leaking": GTEST, "gtest-crashed": GTEST,
    "gtest-endless": GTEST,
    "tap-good": TAP + "echo ok 3 - c\n", "tap-failing": TAP + "echo not ok 3 - c\n",
    "tap-short": TAP, "tap-status": TAP + "echo ok 3 - c\nexit 9\n",
    "exitcode-good": "#!/bin/sh\n", "exitcode-failing": "#!/bin/sh\nexit 1\n",
    "exitcode-skipped": "#!/bin/sh\nexit 77\n", "exitcode-endless": "#!/bin/sh\nexec sleep 30\n",
}


class Closing(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = Path(scratch.name)
        self.build = self.root / "build"
        (self.root / "meson.build").write_text("project('natra')\n" + "".join(
            f"test('{name}', find_program('./{name}'), suite: 'one', protocol: '{kind}', timeout: 1)\n"
            for name, kind in ((name, name.partition("-")[0]) for name in PROGRAMS)))
        for name, text in PROGRAMS.items():
            (self.root / name).write_text(text)
            (self.root / name).chmod(0o755)

    def meson(self, *arguments: str) -> None:
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("MESON")}
        subprocess.run(["meson", *arguments], env=environment, capture_output=True, check=False)

    def summary(self, mode: str, suite: str) -> tuple[int, list[str]]:
        done = subprocess.run([sys.executable, SUMMARY, mode, self.build, suite],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout.splitlines()

    def run_and_count(self, *programs: str) -> tuple[int, list[str]]:
        self.meson("setup", str(self.build), str(self.root))
        self.summary("clean", "one")
        self.meson("test", "-C", str(self.build), "--logbase", "one", *programs)
        return self.summary("report", "one")

    def test_every_way_to_end(self) -> None:
        status, lines = self.run_and_count()
        self.assertEqual(status, 1)
        # Passed: gtest 3 (the crashed and the endless left no report), TAP 2 + 1 + 1 + 2, exitcode 1.
        # Failed: a case each of three programs; the leaking, crashed, short, badly ended and
        # two endless ones.
        # Skipped: 2 in each gtest report, 1 in each of TAP, 1 of exitcode.
        self.assertEqual(lines[-1], "10 passed, 9 failed, 11 skipped")

    def test_success(self) -> None:
        status, lines = self.run_and_count("gtest-good", "tap-good", "exitcode-good")
        self.assertEqual((status, lines[-1]), (0, "4 passed, 0 failed, 3 skipped"))

    def test_a_crash_is_not_hidden_by_the_previous_report(self) -> None:
        self.run_and_count("gtest-good")
        (self.root / "gtest-good").write_text("#!/bin/sh\nkill -ABRT $$\n")
        status, lines = self.run_and_count("gtest-good")
        self.assertEqual((status, lines[-1]), (1, "0 passed, 1 failed, 0 skipped"))

    def test_a_suite_without_tests_or_without_a_log_fails(self) -> None:
        self.assertEqual(self.run_and_count("exitcode-skipped")[0], 1)
        status, lines = self.summary("report", "never-ran")
        self.assertEqual((status, lines[-1]), (1, "0 passed, 1 failed, 0 skipped"))


if __name__ == "__main__":
    unittest.main()
