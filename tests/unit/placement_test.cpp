// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/placement.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace natra::datapath {
namespace {

AttachmentRecord veth() {
    AttachmentRecord out;
    out.pod_device = "eth0";
    out.pod_kind = "veth";
    out.pod_ifindex = 2;
    out.host_device = "veth1";
    out.host_ifindex = 17;
    return out;
}

AttachmentRecord only_inside(const Link& link) {
    AttachmentRecord out;
    out.pod_device = "eth0";
    out.pod_kind = kind_text(link);
    out.pod_ifindex = 2;
    return out;
}

Link ipvlan(std::uint16_t mode) {
    Link out;
    out.kind = "ipvlan";
    out.ipvlan_mode = mode;
    return out;
}

TEST(Placement, OfAVethPairQueuesWhereThePacketsAreSent) {
    for (const auto shaper : {Shaper::edt, Shaper::htb}) {
        EXPECT_FALSE(placement_of(veth(), shaper, Direction::ingress).pod_side);
        EXPECT_TRUE(placement_of(veth(), shaper, Direction::ingress).device_egress);
        EXPECT_TRUE(placement_of(veth(), shaper, Direction::egress).pod_side);
        EXPECT_TRUE(placement_of(veth(), shaper, Direction::egress).device_egress);
    }
}

TEST(Placement, OfAVethPairPolicesOnTheHost) {
    EXPECT_FALSE(placement_of(veth(), Shaper::police, Direction::ingress).pod_side);
    EXPECT_TRUE(placement_of(veth(), Shaper::police, Direction::ingress).device_egress);
    EXPECT_FALSE(placement_of(veth(), Shaper::police, Direction::egress).pod_side);
    EXPECT_FALSE(placement_of(veth(), Shaper::police, Direction::egress).device_egress);
}

TEST(Placement, WithoutAHostSideIsInsideThePod) {
    const auto record = only_inside({.kind = "macvlan"});
    for (const auto shaper : {Shaper::edt, Shaper::htb, Shaper::police}) {
        EXPECT_TRUE(placement_of(record, shaper, Direction::ingress).pod_side);
        EXPECT_FALSE(placement_of(record, shaper, Direction::ingress).device_egress);
        EXPECT_TRUE(placement_of(record, shaper, Direction::egress).pod_side);
        EXPECT_TRUE(placement_of(record, shaper, Direction::egress).device_egress);
    }
}

TEST(Placement, OfWhatComesPastTheHostSideIsThePodsOwnHook) {
    auto record = veth();
    record.past_host_side = true;
    for (const auto shaper : {Shaper::edt, Shaper::htb, Shaper::police}) {
        EXPECT_TRUE(placement_of(record, shaper, Direction::ingress).pod_side);
        EXPECT_FALSE(placement_of(record, shaper, Direction::ingress).device_egress);
    }
    EXPECT_FALSE(has_queue(record, Direction::ingress));
    EXPECT_TRUE(has_queue(record, Direction::egress));
    EXPECT_FALSE(placement_of(record, Shaper::police, Direction::egress).pod_side);
}

TEST(Placement, KnowsWherePacketsWait) {
    for (const auto direction : directions) EXPECT_TRUE(has_queue(veth(), direction));
    const auto record = only_inside({.kind = "macvlan"});
    EXPECT_TRUE(has_queue(record, Direction::egress));
    EXPECT_FALSE(has_queue(record, Direction::ingress));
}

TEST(Obstacle, IsWhatL3sDoesToWhatArrives) {
    EXPECT_THAT(obstacle(only_inside(ipvlan(2)), Direction::ingress), testing::HasSubstr("l3s"));
    EXPECT_EQ(obstacle(only_inside(ipvlan(2)), Direction::egress), "");
}

TEST(Obstacle, IsNoneElsewhere) {
    for (const auto direction : directions) {
        for (const auto mode : {std::uint16_t{0}, std::uint16_t{1}})
            EXPECT_EQ(obstacle(only_inside(ipvlan(mode)), direction), "");
        for (const char* kind : {"", "macvlan", "vlan", "veth"})
            EXPECT_EQ(obstacle(only_inside({.kind = kind}), direction), "") << kind;
        EXPECT_EQ(obstacle(veth(), direction), "");
    }
}

TEST(KindText, NamesKindAndMode) {
    EXPECT_EQ(kind_text({}), "device");
    EXPECT_EQ(kind_text({.kind = "macvlan"}), "macvlan");
    EXPECT_EQ(kind_text(ipvlan(0)), "ipvlan l2");
    EXPECT_EQ(kind_text(ipvlan(1)), "ipvlan l3");
    EXPECT_EQ(kind_text(ipvlan(2)), "ipvlan l3s");
    EXPECT_EQ(kind_text(ipvlan(9)), "ipvlan");
}

}  // namespace
}  // namespace natra::datapath
