// SPDX-License-Identifier: Apache-2.0
#include "daemon/util/utf8.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>

namespace natra {
namespace {

TEST(Utf8, TextsOfCharactersStayAsTheyAre) {
    for (const char* text : {"", "eth0", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                             "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "a\xc3\xa4z"}) {
        EXPECT_TRUE(is_utf8(text)) << text;
        EXPECT_EQ(as_utf8(text), text);
    }
    EXPECT_TRUE(is_utf8(std::string_view("a\0b", 3)));
}

TEST(Utf8, EveryByteOfNoCharacterIsReplaced) {
    const std::string one = "\xef\xbf\xbd";
    const std::pair<const char*, std::string> table[] = {
        {"\xff", one},
        {"veth\xe9", "veth" + one},
        {"\x80z", one + "z"},
        {"\xc0\x80", one + one},                      // a longer form than needed
        {"\xe0\x9f\xbf", one + one + one},            // so is this
        {"\xed\xa0\x80", one + one + one},            // half of a pair
        {"\xf4\x90\x80\x80", one + one + one + one},  // above U+10FFFF
        {"\xf0\x90\x80", one + one + one},            // cut
        {"\xc3", one},
        {"\xc3\xa4\xc3", "\xc3\xa4" + one},
    };
    for (const auto& [text, expected] : table) {
        EXPECT_FALSE(is_utf8(text)) << text;
        EXPECT_EQ(as_utf8(text), expected) << text;
        EXPECT_TRUE(is_utf8(as_utf8(text))) << text;
    }
}

}  // namespace
}  // namespace natra
