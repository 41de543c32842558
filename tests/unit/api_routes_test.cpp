// SPDX-License-Identifier: Apache-2.0
#include "api/routes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "api/openapi.hpp"
#include "api/problem.hpp"
#include "api/text.hpp"

namespace natra::api {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::variant<Match, Response> find(const std::string& method, const std::string& target) {
    return find_route({.method = method, .target = target, .headers = {}, .body = {}});
}

Match found(const std::string& method, const std::string& target) {
    const auto out = find(method, target);
    const auto* match = std::get_if<Match>(&out);
    EXPECT_NE(match, nullptr) << method << ' ' << target;
    return match == nullptr ? Match{} : *match;
}

json refused(int status, const std::string& method, const std::string& target) {
    const auto out = find(method, target);
    const auto* response = std::get_if<Response>(&out);
    EXPECT_NE(response, nullptr) << method << ' ' << target;
    if (response == nullptr) return {};
    EXPECT_EQ(response->status, status) << method << ' ' << target;
    EXPECT_EQ(response->content_type, "application/problem+json");
    auto document = json::parse(response->body);
    EXPECT_EQ(document.at("status"), status);
    return document;
}

TEST(Routes, NamesAPodByOneSegmentOrTwo) {
    const auto by_id = found("GET", "/v1/pods/0a1b");
    EXPECT_EQ(by_id.route->endpoint, Endpoint::pod);
    EXPECT_EQ(by_id.pod, "0a1b");
    EXPECT_EQ(found("GET", "/v1/pods/shop/web-0").pod, "shop/web-0");
    EXPECT_EQ(found("GET", "/v1/pods/shop%2Fweb-0").pod, "shop/web-0");
    EXPECT_EQ(found("PATCH", "/v1/pods/shop/web-0/limits").route->endpoint, Endpoint::limits_patch);
    EXPECT_EQ(found("DELETE", "/v1/pods/0a1b/limits").route->endpoint, Endpoint::limits_delete);
    EXPECT_EQ(found("GET", "/v1/pods/0a1b/flows?top=3&direction=ingress").query.at("top"), "3");
}

TEST(Routes, ALastSegmentWithAMeaningOfItsOwnIsThat) {
    const auto limits = found("GET", "/v1/pods/shop/limits");
    EXPECT_EQ(limits.route->endpoint, Endpoint::limits_get);
    EXPECT_EQ(limits.pod, "shop");
    const auto pod = found("GET", "/v1/pods/shop%2Flimits");
    EXPECT_EQ(pod.route->endpoint, Endpoint::pod);
    EXPECT_EQ(pod.pod, "shop/limits");
}

TEST(Routes, HeadIsGet) { EXPECT_EQ(found("HEAD", "/v1/status").route->endpoint, Endpoint::status); }

TEST(Routes, RefusesWhatIsNotThere) {
    for (const auto* const path : {"/", "/v1", "/v1/", "/v1/pods/", "/v1/pods//limits", "/v1/pods/a/b/c", "/V1/pods",
                                   "/v1/pods/a/b/limits/c", "//v1/pods", "/healthz/"})
        EXPECT_THAT(refused(404, "GET", path).at("detail"), HasSubstr(path));
}

TEST(Routes, RefusesAMethodAndSaysWhichThereAre) {
    refused(405, "POST", "/v1/pods");
    refused(405, "get", "/v1/pods");
    const auto out = find("PUT", "/v1/pods/a/limits");
    const auto& response = std::get<Response>(out);
    EXPECT_EQ(response.status, 405);
    EXPECT_THAT(response.headers, testing::Contains(testing::Pair("Allow", "GET, HEAD, PATCH, DELETE")));
}

TEST(Routes, RefusesParametersByName) {
    EXPECT_EQ(refused(400, "GET", "/v1/pods?nmae=x").at("field"), "nmae");
    EXPECT_EQ(refused(400, "GET", "/healthz?x").at("field"), "x");
    EXPECT_EQ(refused(400, "GET", "/v1/pods?name=a&name=b").at("field"), "name");
    EXPECT_EQ(refused(400, "GET", "/v1/pods?name=%zz").at("field"), "query");
    EXPECT_EQ(refused(400, "GET", "/v1/pods?name=%ff").at("field"), "query");
    EXPECT_EQ(refused(400, "GET", "/v1/pods/%00").at("field"), "path");
    EXPECT_EQ(refused(400, "GET", "/v1/pods/%e").at("field"), "path");
    EXPECT_TRUE(found("GET", "/v1/pods?&").query.empty());
    EXPECT_EQ(found("GET", "/v1/pods?name=a%20b").query.at("name"), "a b");
}

// The document and the table say the same.
TEST(Routes, AreThoseOfTheOpenApiDocument) {
    const auto document = json::parse(openapi);
    EXPECT_EQ(document.at("openapi"), "3.1.0");
    std::set<std::string> documented;
    for (const auto& [path, operations] : document.at("paths").items())
        for (const auto& [method, operation] : operations.items()) {
            std::string name = method + ' ' + path;
            for (const auto& listed : operation.value("parameters", json::array())) {
                const auto* parameter = &listed;
                if (listed.contains("$ref")) {
                    const auto pointer = listed.at("$ref").get<std::string>().substr(1);
                    parameter = &document.at(json::json_pointer(pointer));
                }
                if (parameter->at("in") == "query") name += " " + parameter->at("name").get<std::string>();
            }
            documented.insert(name);
        }
    std::set<std::string> real;
    for (const auto& route : routes()) {
        auto name = lower_case(route.method) + ' ' + std::string(route.path);
        for (const auto& each : route.query) name += ' ' + std::string(each);
        real.insert(name);
    }
    EXPECT_EQ(documented, real);
}

// Every "$ref" leads somewhere.
void check_references(const json& document, const json& part) {
    if (part.is_object() && part.contains("$ref")) {
        const json::json_pointer pointer(part.at("$ref").get<std::string>().substr(1));
        EXPECT_TRUE(document.contains(pointer)) << pointer.to_string();
    }
    if (part.is_structured())
        for (const auto& each : part) check_references(document, each);
}

// Each status that natrad knows is one of an operation, or of what it refuses whatever it was.
TEST(OpenApi, HasEveryStatus) {
    const auto document = json::parse(openapi);
    const auto& refusals = document.at(json::json_pointer("/components/schemas/Refusal/properties/status/enum"));
    auto documented = refusals.get<std::set<int>>();
    for (const auto& [path, operations] : document.at("paths").items())
        for (const auto& [method, operation] : operations.items()) {
            EXPECT_EQ(operation.at("responses").at("default").at("$ref"), "#/components/responses/Refused");
            for (const auto& [status, response] : operation.at("responses").items())
                if (status != "default") documented.insert(std::stoi(status));
        }
    std::set<int> known;
    for (int status = 100; status < 600; ++status)
        if (reason_phrase(status) != "Unknown") known.insert(status);
    EXPECT_EQ(documented, known);
}

TEST(OpenApi, HasNoBrokenReference) {
    const auto document = json::parse(openapi);
    check_references(document, document);
}

}  // namespace
}  // namespace natra::api
