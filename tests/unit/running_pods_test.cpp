// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/running_pods.hpp"

#include <gtest/gtest.h>

namespace natra::pods {
namespace {

using Which = AdoptionSettings::Which;
using cni::LimitedBy;

cni::RunningPod pod(LimitedBy by, bool limited = true) {
    cni::RunningPod out{.by = by, .mac = "aa:bb:cc:00:00:02"};
    out.request.container_id = "c1";
    out.request.interface = "eth0";
    out.request.network = "cbr0";
    out.request.netns_path = "/run/netns/cni-1";
    out.request.host_interfaces = {"veth1"};
    if (limited) out.request.limits.ingress = {1000, 2000, limits::Source::runtime};
    return out;
}

TEST(RunningPods, AreNatrasByWhatTheirChainHasDone) {
    struct Case {
        LimitedBy by;
        Which which;
        bool adopted;
    };
    const Case table[] = {{LimitedBy::stock, Which::none, false},   {LimitedBy::stock, Which::limited, true},
                          {LimitedBy::stock, Which::all, true},     {LimitedBy::natra, Which::none, false},
                          {LimitedBy::natra, Which::limited, true}, {LimitedBy::natra, Which::all, true},
                          {LimitedBy::nobody, Which::none, false},  {LimitedBy::nobody, Which::limited, false},
                          {LimitedBy::nobody, Which::all, true}};
    for (const auto& each : table) {
        for (const bool limited : {true, false})
            EXPECT_EQ(is_to_be_adopted(pod(each.by, limited), each.which, false), each.adopted)
                << static_cast<int>(each.by) << " " << to_string(each.which) << " " << limited;
        EXPECT_EQ(is_to_be_adopted(pod(each.by, false), each.which, true), each.adopted) << "without limits, fresh";
        EXPECT_FALSE(is_to_be_adopted(pod(each.by), each.which, true)) << "its plugin sees to it";
    }
    auto annotated = pod(LimitedBy::natra, false);
    annotated.request.annotations = {{"natra.io/ingress-rate", "1M"}};
    EXPECT_TRUE(is_to_be_adopted(annotated, Which::limited, false));
    EXPECT_FALSE(is_to_be_adopted(annotated, Which::limited, true));
}

TEST(RunningPods, WithoutLimitsTheStockPluginHasDoneNothing) {
    const auto unlimited = request_for(pod(LimitedBy::stock, false));
    ASSERT_TRUE(unlimited) << unlimited.error().what;
    EXPECT_FALSE(unlimited->strict_interfaces);
    ASSERT_TRUE(unlimited->running);
    EXPECT_FALSE(unlimited->running->stock);
    EXPECT_FALSE(unlimited->limits.any());
}

TEST(RunningPods, WhichOnesHasNames) {
    for (const auto which : {Which::none, Which::limited, Which::all}) EXPECT_EQ(which_from(to_string(which)), which);
    EXPECT_EQ(which_from("some"), std::nullopt);
}

TEST(RunningPods, AreAttachedAsTheirPluginWouldHave) {
    const auto natra = request_for(pod(LimitedBy::natra));
    ASSERT_TRUE(natra) << natra.error().what;
    EXPECT_EQ(natra->container_id, "c1");
    EXPECT_EQ(natra->limits.ingress, (limits::Limit{1000, 2000, limits::Source::runtime}));
    EXPECT_FALSE(natra->strict_interfaces);
    ASSERT_TRUE(natra->running);
    EXPECT_FALSE(natra->running->stock);
    EXPECT_EQ(natra->opened.mac, "aa:bb:cc:00:00:02");
    const auto stock = request_for(pod(LimitedBy::stock));
    ASSERT_TRUE(stock) << stock.error().what;
    EXPECT_TRUE(stock->strict_interfaces);
    EXPECT_TRUE(stock->running->stock);
}

TEST(RunningPods, ATokenBucketOfCalicosMayBeFelixs) {
    auto calicos = pod(LimitedBy::stock);
    calicos.request.host_interfaces = {"cali12ab"};
    const auto request = request_for(calicos);
    ASSERT_TRUE(request) << request.error().what;
    EXPECT_FALSE(request->running->stock);
}

}  // namespace
}  // namespace natra::pods
