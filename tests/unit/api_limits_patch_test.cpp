// SPDX-License-Identifier: Apache-2.0
#include "api/limits_patch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/entity_tag.hpp"
#include "daemon/util/error.hpp"

namespace natra::api {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// As GET .../limits has it.
Json limits_now() {
    return Json::parse(R"({
        "ingress": {"rate": 20000000, "burst": 0, "source": "runtime", "override": {},
                    "requested": {"rate": 20000000, "burst": 0, "source": "runtime"}},
        "egress": {"rate": 500, "burst": 8000, "source": "operator_override", "override": {"burst": 8000},
                   "requested": {"rate": 500, "burst": 0, "source": "runtime"}},
        "overriddenBy": "uid 0 over D-Bus",
        "overriddenAt": "2026-11-01T10:00:00.000000Z"})");
}

std::variant<pods::LimitsEdit, Response> read_patch(std::string_view body) {
    const auto parsed = parse_limits_patch(body);
    if (const auto* wrong = std::get_if<Response>(&parsed)) return *wrong;
    return read_limits_patch(std::get<Json>(parsed), limits_now());
}

pods::LimitsEdit taken(std::string_view body) {
    const auto out = read_patch(body);
    EXPECT_TRUE(std::holds_alternative<pods::LimitsEdit>(out)) << body;
    return std::holds_alternative<pods::LimitsEdit>(out) ? std::get<pods::LimitsEdit>(out) : pods::LimitsEdit{};
}

json refused(int status, std::string_view body) {
    const auto out = read_patch(body);
    EXPECT_TRUE(std::holds_alternative<Response>(out)) << body;
    if (!std::holds_alternative<Response>(out)) return {};
    EXPECT_EQ(std::get<Response>(out).status, status) << body;
    return json::parse(std::get<Response>(out).body);
}

const pods::ValueEdit ended(std::in_place);

TEST(LimitsPatch, TakesIntegersQuantitiesAndNull) {
    const auto edit = taken(R"({"ingress": {"rate": "10M", "burst": 80000}, "egress": {"rate": null}})");
    EXPECT_EQ(edit.ingress.rate_bps, pods::ValueEdit(10'000'000U));
    EXPECT_EQ(edit.ingress.burst_bits, pods::ValueEdit(80'000U));
    EXPECT_EQ(edit.egress.rate_bps, ended);
    EXPECT_EQ(edit.egress.burst_bits, pods::ValueEdit());
    EXPECT_EQ(taken(R"({"ingress": {"rate": "1Mi"}})").ingress.rate_bps, pods::ValueEdit(1U << 20));
    EXPECT_EQ(taken(R"({"ingress": {"rate": 0}})").ingress.rate_bps, pods::ValueEdit(0U));
}

TEST(LimitsPatch, NullForADirectionEndsAllOfIt) {
    const auto edit = taken(R"({"egress": null})");
    EXPECT_EQ(edit.egress.rate_bps, ended);
    EXPECT_EQ(edit.egress.burst_bits, ended);
    EXPECT_FALSE(edit.ingress.any());
}

TEST(LimitsPatch, AnEmptyOneChangesNothing) {
    EXPECT_FALSE(taken("{}").any());
    EXPECT_FALSE(taken(R"({"ingress": {}})").any());
}

TEST(LimitsPatch, NamesFieldAndValue) {
    const auto rate = refused(422, R"({"ingress": {"rate": "fast"}})");
    EXPECT_EQ(rate.at("field"), "ingress.rate");
    EXPECT_EQ(rate.at("value"), "fast");
    EXPECT_THAT(rate.at("detail"), HasSubstr("ingress.rate: "));
    EXPECT_EQ(refused(422, R"({"egress": {"burst": -1}})").at("value"), -1);
    EXPECT_EQ(refused(422, R"({"egress": {"burst": 1.5}})").at("value"), 1.5);
    EXPECT_EQ(refused(422, R"({"egress": {"rate": true}})").at("value"), true);
    EXPECT_EQ(refused(422, R"({"egress": {"rate": "-5"}})").at("value"), "-5");
    EXPECT_EQ(refused(422, R"({"egress": {"rate": []}})").at("value"), "an array");
    EXPECT_EQ(refused(422, R"({"egress": {"rate": "1e99"}})").at("field"), "egress.rate");
    EXPECT_EQ(refused(422, R"({"egress": {"rate": 99999999999999999999}})").at("field"), "egress.rate");
    EXPECT_EQ(refused(422, R"({"ingres": {"rate": 1}})").at("field"), "ingres");
    EXPECT_EQ(refused(422, R"({"ingress": {"Rate": 1}})").at("field"), "ingress.Rate");
    EXPECT_EQ(refused(422, R"({"ingress": 5})").at("field"), "ingress");
}

TEST(LimitsPatch, ShowsWhatIsTooMuchAsItWasGiven) {
    EXPECT_EQ(refused(422, R"({"ingress": {"rate": "5E"}})").at("value"), "5E");
    EXPECT_EQ(refused(422, R"({"ingress": {"burst": "32Gi"}})").at("value"), "32Gi");
    const auto huge = refused(422, R"({"ingress": {"rate": 99999999999999999999999}})");
    EXPECT_EQ(huge.at("detail"), "ingress.rate: above 1000000000000000 bit/s");
    EXPECT_EQ(huge.at("value"), 1e23) << "the nearest double";
}

TEST(LimitsPatch, ARateBelowOneKilobitIsASlipThatIsNamed) {
    const auto milli = refused(422, R"({"egress": {"rate": "50m"}})");
    EXPECT_EQ(milli.at("field"), "egress.rate");
    EXPECT_EQ(milli.at("value"), "50m");
    EXPECT_EQ(milli.at("detail"), "egress.rate: 50m is 0.05 bit/s; did you mean 50M?");
    EXPECT_EQ(refused(422, R"({"egress": {"rate": 50}})").at("detail"),
              "egress.rate: 50 is taken as 50 bit/s; did you mean 50M?");
    EXPECT_EQ(refused(422, R"({"ingress": {"rate": 999}})").at("value"), 999);
    EXPECT_EQ(refused(422, R"({"ingress": {"rate": "1e2"}})").at("detail"),
              "ingress.rate: the lowest rate is 1000 bit/s");
    EXPECT_EQ(taken(R"({"ingress": {"rate": "1k"}})").ingress.rate_bps, pods::ValueEdit(1000U));
    EXPECT_EQ(taken(R"({"ingress": {"rate": "0m"}})").ingress.rate_bps, pods::ValueEdit(0U));
    EXPECT_EQ(taken(R"({"ingress": {"burst": 8}})").ingress.burst_bits, pods::ValueEdit(8U));
}

TEST(LimitsPatch, NamesWhatIsGivenTwice) {
    const auto twice = refused(400, R"({"ingress": {"rate": 1, "burst": 2, "rate": 3}})");
    EXPECT_EQ(twice.at("field"), "ingress.rate");
    EXPECT_EQ(twice.at("detail"), "ingress.rate: is given twice");
    EXPECT_EQ(refused(400, R"({"egress": {"rate": 1}, "egress": null})").at("field"), "egress");
}

TEST(LimitsPatch, NamesTheFirstThatIsGivenTwice) {
    EXPECT_EQ(refused(400, R"({"egress": null, "egress": null, "egress": null})").at("field"), "egress");
    for (const std::string_view body :
         {R"({"ingress": {"rate": 1, "rate": 2, "burst": 3, "burst": 4}})",
          R"({"ingress": {"rate": 1, "rate": 2}, "egress": null, "egress": {"rate": {"a": {}, "a": {}}}})"}) {
        const auto twice = refused(400, body);
        EXPECT_EQ(twice.at("field"), "ingress.rate");
        EXPECT_EQ(twice.at("detail"), "ingress.rate: is given twice");
    }
}

TEST(LimitsPatch, AnswersAreShortWhateverNamesAreGiven) {
    const std::string name(30'000, 'x');
    std::string repeats = R"("a": 1)";
    for (int i = 0; i < 4000; ++i) repeats += R"(,"a":1)";
    for (const auto& [status, body] : {std::pair{400, concat("{\"", name, "\": {", repeats, "}}")},
                                       {400, concat("{\"", name, "\": 1, \"", name, "\": 2}")},
                                       {422, concat("{\"", name, "\": 1}")},
                                       {422, concat("{\"ingress\": {\"", name, "\": 1}}")}}) {
        const auto response = std::get<Response>(read_patch(body));
        EXPECT_EQ(response.status, status);
        EXPECT_LT(response.body.size(), 1000U);
        EXPECT_THAT(json::parse(response.body).at("field").get<std::string>(), HasSubstr("xxx..."));
    }
}

TEST(LimitsPatch, RefusesWhatIsNoObject) {
    for (const std::string_view body :
         {"", " ", "null", "[]", "5", "{", R"({"ingress": })", R"({"a":1}x)", "{\"a\":\"\xff\"}",
          R"({"ingress": {"rate": 1, "rate": 2}})", R"({"ingress": {}, "ingress": {}})"})
        refused(400, body);
    refused(400, std::string_view("{}\0", 3));
    refused(400, std::string(60'000, '['));
    std::string deep;
    for (int i = 0; i < 5000; ++i) deep += R"({"ingress":)";
    refused(400, deep);
}

TEST(LimitsPatch, WhatAGetAnsweredChangesNothing) { EXPECT_FALSE(taken(limits_now().dump()).any()); }

TEST(LimitsPatch, WhatAGetAnsweredChangesWhatIsEditedInIt) {
    auto document = limits_now();
    document["ingress"]["rate"] = "50M";
    const auto edit = taken(document.dump());
    EXPECT_EQ(edit.ingress.rate_bps, pods::ValueEdit(50'000'000U));
    EXPECT_EQ(edit.ingress.burst_bits, pods::ValueEdit());
    EXPECT_FALSE(edit.egress.any());
    document["egress"]["burst"] = nullptr;
    EXPECT_EQ(taken(document.dump()).egress.burst_bits, ended);
}

TEST(LimitsPatch, AValueAloneIsSetEvenIfItIsInForce) {
    EXPECT_EQ(taken(R"({"ingress": {"rate": 20000000}})").ingress.rate_bps, pods::ValueEdit(20'000'000U));
    EXPECT_EQ(
        taken(R"({"ingress": {"rate": 20000000}, "overriddenAt": "2026-11-01T10:00:00.000000Z"})").ingress.rate_bps,
        pods::ValueEdit(20'000'000U));
}

TEST(LimitsPatch, NamesWhatCannotBeChanged) {
    const auto source = refused(422, R"({"ingress": {"rate": 1000, "source": "conf"}})");
    EXPECT_EQ(source.at("field"), "ingress.source");
    EXPECT_EQ(source.at("value"), "conf");
    EXPECT_EQ(source.at("detail"), "ingress.source: cannot be changed; it is \"runtime\"");
    EXPECT_EQ(refused(422, R"({"egress": {"override": {"burst": 9000}}})").at("field"), "egress.override");
    EXPECT_EQ(refused(422, R"({"egress": {"requested": null}})").at("field"), "egress.requested");
    EXPECT_EQ(refused(422, R"({"overriddenBy": "me"})").at("field"), "overriddenBy");
}

TEST(LimitsPatch, WantsItsMediaType) {
    const auto fits = [](const char* type) { return std::holds_alternative<std::monostate>(check_patch_type(type)); };
    EXPECT_TRUE(fits("application/merge-patch+json"));
    EXPECT_TRUE(fits("Application/JSON; charset=utf-8"));
    EXPECT_FALSE(fits(""));
    EXPECT_FALSE(fits("application/x-www-form-urlencoded"));
    const auto refusal = check_patch_type("text/plain");
    EXPECT_THAT(std::get<Response>(refusal).headers,
                testing::Contains(testing::Pair("Accept-Patch", "application/merge-patch+json")));
}

TEST(WrongLimits, SpeaksOfThePatchesFields) {
    const auto response =
        wrong_limits(fail(Error::Code::invalid_argument, "EgressBurst: 5 bits: if burst is set, ..."));
    EXPECT_EQ(response.status, 422);
    const auto document = json::parse(response.body);
    EXPECT_EQ(document.at("field"), "egress.burst");
    EXPECT_EQ(document.at("value"), 5);
    EXPECT_EQ(document.at("detail"), "egress.burst: 5 bits: if burst is set, ...");
    EXPECT_EQ(wrong_limits(fail(Error::Code::not_found, "x")).status, 404);
}

TEST(EntityTag, FollowsTheContent) {
    EXPECT_EQ(entity_tag("a"), entity_tag("a"));
    EXPECT_NE(entity_tag("a"), entity_tag("b"));
    EXPECT_TRUE(entity_tag("").starts_with('"') && entity_tag("").ends_with('"'));
}

TEST(IfMatch, ComparesStrongTags) {
    const auto allows = [](const char* header, const char* tag) {
        const auto parsed = parse_tags("if-match", header, Comparison::strong);
        return std::holds_alternative<Tags>(parsed) && std::get<Tags>(parsed).fit(tag);
    };
    EXPECT_TRUE(allows(" * ", "\"a\""));
    EXPECT_TRUE(allows("\"a\"", "\"a\""));
    EXPECT_TRUE(allows("\"b\" , \"a\"", "\"a\""));
    EXPECT_TRUE(allows(", \"b\",, \"a\",", "\"a\""));
    EXPECT_TRUE(allows("\"\"", "\"\""));
    EXPECT_TRUE(allows("W/\"a\", \"a\"", "\"a\""));
    EXPECT_FALSE(allows("\"b\"", "\"a\""));
    EXPECT_FALSE(allows("W/\"a\"", "\"a\""));
    EXPECT_FALSE(allows("\"b\", W/\"a\"", "\"a\""));
    EXPECT_FALSE(allows("\"A\"", "\"a\""));
}

TEST(IfMatch, NamesTheHeaderWhereItIsNoListOfTags) {
    for (const auto* const header : {"", " ", ",", ", ,", "a", "\"a", "\"a\" \"b\"", "\"a b\"", "*, \"a\"", "\"a\", *",
                                     "**", "w/\"a\"", "W/", "W/ \"a\"", "\"a\", b"}) {
        const auto parsed = parse_tags("if-match", header, Comparison::strong);
        ASSERT_TRUE(std::holds_alternative<Response>(parsed)) << header;
        const auto& response = std::get<Response>(parsed);
        EXPECT_EQ(response.status, 400) << header;
        EXPECT_EQ(json::parse(response.body).at("field"), "if-match") << header;
    }
}

TEST(Preconditions, SayWhichHeaderDoesNotHold) {
    const auto failed = [](std::map<std::string, std::string> headers) {
        const auto parsed =
            parse_preconditions({.method = {}, .target = {}, .headers = std::move(headers), .body = {}});
        return std::string(std::get<Preconditions>(parsed).failed_by("\"a\""));
    };
    EXPECT_EQ(failed({}), "");
    EXPECT_EQ(failed({{"if-match", "\"a\""}}), "");
    EXPECT_EQ(failed({{"if-match", "\"b\""}}), "if-match");
    EXPECT_EQ(failed({{"if-none-match", "\"b\", W/\"c\""}}), "");
    EXPECT_EQ(failed({{"if-none-match", "*"}}), "if-none-match");
    EXPECT_EQ(failed({{"if-none-match", "W/\"a\""}}), "if-none-match") << "it compares weakly";
    EXPECT_EQ(failed({{"if-match", "*"}, {"if-none-match", "\"a\""}}), "if-none-match");
    EXPECT_TRUE(std::holds_alternative<Response>(
        parse_preconditions({.method = {}, .target = {}, .headers = {{"if-none-match", "a"}}, .body = {}})));
}

}  // namespace
}  // namespace natra::api
