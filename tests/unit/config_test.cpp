// SPDX-License-Identifier: Apache-2.0
// What files and variables come to, and what is said about those that are wrong.
#include "daemon/config/load.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "daemon/config/duration.hpp"

namespace natra::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Config : public testing::Test {
protected:
    Config() {
        std::string name = testing::TempDir() + "natra-config-XXXXXX";
        EXPECT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    ~Config() override { std::filesystem::remove_all(folder_); }

    std::string path(const std::string& name) const { return folder_ + "/" + name; }
    void write(const std::string& name, std::string_view text) const {
        std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
        std::ofstream(path(name)) << text;
    }
    void main_file(std::string_view text) const { write("natrad.json", text); }

    Loaded load() const {
        return config::load({.file = path("natrad.json"), .variable = [this](const char* name) -> const char* {
                                 const auto it = environment_.find(name);
                                 return it == environment_.end() ? nullptr : it->second.c_str();
                             }});
    }
    // The only error of a main file.
    std::string error_of(std::string_view text) const {
        main_file(text);
        const auto loaded = load();
        EXPECT_EQ(loaded.errors.size(), 1U) << text << ": " << testing::PrintToString(loaded.errors);
        return loaded.errors.empty() ? std::string() : loaded.errors.front();
    }

    std::string folder_;
    std::map<std::string, std::string> environment_;
};

TEST_F(Config, WithoutFilesEverythingHasItsDefault) {
    const auto loaded = load();
    EXPECT_THAT(loaded.errors, IsEmpty());
    EXPECT_THAT(loaded.unknown, IsEmpty());
    EXPECT_FALSE(loaded.configuration.data_path.any());
    EXPECT_EQ(loaded.configuration.api.group, "natra");
    EXPECT_EQ(spool_dir_of(loaded.configuration), "/run/natra/spool");
    EXPECT_EQ(registry_settings(loaded.configuration).state_dir, "/run/natra/attachments");
    EXPECT_THAT(describe(loaded), HasSubstr("limits.heavyThreshold.time = \"5ms\" (default)\n"));
}

TEST_F(Config, ReadsEveryKey) {
    main_file(R"({
        // The whole of it.
        "attachMode": "clsact", "edtPacing": "off", "shaper": "htb",
        "limits": {"defaultBurst": "20ms", "maxBurst": 500000000, /* ns */
                   "heavyThreshold": {"bytes": 65536, "time": "2.5 ms"}},
        "adoption": {"pods": "all", "directories": ["/a", "/b/"]}, "otherLimiters": "standDown",
        "api": {"socket": "/run/c/api.sock", "group": "ops", "maxConnections": 5, "metricsPods": 0},
        "logLevel": "debug", "runtimeDir": "/run/a/", "spoolDir": "/run/b", "bpffsDir": "/sys/fs/bpf/c", "poolSize": 4
    })");
    const auto loaded = load();
    ASSERT_THAT(loaded.errors, IsEmpty());
    ASSERT_THAT(loaded.unknown, IsEmpty());
    const auto& c = loaded.configuration;
    EXPECT_EQ(c.data_path.attach_mode, datapath::AttachMode::clsact);
    EXPECT_EQ(c.data_path.edt_pacing, datapath::EdtPacing::off);
    EXPECT_EQ(c.data_path.shaper, datapath::Shaper::htb);
    EXPECT_EQ(c.limits.default_burst_ns, 20'000'000U);
    EXPECT_EQ(c.limits.max_burst_ns, 500'000'000U);
    EXPECT_EQ(c.limits.heavy_bytes, 65536U);
    EXPECT_EQ(c.limits.heavy_ns, 2'500'000U);
    EXPECT_EQ(c.adoption.which, pods::AdoptionSettings::Which::all);
    EXPECT_THAT(c.adoption.directories, ElementsAre("/a", "/b"));
    EXPECT_EQ(registry_settings(c).other_limiters, pods::OtherLimitersPolicy::stand_down);
    EXPECT_EQ(c.api.socket, "/run/c/api.sock");
    EXPECT_EQ(c.api.group, "ops");
    EXPECT_EQ(c.api.max_connections, 5U);
    EXPECT_EQ(c.api.metrics_pods, 0U);
    EXPECT_EQ(c.log_level, log::Level::debug);
    EXPECT_EQ(c.runtime_dir, "/run/a");
    EXPECT_EQ(spool_dir_of(c), "/run/b");
    EXPECT_EQ(engine_settings(c).pin_root, "/sys/fs/bpf/c");
    EXPECT_EQ(engine_settings(c).pool_size, 4U);
}

TEST_F(Config, ReadsRulesForDefaultsAndCeilings) {
    main_file(R"({"limits": {
        "default": [{"namespaces": ["team-*", "shop"], "ingress": {"rate": "10M", "burst": 80000}},
                    {"egress": {"rate": 5000}}],
        "max": [{"namespaces": ["kube-system"]}, {"ingress": {"rate": "1G"}, "egress": {"rate": "1Gi"}}]}})");
    const auto loaded = load();
    ASSERT_THAT(loaded.errors, IsEmpty());
    ASSERT_THAT(loaded.unknown, IsEmpty());
    const auto rules = registry_settings(loaded.configuration).rules;
    ASSERT_EQ(rules.defaults.size(), 2U);
    EXPECT_THAT(rules.defaults[0].namespaces, ElementsAre("team-*", "shop"));
    EXPECT_EQ(rules.defaults[0].limits.ingress.rate_bps, 10'000'000U);
    EXPECT_EQ(rules.defaults[0].limits.ingress.burst_bits, 80'000U);
    EXPECT_FALSE(rules.defaults[0].limits.egress.limited());
    EXPECT_THAT(rules.defaults[1].namespaces, IsEmpty());
    EXPECT_EQ(rules.defaults[1].limits.egress.rate_bps, 5000U);
    ASSERT_EQ(rules.ceilings.size(), 2U);
    EXPECT_FALSE(rules.ceilings[0].limits.any());
    EXPECT_EQ(rules.ceilings[1].limits.egress.rate_bps, 1U << 30);
    EXPECT_THAT(
        describe(loaded),
        HasSubstr(R"(limits.default = [{"namespaces":["team-*","shop"],"ingress":{"rate":10000000,"burst":80000}},)"));
}

TEST_F(Config, ALaterListOfRulesTakesThePlaceOfAnEarlierOne) {
    main_file(R"({"limits": {"default": [{"ingress": {"rate": "1M"}}], "max": [{"ingress": {"rate": "2M"}}]}})");
    write("natrad.d/10-a.json", R"({"limits": {"default": [{"egress": {"rate": "3M"}}], "max": null}})");
    const auto loaded = load();
    ASSERT_THAT(loaded.errors, IsEmpty());
    const auto& rules = loaded.configuration.limits.rules;
    ASSERT_EQ(rules.defaults.size(), 1U);
    EXPECT_FALSE(rules.defaults[0].limits.ingress.limited());
    EXPECT_EQ(rules.defaults[0].limits.egress.rate_bps, 3'000'000U);
    EXPECT_THAT(rules.ceilings, IsEmpty());
}

TEST_F(Config, WhatIsWrongInARuleIsNamed) {
    for (const auto& [rules, error] : {
             std::pair(R"("default": {})", "limits.default: an object is not a list of rules"),
             {R"("max": [5])", "limits.max[0]: 5 is not an object"},
             {R"("max": [{"namespace": ["a"]}])", "limits.max[0].namespace: unknown key; known are namespaces, "},
             {R"("max": [{}, {"namespaces": []}])", "limits.max[1].namespaces: an array is not a list of at least"},
             {R"("max": [{"namespaces": ["a", "Team-*"]}])", "limits.max[0].namespaces[1]: \"Team-*\" is not a name"},
             {R"("default": [{"ingress": "10M"}])", "limits.default[0].ingress: \"10M\" is not an object with a rate"},
             {R"("default": [{"egress": {"burst": 8000}}])", "limits.default[0].egress: has no rate"},
             {R"("default": [{"egress": {"rate": "50m"}}])",
              "limits.default[0].egress.rate: \"50m\": 50m is 0.05 bit/s; did you mean 50M?"},
             {R"("default": [{"egress": {"rate": 0}}])", "limits.default[0].egress.rate: 0 is not an amount from 1000"},
             {R"("default": [{"egress": {"rate": "fast"}}])",
              "limits.default[0].egress.rate: \"fast\" is not an amount"},
             {R"("default": [{"egress": {"rate": "1M", "burst": "32Gi"}}])",
              "limits.default[0].egress.burst: \"32Gi\""},
             {R"("default": [{"egress": {"rate": "1M", "max": 1}}])", "limits.default[0].egress.max: unknown key"},
             {R"("max": [{"egress": {"rate": "1M", "burst": 8}}])", "limits.max[0].egress.burst: a ceiling has a rate"},
         })
        EXPECT_THAT(error_of(concat("{\"limits\": {", rules, "}}")), HasSubstr(concat("natrad.json: ", error)))
            << rules;
}

TEST_F(Config, LaterFilesOverrideKeyByKeyAndTheEnvironmentOverridesAll) {
    main_file(R"({"shaper": "edt", "limits": {"maxBurst": "2s", "heavyThreshold": {"bytes": 2000}}})");
    write("natrad.d/20-b.json", R"({"limits": {"maxBurst": "3s"}, "logLevel": "error"})");
    write("natrad.d/10-a.json", R"({"limits": {"maxBurst": "4s"}, "poolSize": 1})");
    write("natrad.d/30-c.conf", "not JSON, not read");
    write("natrad.d/.hidden.json", "nor this");
    environment_ = {{"NATRA_LOG_LEVEL", "notice"}, {"NATRA_RUNTIME_DIR", "/run/x"}, {"NATRA_POOL_SIZE", "7"}};
    const auto loaded = load();
    ASSERT_THAT(loaded.errors, IsEmpty());
    const auto& c = loaded.configuration;
    EXPECT_EQ(c.data_path.shaper, datapath::Shaper::edt);
    EXPECT_EQ(c.limits.max_burst_ns, 3'000'000'000U);
    EXPECT_EQ(c.limits.heavy_bytes, 2000U);
    EXPECT_EQ(c.pool_size, 7U);
    EXPECT_EQ(c.log_level, log::Level::notice);
    EXPECT_EQ(spool_dir_of(c), "/run/x/spool");
    EXPECT_EQ(loaded.origins.at("limits.maxBurst"), path("natrad.d/20-b.json"));
    EXPECT_EQ(loaded.origins.at("logLevel"), "NATRA_LOG_LEVEL");
}

TEST_F(Config, OneFolderMayBeGivenAsText) {
    main_file(R"({"adoption": {"directories": "/a"}})");
    EXPECT_THAT(load().configuration.adoption.directories, ElementsAre("/a"));
    environment_ = {{"NATRA_CNI_CACHE", "/c"}};
    EXPECT_THAT(load().configuration.adoption.directories, ElementsAre("/c"));
}

TEST_F(Config, NullIsTheDefault) {
    main_file(R"({"shaper": "htb", "spoolDir": "/x", "limits": {"maxBurst": "2s", "defaultBurst": "1s"}})");
    write("natrad.d/x.json",
          R"({"shaper": null, "spoolDir": null, "limits": {"maxBurst": null, "defaultBurst": null}})");
    const auto loaded = load();
    ASSERT_THAT(loaded.errors, IsEmpty());
    EXPECT_FALSE(loaded.configuration.data_path.any());
    EXPECT_EQ(loaded.configuration.limits.max_burst_ns, 1'000'000'000U);
    EXPECT_EQ(loaded.configuration.limits.default_burst_ns, 0U);
    EXPECT_EQ(spool_dir_of(loaded.configuration), "/run/natra/spool");
    EXPECT_THAT(loaded.origins, IsEmpty());
}

TEST_F(Config, UnknownKeysAreNamedWithTheirFile) {
    main_file(R"({"shapper": "htb", "limits": {"heavyThreshold": {"packets": 3}, "shaper": "x"}, "logLevel": "info"})");
    const auto loaded = load();
    EXPECT_THAT(loaded.errors, IsEmpty());
    EXPECT_THAT(loaded.unknown, ElementsAre(path("natrad.json") + ": shapper: unknown key",
                                            path("natrad.json") + ": limits.heavyThreshold.packets: unknown key",
                                            path("natrad.json") + ": limits.shaper: unknown key"));
}

TEST_F(Config, ErrorsNameFileKeyValueAndWhatIsAllowed) {
    const auto file = path("natrad.json");
    EXPECT_EQ(error_of(R"({"shaper": "fq"})"), file + ": shaper: \"fq\" is none of auto, edt, htb, police");
    EXPECT_EQ(error_of(R"({"attachMode": 5})"), file + ": attachMode: 5 is none of auto, tcx, clsact");
    EXPECT_EQ(error_of(R"({"edtPacing": true})"), file + ": edtPacing: true is none of auto, on, off");
    EXPECT_EQ(error_of(R"({"adoption": {"pods": true}})"),
              file + ": adoption.pods: true is none of none, limited, all");
    EXPECT_EQ(error_of(R"({"adoption": {"directories": ["cni"]}})"),
              file + ": adoption.directories: \"cni\" is not an absolute path");
    EXPECT_EQ(error_of(R"({"otherLimiters": "off"})"), file + ": otherLimiters: \"off\" is none of report, standDown");
    EXPECT_EQ(error_of(R"({"poolSize": -1})"), file + ": poolSize: -1 is not an integer from 0 to 4096");
    EXPECT_EQ(error_of(R"({"poolSize": 1.5})"), file + ": poolSize: 1.5 is not an integer from 0 to 4096");
    EXPECT_EQ(error_of(R"({"api": {"maxConnections": 0}})"),
              file + ": api.maxConnections: 0 is not an integer from 1 to 1024");
    EXPECT_EQ(error_of(R"({"api": {"socket": "api.sock"}})"),
              file + ": api.socket: \"api.sock\" is not an absolute path");
    EXPECT_EQ(error_of(R"({"api": {"group": 5}})"), file + ": api.group: 5 is not the name of a group");
    EXPECT_EQ(error_of(R"({"api": {"group": "a:b"}})"), file + ": api.group: \"a:b\" is not the name of a group");
    EXPECT_THAT(error_of(R"({"api": {"socket": "/)" + std::string(107, 'a') + "\"}}"),
                HasSubstr("is not a path of at most 107 bytes"));
    EXPECT_EQ(error_of(R"({"runtimeDir": "run"})"), file + ": runtimeDir: \"run\" is not an absolute path");
    EXPECT_EQ(error_of(R"({"limits": 3})"), file + ": limits: not an object");
    EXPECT_EQ(error_of(R"({"limits": {"maxBurst": "5"}})"),
              file + ": limits.maxBurst: \"5\" is not a time from 1ms to 3600s, as text with its unit (\"5ms\") or "
                     "as an integer in ns");
    EXPECT_THAT(error_of(R"({"limits": {"maxBurst": {}}})"), HasSubstr("limits.maxBurst: an object is not a time"));
    EXPECT_THAT(error_of(R"({"limits": {"defaultBurst": "2h"}})"), HasSubstr("\"2h\" is not a time"));
    EXPECT_THAT(error_of(R"({"limits": {"heavyThreshold": {"bytes": 1}}})"),
                HasSubstr("limits.heavyThreshold.bytes: 1 is not an integer from 1514 to 1048576"));
    EXPECT_THAT(error_of("{"), HasSubstr(file + ": parse error at line 1"));
    EXPECT_EQ(error_of("[]"), file + ": not an object");
    EXPECT_EQ(error_of(R"({"shaper": "htb", "shaper": "edt"})"), file + ": key \"shaper\" is given twice");
    EXPECT_THAT(error_of("{\"logLevel\": \"" + std::string(2 << 20, 'x') + "\"}"), HasSubstr("larger than"));
}

TEST_F(Config, AWrongVariableIsNamed) {
    environment_ = {{"NATRA_EDT_PACING", "maybe"}, {"NATRA_SHAPER", ""}, {"NATRA_POOL_SIZE", "7x"}};
    EXPECT_THAT(load().errors, ElementsAre("NATRA_EDT_PACING: \"maybe\" is none of auto, on, off",
                                           "NATRA_POOL_SIZE: \"7x\" is not an integer from 0 to 4096"));
}

TEST_F(Config, ContradictionsNameBothKeysAndTheirOrigins) {
    main_file(R"({"edtPacing": "off"})");
    environment_ = {{"NATRA_SHAPER", "edt"}};
    EXPECT_THAT(load().errors, ElementsAre("edtPacing (" + path("natrad.json") +
                                           "): \"off\" contradicts shaper (NATRA_SHAPER): \"edt\""));
    environment_ = {{"NATRA_SHAPER", "htb"}};
    EXPECT_THAT(load().errors, IsEmpty());
    main_file(R"({"edtPacing": "on"})");
    EXPECT_EQ(load().errors.size(), 1U);
    environment_ = {{"NATRA_SHAPER", "edt"}};
    EXPECT_THAT(load().errors, IsEmpty());
}

TEST_F(Config, EveryProblemIsTold) {
    main_file(R"({"shaper": 1, "logLevel": 2})");
    write("natrad.d/a.json", "nonsense");
    EXPECT_EQ(load().errors.size(), 3U);
}

TEST_F(Config, ARequiredFileMustBeThere) {
    const auto loaded = config::load({.file = path("none.json"), .file_required = true});
    ASSERT_EQ(loaded.errors.size(), 1U);
    EXPECT_THAT(loaded.errors.front(), HasSubstr(path("none.json")));
}

TEST_F(Config, TellsWhatNeedsARestart) {
    Configuration wanted;
    wanted.log_level = log::Level::debug;
    wanted.data_path.shaper = datapath::Shaper::htb;
    EXPECT_THAT(needing_restart({}, wanted), IsEmpty());
    wanted.runtime_dir = "/elsewhere";
    wanted.pool_size = 1;
    EXPECT_THAT(needing_restart({}, wanted), ElementsAre("runtimeDir", "spoolDir", "poolSize"));
}

TEST(Duration, ReadsNumbersWithUnits) {
    EXPECT_EQ(parse_duration("5ms"), 5'000'000U);
    EXPECT_EQ(parse_duration("1.5 s"), 1'500'000'000U);
    EXPECT_EQ(parse_duration("250us"), 250'000U);
    EXPECT_EQ(parse_duration("0ns"), 0U);
    for (const char* text :
         {"", "5", "ms", "5 m", "-1s", "-0s", "1e3s", "5ms ", " 5ms", "5  ms", "nans", "infs", "99999999999s", "0x5ms"})
        EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(Duration, PrintsTheLargestWholeUnit) {
    for (const char* text : {"5ms", "1s", "1500ms", "250us", "7ns", "0s"})
        EXPECT_EQ(print_duration(*parse_duration(text)), text);
}

}  // namespace
}  // namespace natra::config
