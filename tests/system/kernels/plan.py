# SPDX-License-Identifier: Apache-2.0
"""What scripts/test-kernels runs on every kernel: all that is another on another kernel.

Hooks, shapers and the switch between them, adoption, the chain, tampering, kinds
of traffic and of interfaces are here, as much of them as five kernels get through
in a quarter of an hour. What natrad decides without asking the kernel (bad requests, the
shim's protocol, limits' precedence) is not: it is tested natively, and by
--all here too.
"""
from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

Version = tuple[int, ...]
FETCHING_ATOMICS = (5, 12)
SERIES = ("5.10", "6.1", "6.12", "6.18", "7.2")
# Dear to an emulated processor, and about natrad's buffers, threads, failures and ends rather than the kernel;
# or about the program's arithmetic over many thousands of packets, which no kernel does otherwise.
EXPENSIVE = ("LinkMonitor.*", "Netns.*", "Transport.*", "Engines.*", "*/HtbStep.*", "Renewals.ThatFailLeaveALimitInForce",
             "*/RenewalsOf.GoOnWhereAnotherNatradStopped/*", "*/LongRun.*", "*/Contention.*",
             "*/Strangers.AFlowGetsAPlaceFromThoseThatRest/*", "*/FairShare.ShortPacketsHaveATenthOfASlowRate/*")


@dataclasses.dataclass(frozen=True)
class Program:
    name: str
    kind: str  # "gtest" or "tap": what it prints
    words: tuple[str, ...]  # of run.py: modules, classes and cases; of a gtest: its path in the build directory
    seconds: int  # the longest it may take, many times of what it does

    def argv(self, root: Path, build: Path, kernel: Version) -> list[str]:
        if self.kind == "gtest":
            # Of the two BPF objects, the one that natrad loads here.
            other = "natra_legacy" if kernel >= FETCHING_ATOMICS else "natra"
            return [str(build / self.words[0]), f"--gtest_filter=-*/{other}:{':'.join(EXPENSIVE)}"]
        return ["/usr/bin/python3", str(root / "tests/netns/run.py"), str(build), *self.words]


def netns(module: str, *cases: str, seconds: int = 400) -> Program:
    """A module of tests/netns: all of it, or these classes and cases."""
    words = tuple(f"test_{module}.{case}" for case in cases) or (f"test_{module}",)
    return Program(module, "tap", words, seconds)


GTESTS = (Program("bpf", "gtest", ("tests/bpf/bpf_tests",), 200),
          Program("netlink", "gtest", ("tests/netlink/netlink_test",), 500))

# Classes stay together: each has a node and a natrad of its own.
DEPENDENT = (
    *GTESTS,
    netns("shapers", "Tcx.test_del_restores_and_restart_adopts",
          *(f"{shaper}.{each}" for shaper in ("Edt", "Htb") for each in (
              "test_limits_both_directions_and_is_reported", "test_del_restores_and_restart_adopts")),
          "Police.test_del_restores_and_restart_adopts"),
    netns("traffic_kinds", *(f"TrafficKinds.{each}" for each in (
        "test_ecn", "test_new_flows_by_the_thousand", "test_fq_holds_all_that_the_program_lets_wait",
        "test_times_of_another_clock_are_no_reason_to_drop",
        "test_udp_sender_is_held_back_and_loses_nothing"))),
    netns("interface_kinds", "Macvlan.test_del_leaves_nothing", "Macvlan.test_restart_adopts",
          "IpvlanL2.test_tcp_is_held_at_the_limit", "IpvlanL2.test_del_leaves_nothing",
          "IpvlanL3s.test_what_cannot_be_held_is_said"),
    netns("link_layers"),
    netns("chain", *(f"Verbs.{each}" for each in (
        "test_add_then_del_leaves_the_interface_as_it_was",
        "test_what_was_removed_by_hand_is_put_back_and_check_passes",
        "test_del_after_the_namespace_is_gone", "test_qdiscs_and_filters_of_others_are_not_harmed"))),
    netns("adoption", "TakeOver.test_every_moment_has_a_limiter"),
    netns("restart", "Restart.test_what_was_removed_while_it_was_away_is_put_back",
          "Restart.test_pod_that_went_while_it_was_away_is_dropped"),
    netns("tamper", *(f"Pods.{each}" for each in (
        "test_deleting_the_qdisc", "test_deleting_clsact", "test_packets_past_qdisc_and_hook"))),
    netns("foreign_hooks", "Classifiers.test_added_after", "OnTcx.test_a_program_that_comes_later"),
    netns("switch", "Shapers.test_every_ordered_pair_under_traffic_from_the_pod"),
)

# Which kernels may skip which cases; everybody else's skip is a failure: it is a
# feature that went missing.
MAY_SKIP = (  # the case, and the first kernel that has what it needs
    (re.compile(r"^(shapers .*Tcx|foreign_hooks .*OnTcx|netlink Tcx(Hooks|Renewals)\.|netlink .*SwitchHook\.|"
                r"netlink .*Renewals.*_tcx$|netlink Reasons\.OfASwitchToClsactTellThatItEndedOnHtb$)"), (6, 6)),
    (re.compile(r"^netlink Links\.AreInANamespaceThatHasACookie$"), (5, 14)),
    (re.compile(r"^(past_host_side |other_limiters .*\.test_packets_past_felixs_queue_are_limited_inside$)"), (6, 1)),
    (re.compile(r"^other_limiters .*\.test_(felix_is_given_way_to_and_comes_to_an_end|an_operators_word_counts_more|"
                r"packets_that_leave_felixs_way_are_limited_again)$"), (6, 6)),
)


def everything(root: Path) -> tuple[Program, ...]:
    """Both gtests and all modules of tests/netns, whole."""
    modules = sorted(path.stem.removeprefix("test_") for path in (root / "tests/netns").glob("test_*.py"))
    return (*GTESTS, *(netns(module, seconds=900) for module in modules))


def chosen(root: Path, whole: bool, names: Sequence[str]) -> tuple[Program, ...]:
    """Raises ValueError for a name that there is not."""
    programs = everything(root) if whole else DEPENDENT
    if unknown := sorted(set(names) - {each.name for each in programs}):
        raise ValueError(f"no suite {', '.join(unknown)}; there are: {' '.join(each.name for each in programs)}")
    return tuple(each for each in programs if not names or each.name in names)


def version_of(kernel: str) -> Version:
    """Of "6.12" or a release like "6.12.107+deb13-cloud-amd64"."""
    found = re.match(r"(\d+)\.(\d+)", kernel)
    assert found, f"'{kernel}' begins with no version"
    return int(found[1]), int(found[2])


def may_skip(kernel: str, program: str, case: str) -> bool:
    version = version_of(kernel)
    return any(pattern.search(f"{program} {case}") and version < before for pattern, before in MAY_SKIP)
