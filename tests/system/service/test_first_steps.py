# SPDX-License-Identifier: Apache-2.0
"""docs/usage/first-steps.md, as written: its commands, and what it says that they print."""
from __future__ import annotations

import re
import unittest
from pathlib import Path

import support

PAGE = Path(__file__).resolve().parents[3] / "docs" / "usage" / "first-steps.md"
MARK = "natra-end-of-command"


def steps(text: str) -> list[tuple[str, str]]:
    """(command, what it prints) in the order of the page."""
    out: list[tuple[str, str]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("# "):
                out.append((line[2:], ""))
            elif line.startswith("> "):
                out[-1] = (f"{out[-1][0]}\n{line[2:]}", out[-1][1])
            else:
                out[-1] = (out[-1][0], f"{out[-1][1]}{line}\n")
    return out


def pattern(printed: str) -> re.Pattern[str]:
    """'...' as a line of its own stands for any lines, even none; within a line for any text."""
    out = ""
    for line in printed.splitlines():
        if line == "...":
            out += r"(?:.*\n)*"
        else:
            out += ".*".join(re.escape(part) for part in line.split("...")) + r"\n"
    return re.compile(out)


class FirstSteps(unittest.TestCase):
    def test_page(self) -> None:
        commands = steps(PAGE.read_text())
        self.assertGreater(len(commands), 20)
        # One shell for all, as at a prompt, so that what one command exports the next one has.
        script = "cd /root/packages; exec 2>&1\n"
        # A daemon has to get as far as its socket: nobody types faster.
        pause = {command: "; sleep 1" for command, _ in commands if command.endswith("--daemon")}
        script += "".join(f"{command}\nstatus=$?{pause.get(command, '')}; echo; echo {MARK} $status\n"
                          for command, _ in commands)
        with support.MACHINE.running() as machine:
            said = machine.run(["bash"], stdin=script, timeout=240).stdout
            answers = re.split(rf"^{MARK} (\d+)\n", said, flags=re.MULTILINE)
            self.assertEqual(len(answers) // 2, len(commands), said[-2000:])
            for (command, expected), answer, status in zip(commands, answers[0::2], answers[1::2]):
                answer = answer.removesuffix("\n")  # the mark begins a line in any case
                if answer and not answer.endswith("\n"):
                    answer += "\n"
                with self.subTest(command.splitlines()[0]):
                    self.assertRegex(answer, re.compile(rf"\A{pattern(expected).pattern}\Z"))
                    self.assertEqual(status == "0", not command.startswith("ls /run/natra"), answer)
            self.assertEqual(support.traces(), [], "left behind by purge")
