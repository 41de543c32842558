// SPDX-License-Identifier: Apache-2.0
// What each CNI verb does, from its parsed environment to the text for stdout.
#pragma once

#include <string>
#include <string_view>

#include "cni-shim/cni.hpp"
#include "cni-shim/environment.hpp"
#include "cni-shim/natrad_state.hpp"
#include "cni-shim/spool.hpp"

namespace natra::shim {

// Files that outlive a call: the plugin's and natrad's.
struct Stores {
    Spool spool;
    NatradState natrad;
};

// `input` is the network configuration; VERSION needs none, and DEL works with one that nobody can read.
CniResult<std::string> run(const Environment& environment, std::string_view input, const Stores& stores);

}  // namespace natra::shim
