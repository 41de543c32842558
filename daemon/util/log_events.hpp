// SPDX-License-Identifier: Apache-2.0
// The MESSAGE_IDs of natrad's decisions, which systemd/natra.catalog explains to operators.
#pragma once

#include <string_view>

namespace natra::log {

// 128 bits in hexadecimal, as journald's MESSAGE_ID. Once released, an id keeps its meaning.
struct Event {
    std::string_view message_id;
};

namespace events {

// A pod is limited from now on.
inline constexpr Event attached{"9fbbfc18356148e3a5b070fccdfd1763"};
// natrad found the limits that an earlier one had put up.
inline constexpr Event adopted{"03da6afc10b54527a6272f5a53db558f"};
// A pod that ran before natrad is limited from now on.
inline constexpr Event found_running{"bab60a9ff6f343d690ac037481054b97"};
// By an operator, or by a new configuration.
inline constexpr Event limits_changed{"eaf51b96705d4d9db6c17b58dcc5f2b3"};
// Another hook or shaper, under traffic.
inline constexpr Event data_path_changed{"ea898e24443a4304ad4c90220c0d6b1f"};
// A pod ended, or its runtime asked for it.
inline constexpr Event detached{"3c0f00f67de84cf085603269f633219f"};
// A runtime asked for limits that natrad could not put up.
inline constexpr Event not_attached{"30b52270ccc04d3e8e23af09758b3eb1"};
// Limits of an earlier natrad that this one cannot take over; they stay in force.
inline constexpr Event not_adopted{"4d5bbe5d69e1483db8610d8899ebe2fa"};
// A pod ended while natrad did not run.
inline constexpr Event ended_while_away{"62b8d78e742647db8de0ca6b3c624017"};
// Somebody changed what natrad had put up, and it was put right or cannot be.
inline constexpr Event tampering{"b5df97e25cbf4a818945197db3d42d7b"};
// Egress is policed on the host from now on.
inline constexpr Event backstop{"90d8b25bc6d245758b4952a7fe7dacf2"};
// A direction that is to be limited is not.
inline constexpr Event not_held{"61c601810df04a9bb6db8f0b4d6af293"};
// Every repair is undone.
inline constexpr Event undone_again{"e53df2c315384633b9496c1794651822"};
// A network agent, or somebody else, limits the same pod.
inline constexpr Event limited_twice{"01b66e19dd104eb18189f42de54e5332"};
// And does so no more.
inline constexpr Event limited_alone{"02a6e160a0f046bebdbb111cb22050c5"};
// Small flows of the pod are taken for heavy ones, or its list of heavy flows is incomplete.
inline constexpr Event classification_unreliable{"1a02eb25c1b749ceb2e6e457456cf5d6"};
// What in an annotation has no effect.
inline constexpr Event annotation_ignored{"bea330d6dacb47639aef26d87b215e96"};
// natrad answers.
inline constexpr Event ready{"857c8079f90941b2b544ddd762501456"};
inline constexpr Event configuration_reloaded{"9d6bc5ee02db43408c2d9d320c5270a5"};
// The earlier one stays in force.
inline constexpr Event configuration_refused{"834cccccbf3f417393a05e247b53334d"};
// The chain keeper put natra into a network configuration.
inline constexpr Event chain_edited{"ccce862f485a404884dd7f0f97366c9b"};
// The chain keeper took natra out of one.
inline constexpr Event chain_restored{"b3c3ecbe98f94417887a7dc64c2ce970"};

}  // namespace events
}  // namespace natra::log
