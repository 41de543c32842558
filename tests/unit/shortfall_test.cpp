// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/shortfall.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace natra::pods {
namespace {

using datapath::Direction;
using testing::ElementsAre;
using testing::IsEmpty;

Pod on(const std::string& kind) {
    Pod pod;
    pod.request.pod_namespace = "shop";
    pod.request.pod_name = "web-0";
    pod.request.interface_name = "eth0";
    pod.effective.ingress = {.rate_bps = 1000, .source = limits::Source::runtime};
    pod.effective.egress = pod.effective.ingress;
    pod.kernel.record.pod_device = "eth0";
    pod.kernel.record.pod_kind = kind;
    pod.kernel.record.pod_ifindex = 2;
    pod.kernel.record.egress = datapath::ShapingRecord{};
    return pod;
}

TEST(Shortfall, IsNoneWhileAllIsInForce) {
    auto pod = on("macvlan");
    pod.kernel.record.ingress = datapath::ShapingRecord{};
    EXPECT_THAT(shortfalls(pod), IsEmpty());
    EXPECT_EQ(shortfall(pod, Direction::ingress), "");
}

TEST(Shortfall, IsNoneWhereNothingIsAskedFor) {
    auto pod = on("ipvlan l3s");
    pod.effective.ingress = {};
    EXPECT_THAT(shortfalls(pod), IsEmpty());
}

TEST(Shortfall, NamesPodDirectionAndCause) {
    EXPECT_THAT(shortfalls(on("ipvlan l3s")),
                ElementsAre("shop/web-0 eth0: ingress is not limited: eth0 is an ipvlan in mode l3s: what arrives "
                            "does not pass its ingress hook"));
}

TEST(Shortfall, TellsOfALimitThatWasLost) {
    EXPECT_THAT(shortfalls(on("macvlan")), ElementsAre("shop/web-0 eth0: ingress is not limited: its limit was lost "
                                                       "and could not be put back"));
}

TEST(Shortfall, IsNoReasonToCallLimitsAnything) {
    auto pod = on("ipvlan l3s");
    pod.kernel.record.egress->rate = {.rate_bps = 1000};
    EXPECT_TRUE(is_in_force(pod.effective, pod.kernel.record));
    pod.effective.egress.rate_bps = 2000;
    EXPECT_FALSE(is_in_force(pod.effective, pod.kernel.record));
    pod.effective.egress = {};
    EXPECT_FALSE(is_in_force(pod.effective, pod.kernel.record));
    // Lost, and not for want of a place.
    pod = on("macvlan");
    pod.kernel.record.egress->rate = {.rate_bps = 1000};
    EXPECT_FALSE(is_in_force(pod.effective, pod.kernel.record));
    pod.kernel.record.ingress = pod.kernel.record.egress;
    EXPECT_TRUE(is_in_force(pod.effective, pod.kernel.record));
}

}  // namespace
}  // namespace natra::pods
