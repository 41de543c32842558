// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/digest.hpp"

#include <gcrypt.h>

#include <array>
#include <stdexcept>

namespace natra::pods {
namespace {

// The library asks for it once, before anything else.
void initialise() {
    static const bool ready = [] {
        if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P) != 0) return true;
        if (gcry_check_version(nullptr) == nullptr) return false;
        // No secrets here: no locked memory.
        gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
        gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
        return true;
    }();
    if (!ready) throw std::runtime_error("libgcrypt cannot be initialised");
}

}  // namespace

std::string sha512_hex(std::string_view data) {
    initialise();
    std::array<unsigned char, 64> digest{};
    gcry_md_hash_buffer(GCRY_MD_SHA512, digest.data(), data.data(), data.size());
    constexpr std::string_view hex = "0123456789abcdef";
    std::string out;
    for (const auto byte : digest) {
        out += hex[byte >> 4];
        out += hex[byte & 0xf];
    }
    return out;
}

}  // namespace natra::pods
