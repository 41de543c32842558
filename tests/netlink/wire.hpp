// SPDX-License-Identifier: Apache-2.0
// Frames of a protocol that nothing else speaks, from one device to its peer.
#pragma once

#include "daemon/util/unique_fd.hpp"

namespace natra::datapath::testing {

// 1000 bytes each, to everybody.
class Wire {
public:
    // A socket on a device of the calling thread's network namespace.
    static UniqueFd open(int ifindex);

    Wire(UniqueFd sender, UniqueFd receiver);
    // A refused frame is a failure of the test.
    void send(int frames, unsigned priority = 0);
    // A refused frame is as good as one that is lost.
    void send_what_passes(int frames);
    // Frames that arrive until there are `most`, or none for that time.
    int receive(int most, int patience_ms = 500);

private:
    UniqueFd sender_;
    UniqueFd receiver_;
};

}  // namespace natra::datapath::testing
