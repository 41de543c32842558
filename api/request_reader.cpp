// SPDX-License-Identifier: Apache-2.0
#include "api/request_reader.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "api/text.hpp"
#include "daemon/util/error.hpp"

namespace natra::api {
namespace {

bool is_alphanumeric(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }
bool is_token(std::string_view text) {
    constexpr std::string_view others = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
        return is_alphanumeric(c) || others.find(c) != std::string_view::npos;
    });
}

// Visible ASCII.
bool is_target_byte(char c) { return c > 0x20 && c < 0x7f; }

// Whether `text` from `begin` on has no bytes that no head contains: CR or LF alone, control characters.
bool is_head(std::string_view text, std::size_t begin) {
    for (std::size_t i = begin; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '\n' && (i == 0 || text[i - 1] != '\r')) return false;
        if (c == '\r' && i + 1 < text.size() && text[i + 1] != '\n') return false;
        if (is_control(c) && c != '\t' && c != '\r' && c != '\n') return false;
    }
    return true;
}

}  // namespace

RequestReader::State RequestReader::refuse(int status, std::string detail) {
    status_ = status;
    detail_ = std::move(detail);
    buffer_.clear();
    return state_ = State::refused;
}

RequestReader::State RequestReader::feed(std::string_view bytes) {
    if (state_ != State::incomplete) return state_;
    if (chunks_) {
        chunks_->feed(bytes);
        return take_chunks();
    }
    if (head_done_) {
        buffer_.append(bytes.substr(0, body_bytes_ - buffer_.size()));
        return take_body();
    }
    // Clients of old end a body with an empty line that is not part of it.
    constexpr std::size_t max_empty_lines = 8;
    for (; buffer_.empty() && !bytes.empty() && (bytes[0] == '\r' || half_empty_line_); bytes.remove_prefix(1)) {
        if (half_empty_line_ && bytes[0] != '\n') return refuse(400, "a CR without its LF before the request line");
        half_empty_line_ = !half_empty_line_;
        if (!half_empty_line_ && ++empty_lines_ > max_empty_lines)
            return refuse(400, concat("more than ", max_empty_lines, " empty lines before the request line"));
    }
    if (bytes.empty()) return state_;
    const auto before = buffer_.size();
    buffer_.append(bytes.substr(0, max_head_bytes + max_body_bytes - before));
    // The end may have come in two pieces.
    constexpr std::string_view end_of_head = "\r\n\r\n";
    const auto end = buffer_.find(end_of_head, before < 3 ? 0 : before - 3);
    const auto known = end == std::string::npos ? buffer_.size() : end + end_of_head.size();
    // With the last byte of before: a CR may only now be followed by something else than LF.
    if (!is_head(std::string_view(buffer_).substr(0, known), before == 0 ? 0 : before - 1))
        return refuse(400, "control characters, or line ends that are not CR LF, in the head");
    if (known > max_head_bytes) return refuse(431, concat("the head is longer than ", max_head_bytes, " bytes"));
    if (end == std::string::npos) return state_;

    const auto head = buffer_.substr(0, end + 2);
    buffer_.erase(0, known);
    head_done_ = true;
    if (take_head(head) == State::refused || take_framing() == State::refused) return state_;
    if (chunks_) {
        chunks_->feed(std::exchange(buffer_, {}));
        return take_chunks();
    }
    buffer_.resize(std::min(buffer_.size(), body_bytes_));
    return take_body();
}

// Lines, each with its CR LF.
RequestReader::State RequestReader::take_head(std::string_view head) {
    bool first = true;
    while (!head.empty()) {
        const auto end = head.find("\r\n");
        const auto line = head.substr(0, end);
        head.remove_prefix(end + 2);
        if ((first ? take_request_line(line) : take_header(line)) == State::refused) return state_;
        first = false;
    }
    return state_;
}

RequestReader::State RequestReader::take_request_line(std::string_view line) {
    const auto method_end = line.find(' ');
    const auto target_end = line.rfind(' ');
    if (method_end == std::string_view::npos || target_end == method_end)
        return refuse(400, "the request line is not METHOD TARGET HTTP/1.1");
    const auto method = line.substr(0, method_end);
    const auto target = line.substr(method_end + 1, target_end - method_end - 1);
    const auto version = line.substr(target_end + 1);
    if (!is_token(method)) return refuse(400, "the method is no token");
    if (version != "HTTP/1.1" && version != "HTTP/1.0") {
        if (version.starts_with("HTTP/")) return refuse(505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
        return refuse(400, "the request line is not METHOD TARGET HTTP/1.1");
    }
    if (target.size() > max_target_bytes)
        return refuse(414, concat("the target is longer than ", max_target_bytes, " bytes"));
    request_.method = method;
    old_version_ = version == "HTTP/1.0";
    return take_target(target);
}

// A path, or as proxies get it: "http://host/path".
RequestReader::State RequestReader::take_target(std::string_view target) {
    constexpr std::string_view scheme = "http://";
    if (lower_case(target.substr(0, scheme.size())) == scheme) {
        target.remove_prefix(scheme.size());
        const auto authority = target.substr(0, target.find_first_of("/?"));
        target.remove_prefix(authority.size());
        if (authority.empty() || authority.find('@') != std::string_view::npos)
            return refuse(400, "the target names no host");
        authority_ = authority;
        request_.target = target.starts_with('/') ? "" : "/";
    } else if (!target.starts_with('/')) {
        return refuse(400, "the target is not a path of visible ASCII characters");
    }
    if (!std::all_of(target.begin(), target.end(), is_target_byte) ||
        !std::all_of(authority_.begin(), authority_.end(), is_target_byte))
        return refuse(400, "the target is not a path of visible ASCII characters");
    request_.target += target;
    return state_;
}

RequestReader::State RequestReader::take_header(std::string_view line) {
    if (++headers_ > max_headers) return refuse(431, concat("more than ", max_headers, " header fields"));
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
        return refuse(400, "a header field is not NAME: VALUE");
    const auto name = lower_case(line.substr(0, colon));
    const auto value = std::string(trimmed(line.substr(colon + 1)));
    const auto [at, inserted] = request_.headers.emplace(name, value);
    if (inserted) return state_;
    if (name == "content-length" || name == "host" || name == "content-type")
        return refuse(400, concat(name, ": given twice"));
    at->second += ", " + value;
    return state_;
}

RequestReader::State RequestReader::take_framing() {
    if (!old_version_ && !request_.headers.contains("host")) return refuse(400, "host: missing");
    // The target's host is the one that counts (RFC 9112, section 3.2.2).
    if (!authority_.empty()) request_.headers["host"] = authority_;
    const auto found = request_.headers.find("content-length");
    if (const auto coding = request_.headers.find("transfer-encoding"); coding != request_.headers.end()) {
        if (found != request_.headers.end()) return refuse(400, "transfer-encoding: beside a content-length");
        if (old_version_) return refuse(400, "transfer-encoding: not in HTTP/1.0");
        if (lower_case(coding->second) != "chunked") return refuse(501, "transfer-encoding: only chunked is known");
        chunks_.emplace(max_body_bytes);
        return state_;
    }
    if (found == request_.headers.end()) return state_;
    const auto& text = found->second;
    const auto* const last = text.data() + text.size();
    const bool digits =
        !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!digits) return refuse(400, "content-length: not a number");
    const auto [end, error] = std::from_chars(text.data(), last, body_bytes_);
    if (error != std::errc() || body_bytes_ > max_body_bytes)
        return refuse(413, concat("the body is longer than ", max_body_bytes, " bytes"));
    return state_;
}

RequestReader::State RequestReader::take_body() {
    if (buffer_.size() < body_bytes_) return state_;
    request_.body = std::move(buffer_);
    return state_ = State::complete;
}

RequestReader::State RequestReader::take_chunks() {
    switch (chunks_->feed({})) {
    case ChunkReader::State::incomplete: return state_;
    case ChunkReader::State::malformed: return refuse(400, chunks_->detail());
    case ChunkReader::State::too_long:
        return refuse(413, concat("the body is longer than ", max_body_bytes, " bytes, or in chunks too small"));
    case ChunkReader::State::complete: break;
    }
    request_.body = chunks_->body();
    return state_ = State::complete;
}

// HTTP/1.0 knows no "100 Continue".
bool RequestReader::awaits_continue() const {
    const bool nothing_yet = chunks_ ? chunks_->is_fresh() : buffer_.empty();
    return state_ == State::incomplete && head_done_ && nothing_yet && !old_version_ &&
           lower_case(request_.header("expect")) == "100-continue";
}

}  // namespace natra::api
