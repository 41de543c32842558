// SPDX-License-Identifier: Apache-2.0
// Expected failures are values: every fallible function returns Result<T>. The
// edges (D-Bus, REST, CNI) translate Error::Code once each.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace natra {

struct Error {
    enum class Code : std::uint8_t {
        invalid_argument,  // the caller's value is wrong; `what` names field and value
        not_found,         // no such attachment
        already_exists,    // this attachment is live already
        unsupported,       // the interface or kernel cannot do this
        no_device,         // namespace or interface is gone
        mismatch,          // CHECK: the kernel's state is not what was set
        access_denied,     // the caller may not do this
        unavailable,       // try again later
        kernel,            // a system call failed; `sys` is its errno
        internal,          // a bug or an exhausted resource
    };
    Code code;
    int sys = 0;  // errno where there is one, else 0
    std::string what;
};

// "kernel", "invalid_argument", ...: for logs and error names.
std::string_view to_string(Error::Code code);

namespace detail {
inline std::string piece(std::string_view text) { return std::string(text); }
inline std::string piece(const char* text) { return text; }
inline std::string piece(const std::string& text) { return text; }
template <class Number> std::string piece(Number n) requires std::is_arithmetic_v<Number> { return std::to_string(n); }
}  // namespace detail

// Joins strings and numbers: concat("ifindex ", 7).
template <class... Parts> std::string concat(const Parts&... parts) {
    std::string out;
    (out += ... += detail::piece(parts));
    return out;
}

// An Error whose text is the joined parts, with ": <strerror>" appended when sys != 0.
Error make_error(Error::Code code, int sys, std::string what);

template <class... Parts> Error fail(Error::Code code, const Parts&... parts) {
    return make_error(code, 0, concat(parts...));
}
template <class... Parts> Error fail_errno(Error::Code code, int sys, const Parts&... parts) {
    return make_error(code, sys, concat(parts...));
}

// A value or an error. Reading the absent one is a bug (throws std::bad_variant_access).
// E is natra's own Error, except where a foreign protocol defines what an error is.
template <class T, class E = Error> class [[nodiscard]] Result {
public:
    Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}
    Result(E error) : v_(std::in_place_index<1>, std::move(error)) {}

    explicit operator bool() const noexcept { return v_.index() == 0; }
    T& operator*() & { return std::get<0>(v_); }
    const T& operator*() const& { return std::get<0>(v_); }
    T&& operator*() && { return std::get<0>(std::move(v_)); }
    T* operator->() { return &std::get<0>(v_); }
    const T* operator->() const { return &std::get<0>(v_); }
    E& error() & { return std::get<1>(v_); }
    const E& error() const& { return std::get<1>(v_); }
    E&& error() && { return std::get<1>(std::move(v_)); }

private:
    std::variant<T, E> v_;
};

template <class E> class [[nodiscard]] Result<void, E> {
public:
    Result() = default;
    Result(E error) : v_(std::move(error)) {}

    explicit operator bool() const noexcept { return v_.index() == 0; }
    E& error() & { return std::get<1>(v_); }
    const E& error() const& { return std::get<1>(v_); }
    E&& error() && { return std::get<1>(std::move(v_)); }

private:
    std::variant<std::monostate, E> v_;
};

}  // namespace natra
