// SPDX-License-Identifier: Apache-2.0
// The rule by which packets are found that reach or leave one end of a veth pair past the other. Pure.
#pragma once

#include <cstdint>

namespace natra::pods {

// Whatever one end of a veth pair receives has been sent by the other one and was counted there, by the same amount:
// the kernel keeps one counter for both. What is counted as received only was handed to the device by a program
// (bpf_redirect_peer), past the other end's queue and hooks.
//
// The two ends cannot be read at the same moment, so the sender is read before and after the receiver: the truth is
// between the two differences. Ordinary traffic, however fast, hence never looks like packets past the sender.
class UnseenMeter {
public:
    // Less than any limit's burst: harmless, and more than a device may count for reasons of its own.
    static constexpr std::int64_t tolerance = 16384;

    // Bytes received past the sender so far, at least and at most. True once that have come to be too many since the
    // device was made, or since the last time that it was true.
    bool unseen(std::int64_t at_least, std::int64_t at_most);

private:
    std::int64_t known_ = 0;
};

}  // namespace natra::pods
