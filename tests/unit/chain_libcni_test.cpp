// SPDX-License-Identifier: Apache-2.0
// natra reads a configuration folder as libcni does: libcni/folders.json has what libcni made of each.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "daemon/chain/conf_file.hpp"

namespace natra::chain {
namespace {

namespace fs = std::filesystem;

std::string bytes_of(const std::string& hexadecimal) {
    std::string out;
    for (std::size_t i = 0; i + 1 < hexadecimal.size(); i += 2)
        out += static_cast<char>(std::stoi(hexadecimal.substr(i, 2), nullptr, 16));
    return out;
}

class LibcniFolder : public testing::Test {
protected:
    void SetUp() override {
        std::string name = fs::temp_directory_path() / "natra-libcni-XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        root_ = name;
    }
    void TearDown() override { fs::remove_all(root_); }

    void write(const std::string& name, const std::string& content) const {
        fs::create_directories((root_ / name).parent_path());
        std::ofstream(root_ / name, std::ios::binary) << content;
    }
    void make(const Json& folder) const {
        fs::remove_all(root_);
        fs::create_directory(root_);
        const auto part = [&](const char* key) { return folder.value(key, Json::object()); };
        const auto files = part("files");
        const auto bytes = part("bytes");
        const auto links = part("links");
        const auto folders = folder.value("folders", Json::array());
        for (const auto& name : folders) fs::create_directories(root_ / name.get<std::string>());
        for (const auto& [name, text] : files.items()) write(name, text.get<std::string>());
        for (const auto& [name, text] : bytes.items()) write(name, bytes_of(text.get<std::string>()));
        for (const auto& [name, target] : links.items()) fs::create_symlink(target.get<std::string>(), root_ / name);
    }
    // In the table's form.
    Json in_use() const {
        const auto file = conf_in_use(root_);
        if (!file) return file.error().what;
        if (!*file) return nullptr;
        const auto& network = (*file)->network;
        auto types = Json::array();
        for (const auto& plugin : network.plugins) types.push_back(plugin.type);
        return {{"file", fs::path((*file)->path).filename().string()},
                {"name", network.name},
                {"version", network.version},
                {"plugins", std::move(types)}};
    }

    fs::path root_;
};

TEST_F(LibcniFolder, IsReadAsLibcniReadsIt) {
    std::ifstream table(NATRA_LIBCNI_FOLDERS);
    const auto folders = Json::parse(table);
    ASSERT_GT(folders.size(), 100U);
    for (const auto& folder : folders) {
        make(folder);
        EXPECT_EQ(in_use().dump(), folder["inUse"].dump()) << folder["about"];
    }
}

}  // namespace
}  // namespace natra::chain
