// SPDX-License-Identifier: Apache-2.0
// Frames from one device to its peer: of a protocol that nothing else speaks, or segments of one TCP connection.
#pragma once

#include <cstdint>

#include "daemon/util/unique_fd.hpp"

namespace natra::datapath::testing {

// 1000 bytes each, to everybody.
class Wire {
public:
    enum class Kind : std::uint8_t { own, tcp };
    static constexpr int frame_bytes = 1000;

    // A socket on a device of the calling thread's network namespace.
    static UniqueFd open(int ifindex, Kind kind = Kind::own);

    Wire(UniqueFd sender, UniqueFd receiver, Kind kind = Kind::own);
    // A refused frame is a failure of the test.
    void send(int frames, unsigned priority = 0);
    // A refused frame is as good as one that is lost. How many were not refused.
    int send_what_passes(int frames);
    // Frames that arrive until there are `most`, or none for that time.
    int receive(int most, int patience_ms = 500);

private:
    [[nodiscard]] bool send_one() const;

    Kind kind_;
    UniqueFd sender_;
    UniqueFd receiver_;
};

}  // namespace natra::datapath::testing
