// SPDX-License-Identifier: Apache-2.0
#include "daemon/chain/conflist.hpp"

#include <gmock/gmock.h>

namespace natra::chain {
namespace {

using testing::ElementsAre;

std::vector<std::string> types(const std::string& text) {
    const auto network = parse_network(text, Format::list);
    EXPECT_TRUE(network) << network.error().what;
    std::vector<std::string> out;
    if (network)
        for (const auto& plugin : network->plugins) out.push_back(plugin.type);
    return out;
}

std::optional<Edit> edit(const std::string& text, Format format = Format::list) {
    auto r = with_natra(text, format);
    EXPECT_TRUE(r) << r.error().what;
    return *r;
}

TEST(WithNatra, GoesBehindThePluginsThatMakeInterfaces) {
    const auto r = edit(R"({"cniVersion":"1.0.0","name":"k8s-pod-network","plugins":[
        {"type":"calico","ipam":{"type":"calico-ipam"}},{"type":"portmap","snat":true}]})");
    EXPECT_THAT(types(r->text), ElementsAre("calico", "natra", "portmap"));
    EXPECT_EQ(r->how, "behind calico");
}

TEST(WithNatra, TheFirstPluginMakesTheInterfaceWhateverItsName) {
    EXPECT_THAT(
        types(edit(R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":"acme-net"},{"type":"tuning"}]})")->text),
        ElementsAre("acme-net", "natra", "tuning"));
}

TEST(WithNatra, GoesBehindTheLastOfSeveral) {
    EXPECT_THAT(
        types(
            edit(
                R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":"ptp"},{"type":"tuning"},{"type":"macvlan"},{"type":"sbr"}]})")
                ->text),
        ElementsAre("ptp", "tuning", "macvlan", "natra", "sbr"));
}

TEST(WithNatra, TakesThePlaceAndTheKeysOfBandwidth) {
    const auto r = edit(R"({"cniVersion":"1.0.0","name":"cbr0","plugins":[{"type":"flannel"},{"type":"portmap"},
        {"type":"bandwidth","ingressRate":1000000,"ingressBurst":80000,"capabilities":{"bandwidth":true}}]})");
    EXPECT_THAT(types(r->text), ElementsAre("flannel", "portmap", "natra"));
    const auto plugin = Json::parse(r->text)["plugins"][2];
    EXPECT_EQ(plugin["ingressRate"], 1000000);
    EXPECT_EQ(plugin["ingressBurst"], 80000);
    EXPECT_EQ(plugin["capabilities"]["bandwidth"], true);
    EXPECT_EQ(plugin["capabilities"]["io.kubernetes.cri.pod-annotations"], true);
}

TEST(WithNatra, KeepsNameVersionUnknownKeysAndTheirOrder) {
    const auto r = edit(R"({"zebra":[1,{"a":null}],"cniVersion":"0.3.1","name":"x","disableCheck":true,
        "plugins":[{"mtu":1450,"type":"bridge","isGateway":true}],"apple":"Ä"})");
    auto after = Json::parse(r->text);
    after["plugins"].erase(1);
    EXPECT_EQ(after.dump(), Json::parse(R"({"zebra":[1,{"a":null}],"cniVersion":"0.3.1","name":"x","disableCheck":true,
        "plugins":[{"mtu":1450,"type":"bridge","isGateway":true}],"apple":"Ä"})")
                                .dump());
}

TEST(WithNatra, MakesAListOfASinglePlugin) {
    const auto r = edit(R"({"cniVersion":"0.4.0","name":"one","type":"bridge","bridge":"br0"})", Format::single);
    const auto list = Json::parse(r->text);
    EXPECT_EQ(list["cniVersion"], "0.4.0");
    EXPECT_EQ(list["name"], "one");
    EXPECT_EQ(list["plugins"][0].dump(), R"({"type":"bridge","bridge":"br0"})");
    EXPECT_EQ(list["plugins"][1]["type"], "natra");
    EXPECT_EQ(list["loadOnlyInlinedPlugins"], true);  // libcni reads no folder for a single plugin
}

TEST(WithNatra, MakesALoadableListOfASinglePluginHoweverItsKeysAreSpelled) {
    for (const char* const single :
         {R"({"cniVersion":"1.0.0","type":"bridge"})", R"({"CNIVersion":"1.0.0","Name":"one","Type":"bridge"})"}) {
        const auto before = parse_network(single, Format::single);
        const auto after = parse_network(edit(single, Format::single)->text, Format::list);
        ASSERT_TRUE(after) << after.error().what;
        EXPECT_EQ(after->name, before->name);
        EXPECT_EQ(after->version, before->version);
        EXPECT_EQ(after->plugins.size(), 2U);
    }
}

TEST(WithNatra, TakesThePlaceOfBandwidthInAnySpellingOfItsKey) {
    const auto r = edit(R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":"ptp"},{"Type":"bandwidth"}]})");
    EXPECT_THAT(types(r->text), ElementsAre("ptp", "natra"));
}

TEST(WithNatra, ChangesNothingWhereItIs) {
    EXPECT_FALSE(edit(R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":"ptp"},{"type":"natra"}]})"));
    EXPECT_FALSE(edit(R"({"cniVersion":"1.0.0","name":"n","type":"natra"})", Format::single));
}

TEST(WithNatra, RefusesVersionsThatItDoesNotSpeak) {
    const auto of = [](const std::string& versions) {
        return with_natra("{" + versions + R"("name":"n","plugins":[{"type":"ptp"}]})", Format::list);
    };
    for (const char* const versions :
         {"", R"("cniVersion":"0.2.0",)", R"("cniVersion":"1.2.0",)", R"("cniVersion":"",)",
          R"("cniVersion":"0.4.0","cniVersions":["1.2.0"],)", R"("cniVersion":1,)", R"("cniVersion":"1.0.0x",)",
          R"("cniVersion":"1.0.00",)"}) {
        const auto r = of(versions);
        ASSERT_FALSE(r) << versions;
        EXPECT_THAT(r.error().what, testing::HasSubstr("cniVersion")) << versions;
    }
    for (const char* const versions :
         {R"("cniVersion":"0.3.0",)", R"("cniVersion":"1.1.0",)", R"("cniVersions":["0.4.0","1.0.0"],)"})
        EXPECT_TRUE(of(versions)) << versions;
}

TEST(WithNatra, RefusesWhatNoRuntimeLoads) {
    for (const char* const text :
         {"", "[]", "{", R"({"cniVersion":"1.0.0","name":"n"})", R"({"cniVersion":"1.0.0","name":"n","plugins":[]})",
          R"({"cniVersion":"1.0.0","name":"n","plugins":{}})",
          R"({"cniVersion":"1.0.0","name":"n","plugins":[{"mtu":1}]})",
          R"({"cniVersion":"1.0.0","name":"n","plugins":["ptp"]})",
          R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":7}]})"}) {
        const auto r = with_natra(text, Format::list);
        ASSERT_FALSE(r) << text;
        EXPECT_EQ(r.error().code, Error::Code::invalid_argument) << text;
    }
    EXPECT_FALSE(
        with_natra(R"({"cniVersion":"1.0.0","name":"a list in a .conf","plugins":[{"type":"ptp"}]})", Format::single));
    EXPECT_FALSE(with_natra(std::string(200, '[') + std::string(200, ']'), Format::list));
}

TEST(WithoutNatra, PutsBandwidthBack) {
    const std::string original =
        R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":"flannel"},{"type":"bandwidth","capabilities":{"bandwidth":true}}]})";
    auto changed = Json::parse(edit(original)->text);
    changed["plugins"][0]["delegate"] = "changed by another program";
    const auto r = without_natra(changed.dump(), original, Format::list);
    const auto after = Json::parse(**r);
    EXPECT_EQ(after["plugins"][0]["delegate"], "changed by another program");
    EXPECT_EQ(after["plugins"][1], Json::parse(original)["plugins"][1]);
}

TEST(WithoutNatra, TakesOutWhatWasPutIn) {
    const std::string original = R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":"ptp"},{"type":"portmap"}]})";
    const auto r = without_natra(edit(original)->text, original, Format::list);
    EXPECT_EQ(Json::parse(**r), Json::parse(original));
    EXPECT_FALSE(*without_natra(original, original, Format::list));
}

}  // namespace
}  // namespace natra::chain
