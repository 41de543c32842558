// SPDX-License-Identifier: Apache-2.0
// Whether the packets of one direction pass another's limiter. Pure.
#pragma once

#include <cstdint>
#include <string>

namespace natra::pods {

// Compares what came to the limiter with what the device carried, whenever that has been enough to tell. Until then,
// and with another limiter or another rate, nothing is proven.
class Passage {
public:
    struct Counts {
        std::string limiter;              // which, and at what rate
        std::uint64_t through = 0;        // packets that came to it so far; it may count those of GSO one by one
        std::uint64_t through_bytes = 0;  // and what they had at most
        std::uint64_t carried = 0;        // packets, by the device, read after that
        std::uint64_t carried_bytes = 0;
    };
    // Whether nearly all packets, and bytes, have passed the limiter when that was last to be seen.
    bool look(const Counts& now);
    void forget();
    // Packets are known to go another way, and may do so again.
    void distrust() { distrusted_ = true; }

private:
    Counts base_;
    bool begun_ = false;
    bool passes_ = false;
    bool distrusted_ = false;
};

}  // namespace natra::pods
