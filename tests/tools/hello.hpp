// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

#include "tests/tools/socket.hpp"

namespace natra::traffic {

enum class Kind : std::uint32_t {
    control = 1,     // JSON lines follow, see channel.hpp
    bulk = 2,        // a flow of a session, which says who sends
    echo = 3,        // what arrives goes back in pieces of `argument` bytes
    short_up = 4,    // the client sends `argument` bytes, the server answers with one
    short_down = 5,  // the server sends `argument` bytes
};

// The first bytes of every stream connection. Both ends are the same executable on machines of the
// same kind, so host byte order.
struct Hello {
    std::array<char, 8> magic{'n', 'a', 't', 'r', 'a', 't', 'r', '1'};
    Kind kind = Kind::control;
    std::uint32_t flow = 0;      // bulk: index in the session
    std::uint64_t session = 0;   // bulk
    std::uint64_t argument = 0;  // echo, short: bytes

    [[nodiscard]] bool valid() const { return magic == Hello{}.magic; }
};
static_assert(sizeof(Hello) == 32);

inline constexpr std::chrono::seconds setup_time{15};            // to connect and say hello
inline constexpr std::uint64_t max_transfer = 64 * 1024 * 1024;  // echo and short
inline constexpr std::uint64_t max_flows = 1024;
inline constexpr std::uint64_t max_seconds = 3600;

}  // namespace natra::traffic
