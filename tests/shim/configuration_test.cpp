// SPDX-License-Identifier: Apache-2.0
#include "cni-shim/configuration.hpp"

#include <gtest/gtest.h>

#include <string>

#include "daemon/cni/policy.hpp"
#include "tests/shim/golden.hpp"

namespace natra::shim {
namespace {

struct Undecodable {
    std::string text;
    CniCode code;
    const char* message;  // its beginning
    std::string details;
};

TEST(Envelope, RejectsWhatIsNoConfiguration) {
    constexpr auto decoding = CniCode::decoding_failure;
    constexpr auto invalid = CniCode::invalid_configuration;
    const std::string deep(100'000, '[');
    const Undecodable table[] = {
        {"", decoding, "error unmarshall network config: unexpected end of JSON input", ""},
        {" \n\t", decoding, "error unmarshall network config: unexpected end of JSON input", ""},
        {"{", decoding, "error unmarshall network config: parse error at line 1, column 2", ""},
        {R"({"name": "n"} x)", decoding, "error unmarshall network config: parse error at line 1, column 15", ""},
        {R"({"name": "n"}{})", decoding, "error unmarshall network config: parse error at line 1, column 14", ""},
        {R"({"name": 'n'})", decoding, "error unmarshall network config: parse error", ""},
        {R"({"name": "n",})", decoding, "error unmarshall network config: parse error", ""},
        {R"({"name": "n", "a": NaN})", decoding, "error unmarshall network config: parse error", ""},
        {"{\"name\": \"\xff\"}", decoding, "error unmarshall network config: parse error", ""},
        {std::string("{\"name\": \"n\"}\0", 14), decoding, "error unmarshall network config: parse error: a NUL byte",
         ""},
        {std::string("{\"name\": \"n\"}\0x", 15), decoding, "error unmarshall network config: parse error", ""},
        {"[]", decoding, "error unmarshall network config: the configuration: expected an object, got an array", ""},
        {"null", decoding, "error unmarshall network config: the configuration: expected an object, got null", ""},
        {"\"x\"", decoding, "error unmarshall network config: the configuration: expected an object, got \"x\"", ""},
        {R"({"name": "n", "a": )" + deep, decoding, "error unmarshall network config: ", ""},
        {R"({"name": "n", "a": )" + std::string(65, '[') + std::string(65, ']') + "}", decoding,
         "error unmarshall network config: nested deeper than 64 levels", ""},
        {R"({"name": "n", "a": ")" + std::string(max_json_bytes, 'x') + "\"}", decoding,
         "error unmarshall network config: larger than 1048576 bytes", ""},
        {"{}", invalid, "missing network name", ""},
        {R"({"name": ""})", invalid, "missing network name", ""},
        {R"({"name": null})", invalid, "missing network name", ""},
        {R"({"name": "1234%%%"})", invalid, "invalid characters found in network name", "1234%%%"},
        {R"({"name": "a/../b"})", invalid, "invalid characters found in network name", "a/../b"},
        {R"({"name": "a\u0000b"})", invalid, "invalid characters found in network name", std::string("a\0b", 3)},
        {R"({"name": 5})", decoding, "error unmarshall network config: name: expected a string, got 5", ""},
        {R"({"name": "n", "cniVersion": 1})", decoding,
         "decoding version from network config: cniVersion: expected a string, got 1", ""},
    };
    for (const auto& c : table) {
        SCOPED_TRACE(c.text.substr(0, 100));
        const auto r = read_envelope(c.text);
        ASSERT_FALSE(r);
        EXPECT_EQ(r.error().code, c.code);
        EXPECT_TRUE(r.error().message.starts_with(c.message)) << r.error().message;
        EXPECT_EQ(r.error().details, c.details);
    }
}

TEST(Envelope, ReadsNameAndVersion) {
    const auto r = read_envelope(R"({"Name": "cbr0", "CNIVERSION": "1.1.0"})");
    ASSERT_TRUE(r) << r.error().message;
    EXPECT_EQ(r->name, "cbr0");
    EXPECT_EQ(r->version, "1.1.0");
}

TEST(Envelope, NoVersionMeansTheFirstOne) {
    for (const char* text :
         {R"({"name": "n"})", R"({"name": "n", "cniVersion": ""})", R"({"name": "n", "cniVersion": null})"}) {
        const auto r = read_envelope(text);
        ASSERT_TRUE(r) << text;
        EXPECT_EQ(r->version, "0.1.0") << text;
    }
}

TEST(Envelope, TakesWhatIsJustWithinBounds) {
    const auto deep = R"({"name": "n", "a": )" + std::string(63, '[') + std::string(63, ']') + "}";
    EXPECT_TRUE(read_envelope(deep));
    const std::string start = R"({"name": "n", "a": ")";
    const std::string end = "\"}";
    EXPECT_TRUE(read_envelope(start + std::string(max_json_bytes - start.size() - end.size(), 'x') + end));
}

Json document(std::string_view text) {
    auto r = parse_json(text);
    if (!r) throw std::invalid_argument(r.error().what);
    return *std::move(r);
}

TEST(Policy, Defaults) {
    const auto r = read_policy(document("{}"));
    ASSERT_TRUE(r);
    EXPECT_TRUE(r->fail_open);
    EXPECT_FALSE(r->runtime_bursts);
    EXPECT_EQ(r->timeout, std::chrono::milliseconds(2000));
}

TEST(Policy, ReadsEveryKey) {
    const auto r = read_policy(document(R"({"failurePolicy": "closed", "burstPolicy": "runtime", "timeoutMs": 250})"));
    ASSERT_TRUE(r);
    EXPECT_FALSE(r->fail_open);
    EXPECT_TRUE(r->runtime_bursts);
    EXPECT_EQ(r->timeout, std::chrono::milliseconds(250));
    EXPECT_TRUE(read_policy(document(R"({"failurePolicy": "open", "burstPolicy": "default", "timeoutMs": 60000})")));
}

TEST(Policy, RejectsNamingKeyAndValue) {
    const std::pair<const char*, const char*> table[] = {
        {R"({"failurePolicy": "close"})", "failurePolicy: expected \"open\" or \"closed\", got \"close\""},
        {R"({"failurePolicy": true})", "failurePolicy: expected \"open\" or \"closed\", got true"},
        {R"({"failurePolicy": ""})", "failurePolicy: expected \"open\" or \"closed\", got \"\""},
        {R"({"burstPolicy": "upstream"})", "burstPolicy: expected \"runtime\" or \"default\", got \"upstream\""},
        {R"({"attachMode": "tc"})", "attachMode: expected \"auto\", \"tcx\" or \"clsact\", got \"tc\""},
        {R"({"edtPacing": true})", "edtPacing: expected \"auto\", \"on\" or \"off\", got true"},
        {R"({"shaper": "fq"})", "shaper: expected \"auto\", \"edt\", \"htb\" or \"police\", got \"fq\""},
        {R"({"timeoutMs": 0})", "timeoutMs: expected an integer from 1 to 60000, got 0"},
        {R"({"timeoutMs": 60001})", "timeoutMs: expected an integer from 1 to 60000, got 60001"},
        {R"({"timeoutMs": -1})", "timeoutMs: expected an integer from 1 to 60000, got -1"},
        {R"({"timeoutMs": 1.5})", "timeoutMs: expected an integer from 1 to 60000, got 1.5"},
        {R"({"timeoutMs": "2s"})", "timeoutMs: expected an integer from 1 to 60000, got \"2s\""},
    };
    for (const auto& [text, message] : table) {
        const auto r = read_policy(document(text));
        ASSERT_FALSE(r) << text;
        EXPECT_EQ(r.error().code, CniCode::invalid_configuration);
        EXPECT_EQ(r.error().message, message);
    }
}

TEST(Policy, ReadsTheDataPathsKeys) {
    const auto r = read_policy(document(R"({"AttachMode": "tcx", "edtPacing": "off", "shaper": "htb"})"));
    ASSERT_TRUE(r) << r.error().message;
    EXPECT_EQ(r->attach_mode, "tcx");
    EXPECT_EQ(r->edt_pacing, "off");
    EXPECT_EQ(r->shaper, "htb");
    const auto none = read_policy(document(R"({"attachMode": null, "edtPacing": "auto"})"));
    ASSERT_TRUE(none);
    EXPECT_EQ(none->attach_mode, "auto");
    EXPECT_EQ(none->shaper, "auto");
}

TEST(Policy, PacingAndShaperMustAgree) {
    for (const char* text : {R"({"edtPacing": "on", "shaper": "htb"})", R"({"edtPacing": "on", "shaper": "police"})",
                             R"({"edtPacing": "off", "shaper": "edt"})"}) {
        const auto r = read_policy(document(text));
        ASSERT_FALSE(r) << text;
        EXPECT_EQ(r.error().code, CniCode::invalid_configuration);
        EXPECT_EQ(r.error().message, "edtPacing contradicts shaper");
        EXPECT_NE(r.error().details, "");
    }
    EXPECT_TRUE(read_policy(document(R"({"edtPacing": "on", "shaper": "edt"})")));
}

TEST(Policy, LenientReadingKeepsWhatIsRight) {
    const auto out = read_policy_leniently(document(R"({"failurePolicy": "x", "burstPolicy": 1, "timeoutMs": 70})"));
    EXPECT_TRUE(out.fail_open);
    EXPECT_EQ(out.timeout, std::chrono::milliseconds(70));
    EXPECT_EQ(read_policy_leniently(document(R"({"timeoutMs": 1e9})")).timeout, std::chrono::milliseconds(2000));
}

CniResult<std::optional<Json>> previous(std::string_view version, std::string_view value) {
    return read_previous_result(
        {.name = "n", .version = std::string(version), .document = document(concat(R"({"prevResult": )", value, "}"))});
}

TEST(PreviousResult, AbsentAndNullAreNone) {
    const auto absent = read_previous_result({.name = "n", .version = "1.0.0", .document = document("{}")});
    ASSERT_TRUE(absent);
    EXPECT_FALSE(absent->has_value());
    const auto null = previous("1.0.0", "null");
    ASSERT_TRUE(null);
    EXPECT_FALSE(null->has_value());
}

TEST(PreviousResult, MustBeAnObject) {
    for (const char* value : {"[]", "5", "\"x\"", "true"}) {
        const auto r = previous("1.0.0", value);
        ASSERT_FALSE(r) << value;
        EXPECT_TRUE(r.error().message.starts_with(
            "failed to parse network configuration: prevResult: expected an object, got "))
            << r.error().message;
        EXPECT_EQ(r.error().code, CniCode::internal);
    }
}

// Setting another version on a result of another form would be a lie to the next plugin.
TEST(PreviousResult, MustHaveTheFormOfTheVersion) {
    for (const std::string conf : golden::versions) {
        for (const std::string result : golden::versions) {
            SCOPED_TRACE(concat(result, " in ", conf));
            const auto r = previous(conf, concat(R"({"cniVersion": ")", result, "\"}"));
            EXPECT_EQ(static_cast<bool>(r), (conf < "1") == (result < "1"));
        }
        EXPECT_TRUE(previous(conf, "{}"));
        EXPECT_TRUE(previous(conf, R"({"cniVersion": ""})"));
        for (const char* other : {"0.2.0", "2.0.0", "x"})
            EXPECT_FALSE(previous(conf, concat(R"({"cniVersion": ")", other, "\"}"))) << other;
    }
    const auto r = previous("0.4.0", R"({"cniVersion": "1.0.0"})");
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().message,
              "could not parse prevResult: could not parse prevResult: result type supports [0.3.0 0.3.1 0.4.0] but "
              "unmarshalled CNIVersion is \"1.0.0\"");
    EXPECT_FALSE(previous("1.0.0", R"({"cniVersion": 1})"));
}

}  // namespace
}  // namespace natra::shim
