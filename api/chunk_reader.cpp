// SPDX-License-Identifier: Apache-2.0
#include "api/chunk_reader.hpp"

#include <algorithm>
#include <charconv>

#include "api/text.hpp"

namespace natra::api {

ChunkReader::State ChunkReader::malformed(std::string detail) {
    detail_ = std::move(detail);
    return state_ = State::malformed;
}

ChunkReader::State ChunkReader::feed(std::string_view bytes) {
    while (state_ == State::incomplete && !bytes.empty()) {
        if (expects_ == Expects::data) {
            take_data(bytes);
            continue;
        }
        line_ += bytes.front();
        bytes.remove_prefix(1);
        if (++overhead_ > max_overhead_bytes || line_.size() > max_line_bytes) return state_ = State::too_long;
        const bool after_cr = line_.size() > 1 && line_[line_.size() - 2] == '\r';
        if (line_.back() == '\n' && after_cr)
            take_line();
        else if (line_.back() == '\n' || after_cr)
            malformed("a line end that is not CR LF, in the chunked body");
    }
    return state_;
}

void ChunkReader::take_data(std::string_view& bytes) {
    const auto taken = std::min(left_, bytes.size());
    body_.append(bytes.substr(0, taken));
    bytes.remove_prefix(taken);
    left_ -= taken;
    if (left_ == 0) expects_ = Expects::end_of_data;
}

void ChunkReader::take_line() {
    const auto line = line_.substr(0, line_.size() - 2);
    line_.clear();
    if (expects_ == Expects::trailer) {
        // Nobody asks for trailers.
        if (line.empty()) state_ = State::complete;
        return;
    }
    if (expects_ == Expects::end_of_data) {
        if (!line.empty()) malformed("more in a chunk than its size");
        expects_ = Expects::size;
        return;
    }
    // Extensions follow a semicolon, and mean nothing here.
    const auto size = trimmed(std::string_view(line).substr(0, line.find(';')));
    const auto* const last = size.data() + size.size();
    const bool signless = !size.empty() && size.front() != '-';
    const auto [end, error] = std::from_chars(size.data(), last, left_, 16);
    if (error == std::errc::result_out_of_range) {
        state_ = State::too_long;
        return;
    }
    if (!signless || error != std::errc() || end != last) {
        malformed("a chunk's size is not a hexadecimal number");
        return;
    }
    if (left_ > max_body_bytes_ - body_.size()) {
        state_ = State::too_long;
        return;
    }
    expects_ = left_ == 0 ? Expects::trailer : Expects::data;
}

}  // namespace natra::api
