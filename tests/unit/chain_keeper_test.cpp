// SPDX-License-Identifier: Apache-2.0
#include "daemon/chain/keeper.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "daemon/util/files.hpp"

namespace natra::chain {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

const std::string bridge_list = R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":"bridge"},{"type":"portmap"}]})";

class ChainKeeper : public testing::Test {
protected:
    void SetUp() override {
        std::string name = fs::temp_directory_path() / "natra-chain-XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        root_ = name;
        for (const char* const folder : {"net.d", "bin"}) fs::create_directory(root_ / folder);
        program("bridge");
        program("natra");
        settings_ = {.manage = true,
                     .directories = {root_ / "net.d"},
                     .binary_directories = {root_ / "other-bin", root_ / "bin"},
                     .state_directory = root_ / "state" / "chain"};
    }
    void TearDown() override { fs::remove_all(root_); }

    void program(const std::string& name) {
        write(root_ / "bin" / name, "");
        fs::permissions(root_ / "bin" / name, fs::perms::owner_all);
    }
    static void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }
    void conf(const std::string& name, const std::string& text) { write(root_ / "net.d" / name, text); }
    std::string conf(const std::string& name) const {
        auto text = files::read(root_ / "net.d" / name, 1 << 20);
        EXPECT_TRUE(text) << text.error().what;
        return text ? *text : "";
    }
    std::vector<std::string> types(const std::string& name) const {
        std::vector<std::string> out;
        const auto network = parse_network(conf(name), Format::list);
        EXPECT_TRUE(network) << name;
        if (network)
            for (const auto& plugin : network->plugins) out.push_back(plugin.type);
        return out;
    }
    std::vector<std::string> names() const {
        std::vector<std::string> out;
        for (const auto& entry : fs::directory_iterator(root_ / "net.d")) out.push_back(entry.path().filename());
        return out;
    }
    Keeper keeper(bool manage = true) const {
        auto settings = settings_;
        settings.manage = manage;
        return Keeper(settings);
    }

    fs::path root_;
    Settings settings_;
};

TEST_F(ChainKeeper, PutsNatraInAndTheOriginalBack) {
    conf("10-n.conflist", bridge_list);
    fs::permissions(root_ / "net.d/10-n.conflist", fs::perms(0640));
    keeper().look();
    EXPECT_THAT(types("10-n.conflist"), ElementsAre("bridge", "natra", "portmap"));
    EXPECT_EQ(fs::status(root_ / "net.d/10-n.conflist").permissions(), fs::perms(0640));
    EXPECT_THAT(names(), ElementsAre("10-n.conflist"));

    keeper(false).look();  // another natrad, with the chain no longer managed
    EXPECT_EQ(conf("10-n.conflist"), bridge_list);
    EXPECT_EQ(fs::status(root_ / "net.d/10-n.conflist").permissions(), fs::perms(0640));
}

TEST_F(ChainKeeper, DoesNothingUnlessAsked) {
    conf("10-n.conflist", bridge_list);
    keeper(false).look();
    EXPECT_EQ(conf("10-n.conflist"), bridge_list);
    EXPECT_FALSE(fs::exists(root_ / "state"));
}

TEST_F(ChainKeeper, ChoosesTheFileThatTheRuntimeWouldUse) {
    conf("05-broken.conflist", "{");
    conf("07-readme.txt", bridge_list);
    conf("10-first.conflist", bridge_list);
    conf("20-second.conflist", bridge_list);
    keeper().look();
    EXPECT_THAT(types("10-first.conflist"), ElementsAre("bridge", "natra", "portmap"));
    EXPECT_EQ(conf("20-second.conflist"), bridge_list);
    EXPECT_EQ(conf("07-readme.txt"), bridge_list);
}

// libcni loads it; it needs a name that says so only to people.
TEST_F(ChainKeeper, AHiddenFileIsTheRuntimesToo) {
    conf(".05-hidden.conflist", bridge_list);
    conf("10-n.conflist", bridge_list);
    keeper().look();
    EXPECT_THAT(types(".05-hidden.conflist"), ElementsAre("bridge", "natra", "portmap"));
    EXPECT_EQ(conf("10-n.conflist"), bridge_list);
}

TEST_F(ChainKeeper, NatraInTheFolderOfTheNetworksNameIsNatraInTheChain) {
    conf("10-n.conflist", bridge_list);
    auto keeper_now = keeper();
    keeper_now.look();
    fs::create_directory(root_ / "net.d/n");
    conf("n/10-natra.conf", R"({"type":"natra"})");
    keeper_now.look();
    EXPECT_EQ(conf("10-n.conflist"), bridge_list);
    EXPECT_THAT(keeper_now.problems(), IsEmpty());
    fs::remove_all(root_ / "net.d/n");
    keeper_now.look();
    EXPECT_THAT(types("10-n.conflist"), ElementsAre("bridge", "natra", "portmap"));
}

TEST_F(ChainKeeper, LeavesAChainAloneWhoseOtherPluginsAreInAFolder) {
    auto keeper_now = keeper();
    fs::create_directory(root_ / "net.d/n");
    for (const auto& [plugin, reason] :
         {std::pair("bandwidth", "replace it there by natra"), std::pair("macvlan", "add natra in a file behind it")}) {
        conf("10-n.conflist", bridge_list);
        conf("n/10-a.conf", concat(R"({"type":")", plugin, R"("})"));
        keeper_now.look();
        EXPECT_EQ(conf("10-n.conflist"), bridge_list);
        EXPECT_THAT(keeper_now.problems(),
                    ElementsAre(testing::AllOf(HasSubstr("net.d/n/10-a.conf"), HasSubstr(reason))));
    }
    conf("n/10-a.conf", R"({"type":"tuning"})");
    keeper_now.look();
    EXPECT_THAT(types("10-n.conflist"), ElementsAre("bridge", "natra", "portmap"));
    EXPECT_THAT(keeper_now.problems(), IsEmpty());
}

TEST_F(ChainKeeper, TouchesNothingWhereItCannotTellWhatTheRuntimeLoads) {
    conf("10-deep.conflist", R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":"bridge","x":)" +
                                 std::string(1000, '[') + std::string(1000, ']') + "}]}");
    conf("20-n.conflist", bridge_list);
    auto keeper_now = keeper();
    keeper_now.look();
    EXPECT_EQ(conf("20-n.conflist"), bridge_list);
    EXPECT_THAT(keeper_now.problems(), ElementsAre(HasSubstr("10-deep.conflist: nested deeper than")));
}

TEST_F(ChainKeeper, LeavesAFileAloneThatItCouldNotPutBackAsItWas) {
    const std::string text = R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":"bridge","x":")"
                             "\xff"
                             R"("}]})";
    conf("10-n.conflist", text);
    auto keeper_now = keeper();
    keeper_now.look();
    EXPECT_EQ(conf("10-n.conflist"), text);
    EXPECT_THAT(keeper_now.problems(), ElementsAre(HasSubstr("not UTF-8")));
}

TEST_F(ChainKeeper, AFifoDoesNotMakeItWait) {
    ASSERT_EQ(::mkfifo((root_ / "net.d/05-fifo.conflist").c_str(), 0600), 0);
    conf("10-n.conflist", bridge_list);
    keeper().look();
    EXPECT_THAT(types("10-n.conflist"), ElementsAre("bridge", "natra", "portmap"));
}

TEST_F(ChainKeeper, ALinkStaysALink) {
    fs::create_directory(root_ / "elsewhere");
    for (const auto& [name, text] :
         {std::pair("10-n.conflist", bridge_list),
          std::pair("10-one.conf", std::string(R"({"cniVersion":"1.0.0","name":"one","type":"bridge"})"))}) {
        write(root_ / "elsewhere" / name, text);
        fs::create_symlink(fs::path("../elsewhere") / name, root_ / "net.d" / name);
        keeper().look();
        EXPECT_TRUE((*conf_in_use(root_ / "net.d"))->network.plugins.size() > 1) << name;
        keeper(false).look();
        EXPECT_THAT(names(), ElementsAre(name));
        EXPECT_TRUE(fs::is_symlink(root_ / "net.d" / name));
        EXPECT_EQ(conf(name), text);
        fs::remove(root_ / "net.d" / name);
    }
}

TEST_F(ChainKeeper, ChangesTheFileBehindALink) {
    write(root_ / "target", bridge_list);
    fs::create_symlink(root_ / "target", root_ / "net.d/10-n.conflist");
    keeper().look();
    EXPECT_TRUE(fs::is_symlink(root_ / "net.d/10-n.conflist"));
    EXPECT_THAT(types("10-n.conflist"), ElementsAre("bridge", "natra", "portmap"));
}

TEST_F(ChainKeeper, ADeletedOriginalComesBackFromTheRecord) {
    const std::string single = R"({"cniVersion":"0.4.0","name":"one","type":"bridge"})";
    conf("10-one.conf", single);
    fs::permissions(root_ / "net.d/10-one.conf", fs::perms(0640));
    keeper().look();
    fs::remove(root_ / "net.d/10-one.conf.natra-original");
    auto released = keeper(false);
    released.look();
    EXPECT_THAT(released.problems(), IsEmpty());
    EXPECT_THAT(names(), ElementsAre("10-one.conf"));
    EXPECT_EQ(conf("10-one.conf"), single);
    EXPECT_EQ(fs::status(root_ / "net.d/10-one.conf").permissions(), fs::perms(0640));
}

TEST_F(ChainKeeper, FollowsWhenAnotherFileComesFirst) {
    auto keeper_now = keeper();
    conf("20-n.conflist", bridge_list);
    keeper_now.look();
    conf("10-m.conflist", bridge_list);
    keeper_now.look();
    EXPECT_THAT(types("10-m.conflist"), ElementsAre("bridge", "natra", "portmap"));
    EXPECT_EQ(conf("20-n.conflist"), bridge_list);
}

TEST_F(ChainKeeper, ReplacesASinglePluginByAListAndBack) {
    const std::string single = R"({"cniVersion":"0.4.0","name":"one","type":"bridge","bridge":"br0"})";
    conf("10-one.conf", single);
    conf("10-one.conflist", bridge_list);  // not in use: the .conf comes first
    keeper().look();
    EXPECT_THAT(names(), UnorderedElementsAre("10-one.conf.natra-original", "10-one.conf.conflist", "10-one.conflist"));
    EXPECT_EQ((*conf_in_use(root_ / "net.d"))->path, root_ / "net.d/10-one.conf.conflist");
    EXPECT_THAT(types("10-one.conf.conflist"), ElementsAre("bridge", "natra"));
    keeper().look();
    EXPECT_EQ(conf("10-one.conflist"), bridge_list);

    keeper(false).look();
    EXPECT_THAT(names(), UnorderedElementsAre("10-one.conf", "10-one.conflist"));
    EXPECT_EQ(conf("10-one.conf"), single);
}

TEST_F(ChainKeeper, ASinglePluginWrittenAnewIsTakenAnew) {
    conf("10-one.conf", R"({"cniVersion":"1.0.0","name":"one","type":"bridge"})");
    auto keeper_now = keeper();
    keeper_now.look();
    const std::string again = R"({"cniVersion":"1.0.0","name":"two","type":"bridge"})";
    conf("10-one.conf", again);
    keeper_now.look();
    EXPECT_THAT(conf("10-one.conf.conflist"), HasSubstr("\"two\""));
    keeper(false).look();
    EXPECT_THAT(names(), ElementsAre("10-one.conf"));
    EXPECT_EQ(conf("10-one.conf"), again);
}

TEST_F(ChainKeeper, KeepsWhatOthersChangedMeanwhile) {
    conf("10-n.conflist", bridge_list);
    keeper().look();
    auto text = conf("10-n.conflist");
    text.replace(text.find("\"1.0.0\""), 7, "\"1.1.0\"");
    conf("10-n.conflist", text);
    keeper(false).look();
    EXPECT_THAT(types("10-n.conflist"), ElementsAre("bridge", "portmap"));
    EXPECT_THAT(conf("10-n.conflist"), HasSubstr("1.1.0"));
}

TEST_F(ChainKeeper, LeavesAnAdministratorsOwnNatraAlone) {
    const std::string theirs = R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":"bridge"},{"type":"natra"}]})";
    conf("10-n.conflist", theirs);
    keeper().look();
    keeper(false).look();
    EXPECT_EQ(conf("10-n.conflist"), theirs);
}

TEST_F(ChainKeeper, AFileThatWasRemovedStaysRemoved) {
    conf("10-n.conflist", bridge_list);
    conf("10-one.conf", R"({"cniVersion":"1.0.0","name":"one","type":"bridge"})");
    auto keeper_now = keeper();
    keeper_now.look();
    for (const auto& name : names()) fs::remove(root_ / "net.d" / name);
    keeper_now.look();
    keeper(false).look();
    EXPECT_THAT(names(), IsEmpty());
    EXPECT_THAT(keeper_now.problems(), IsEmpty());
}

TEST_F(ChainKeeper, LeavesTheChainAloneWhereTheRuntimeWouldNotFindNatra) {
    fs::remove(root_ / "bin/natra");
    conf("10-n.conflist", bridge_list);
    auto keeper_now = keeper();
    keeper_now.look();
    EXPECT_EQ(conf("10-n.conflist"), bridge_list);
    EXPECT_THAT(keeper_now.problems(), ElementsAre(HasSubstr("where the plugin \"bridge\" is: link it there")));
    program("natra");
    keeper_now.look();
    EXPECT_THAT(types("10-n.conflist"), ElementsAre("bridge", "natra", "portmap"));
    EXPECT_THAT(keeper_now.problems(), IsEmpty());

    fs::remove(root_ / "bin/bridge");
    conf("10-n.conflist", bridge_list);
    keeper_now.look();
    EXPECT_THAT(keeper_now.problems(), ElementsAre(HasSubstr("cannot tell where the runtime looks")));
}

TEST_F(ChainKeeper, EveryFolderThatMayBeTheRuntimesNeedsNatra) {
    fs::create_directory(root_ / "other-bin");
    fs::copy(root_ / "bin/bridge", root_ / "other-bin/bridge");
    conf("10-n.conflist", bridge_list);
    auto keeper_now = keeper();
    keeper_now.look();
    EXPECT_EQ(conf("10-n.conflist"), bridge_list);
    EXPECT_THAT(keeper_now.problems(), ElementsAre(HasSubstr("natra is not in " + (root_ / "other-bin").string())));
}

TEST_F(ChainKeeper, TakesNatraOutWhenTheRuntimeWouldNoLongerFindIt) {
    conf("10-n.conflist", bridge_list);
    auto keeper_now = keeper();
    keeper_now.look();
    fs::remove(root_ / "bin/natra");
    keeper_now.look();
    EXPECT_EQ(conf("10-n.conflist"), bridge_list);
    EXPECT_THAT(keeper_now.problems(), ElementsAre(HasSubstr("link it there")));
}

TEST_F(ChainKeeper, ATypoDoesNotLoseTheOriginal) {
    conf("10-n.conflist", bridge_list);
    auto keeper_now = keeper();
    keeper_now.look();
    const auto with = conf("10-n.conflist");
    conf("10-n.conflist", with.substr(0, with.size() / 2));
    keeper_now.look();
    EXPECT_THAT(keeper_now.problems(), ElementsAre(HasSubstr("natra cannot be taken out")));
    conf("10-n.conflist", with);
    keeper_now.look();
    EXPECT_THAT(keeper_now.problems(), IsEmpty());
    keeper(false).look();
    EXPECT_EQ(conf("10-n.conflist"), bridge_list);
}

TEST_F(ChainKeeper, AFileThatIsMovedAwayAndBackIsStillPutBack) {
    conf("10-n.conflist", bridge_list);
    auto keeper_now = keeper();
    keeper_now.look();
    fs::rename(root_ / "net.d/10-n.conflist", root_ / "net.d/10-n.conflist.bak");
    keeper_now.look();
    fs::rename(root_ / "net.d/10-n.conflist.bak", root_ / "net.d/10-n.conflist");
    keeper(false).look();
    EXPECT_EQ(conf("10-n.conflist"), bridge_list);
}

TEST_F(ChainKeeper, DoesNotFightAnotherWriter) {
    auto keeper_now = keeper();
    auto now = Keeper::Clock::now();
    for (std::size_t i = 0; i < Keeper::max_insertions; i++) {
        conf("10-n.conflist", bridge_list);
        keeper_now.look(now);
        ASSERT_THAT(types("10-n.conflist"), ElementsAre("bridge", "natra", "portmap"));
        EXPECT_THAT(keeper_now.problems(), IsEmpty());
    }
    conf("10-n.conflist", bridge_list);
    keeper_now.look(now);
    EXPECT_EQ(conf("10-n.conflist"), bridge_list);
    EXPECT_THAT(keeper_now.problems(), ElementsAre(HasSubstr("another program has taken natra out 5 times")));

    keeper_now.look(now + Keeper::insertion_period + std::chrono::seconds(1));
    EXPECT_THAT(types("10-n.conflist"), ElementsAre("bridge", "natra", "portmap"));
    EXPECT_THAT(keeper_now.problems(), IsEmpty());
}

TEST_F(ChainKeeper, ACrashBetweenRecordAndChangeHarmsNothing) {
    conf("10-n.conflist", bridge_list);
    const Records records(settings_.state_directory);
    ASSERT_TRUE(records.put({.path = root_ / "net.d/10-n.conflist",
                             .format = Format::list,
                             .original = bridge_list,
                             .written = with_natra(bridge_list, Format::list)->value().text}));
    keeper(false).look();
    EXPECT_EQ(conf("10-n.conflist"), bridge_list);
    EXPECT_THAT(records.all(), IsEmpty());
}

TEST_F(ChainKeeper, WatchesAllFolders) {
    fs::create_directory(root_ / "k3s");
    settings_.directories = {root_ / "net.d", root_ / "k3s", root_ / "absent"};
    write(root_ / "k3s/10-flannel.conflist", bridge_list);
    conf("10-n.conflist", bridge_list);
    keeper().look();
    EXPECT_THAT(types("10-n.conflist"), ElementsAre("bridge", "natra", "portmap"));
    EXPECT_THAT(types("../k3s/10-flannel.conflist"), ElementsAre("bridge", "natra", "portmap"));
}

std::string list_of(const std::vector<std::string>& types) {
    std::string plugins;
    for (const auto& type : types) plugins += concat(plugins.empty() ? "" : ",", "{\"type\":\"", type, "\"}");
    return concat(R"({"cniVersion":"1.0.0","name":"n","plugins":[)", plugins, "]}");
}

TEST_F(ChainKeeper, TellsOfPluginsThatLimitTheSamePods) {
    auto it = keeper(false);
    const auto told = [&](const std::vector<std::string>& types) {
        conf("10-n.conflist", list_of(types));
        it.look_for_conflicts();
        return it.problems();
    };
    EXPECT_THAT(told({"bridge", "natra", "bandwidth"}), IsEmpty()) << "there is no bandwidth that a runtime could call";
    program("bandwidth");
    EXPECT_THAT(
        told({"bridge", "natra", "bandwidth"}),
        ElementsAre(AllOf(HasSubstr("net.d/10-n.conflist: plugins[1] (\"natra\") and plugins[2] (\"bandwidth\")"),
                          HasSubstr("create qdisc: file exists"), HasSubstr("take the latter out"))));
    EXPECT_THAT(told({"bridge", "bandwidth", "portmap", "natra"}),
                ElementsAre(AllOf(HasSubstr("plugins[1] (\"bandwidth\") and plugins[3] (\"natra\")"),
                                  HasSubstr("take the former out"))));
    EXPECT_THAT(told({"bridge", "natra", "natra"}), ElementsAre(HasSubstr("are both natra")));
    EXPECT_THAT(told({"bridge", "natra", "portmap"}), IsEmpty());
    EXPECT_THAT(told({"bridge", "bandwidth"}), IsEmpty());
    fs::remove(root_ / "bin" / "bandwidth");
    fs::create_symlink("natra", root_ / "bin" / "bandwidth");
    EXPECT_THAT(told({"bridge", "bandwidth"}), IsEmpty());
    EXPECT_THAT(told({"bridge", "bandwidth", "natra"}),
                ElementsAre(HasSubstr(
                    "plugins[1] (\"bandwidth\", a link to natra) and plugins[2] (\"natra\") are both natra")));
    EXPECT_EQ(conf("10-n.conflist"), list_of({"bridge", "bandwidth", "natra"})) << "it is only read";
}

TEST_F(ChainKeeper, RemovesWhatAKilledNatradBeganToWrite) {
    conf("10-n.conflist", bridge_list);
    keeper().look();
    conf(".10-n.conflist.natra-aB3dE6", "{");
    conf(".10-n.conflist.aB3dE6", "another program's");
    write(root_ / "state/chain/.chain-x.natra-aB3dE6", "{");
    keeper(false).remove_unfinished();
    EXPECT_THAT(names(), UnorderedElementsAre("10-n.conflist", ".10-n.conflist.aB3dE6"));
    EXPECT_FALSE(fs::exists(root_ / "state/chain/.chain-x.natra-aB3dE6"));
}

}  // namespace
}  // namespace natra::chain
