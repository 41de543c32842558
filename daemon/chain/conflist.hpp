// SPDX-License-Identifier: Apache-2.0
// natra's place in a CNI network configuration: text in, text out.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/chain/network.hpp"
#include "daemon/util/error.hpp"

namespace natra::chain {

struct Edit {
    std::string text;  // always a list
    std::string how;   // "behind ptp", "in place of bandwidth"
};

// Puts natra behind the plugins that make interfaces, or in place of `bandwidth`, whose keys it keeps.
// Every other key stays, in its order. Nothing if natra is there already.
// Code::invalid_argument for what a runtime would not load either, and for a cniVersion that natra does not speak.
Result<std::optional<Edit>> with_natra(std::string_view text, Format format);

// The reverse, for a list that somebody changed after natra was put in: `original` is the text from before.
// Nothing if natra is not in it.
Result<std::optional<std::string>> without_natra(std::string_view text, std::string_view original, Format format);

// Is natra able to do its work in this chain, if with_natra() puts it into the file? Code::unsupported says what is
// in the way in the folder of the network's name, which natra does not change.
Result<void> check_folder(const Network& network);

bool has_natra(const Network& network);
bool natra_in_folder(const Network& network);

}  // namespace natra::chain
