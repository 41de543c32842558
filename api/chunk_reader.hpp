// SPDX-License-Identifier: Apache-2.0
// A body in chunks (RFC 9112, section 7.1). Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace natra::api {

class ChunkReader {
public:
    enum class State {
        incomplete,
        complete,   // bytes behind the body were ignored
        malformed,  // detail() says why
        too_long,   // the body, or what is around it
    };

    explicit ChunkReader(std::size_t max_body_bytes) : max_body_bytes_(max_body_bytes) {}

    // Nothing changes any more once the state is another than incomplete.
    State feed(std::string_view bytes);
    [[nodiscard]] bool is_fresh() const { return overhead_ == 0; }  // nothing has come
    [[nodiscard]] const std::string& body() const { return body_; }
    [[nodiscard]] const std::string& detail() const { return detail_; }

private:
    enum class Expects { size, data, end_of_data, trailer };
    static constexpr std::size_t max_line_bytes = 1024;
    static constexpr std::size_t max_overhead_bytes = 16UL * 1024;  // sizes, extensions and trailers

    State malformed(std::string detail);
    void take_data(std::string_view& bytes);
    void take_line();

    const std::size_t max_body_bytes_;
    State state_ = State::incomplete;
    Expects expects_ = Expects::size;
    std::string line_;
    std::size_t left_ = 0;  // of the chunk
    std::size_t overhead_ = 0;
    std::string body_;
    std::string detail_;
};

}  // namespace natra::api
