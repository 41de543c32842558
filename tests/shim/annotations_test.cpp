// SPDX-License-Identifier: Apache-2.0
#include "daemon/cni/annotations.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cni-shim/cni.hpp"

namespace natra::shim {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

FoundAnnotations read(const char* text) { return read_annotations(*parse_json(text)); }

TEST(Annotations, OnlyTheRelevantOnesAreTaken) {
    const auto found = read(R"({"runtimeConfig": {"io.kubernetes.cri.pod-annotations": {
        "natra.io/ingress-rate": "10M", "kubernetes.io/egress-bandwidth": "fast", "app": "web"}}})");
    EXPECT_EQ(found.relevant,
              (limits::Annotations{{"natra.io/ingress-rate", "10M"}, {"kubernetes.io/egress-bandwidth", "fast"}}));
    EXPECT_THAT(found.problems, IsEmpty());
}

TEST(Annotations, AreNoneElsewhere) {
    for (const char* text :
         {R"({})", R"({"runtimeConfig": null})", R"({"runtimeConfig": {"io.kubernetes.cri.pod-annotations": null}})",
          R"({"io.kubernetes.cri.pod-annotations": {"natra.io/ingress-rate": "10M"}})",
          R"({"runtimeConfig": {"podAnnotations": {"natra.io/ingress-rate": "10M"}}})"}) {
        const auto found = read(text);
        EXPECT_THAT(found.relevant, IsEmpty()) << text;
        EXPECT_THAT(found.problems, IsEmpty()) << text;
    }
}

TEST(Annotations, WhatCannotBeOneIsLeftOutAndSaid) {
    const auto found = read(R"({"runtimeConfig": {"io.kubernetes.cri.pod-annotations": {
        "natra.io/ingress-rate": 10, "natra.io/egress-rate": "1M\u0000", "natra.io/egress-burst": "1M", "app": 7}}})");
    EXPECT_EQ(found.relevant, (limits::Annotations{{"natra.io/egress-burst", "1M"}}));
    EXPECT_THAT(found.problems, ElementsAre("annotation \"natra.io/ingress-rate\": expected a text, got 10",
                                            "annotation \"natra.io/egress-rate\": expected a text, got \"1M\\u0000\""));
    EXPECT_THAT(read(R"({"runtimeConfig": {"io.kubernetes.cri.pod-annotations": []}})").problems,
                ElementsAre("io.kubernetes.cri.pod-annotations: expected an object, got an array"));
}

}  // namespace
}  // namespace natra::shim
