// SPDX-License-Identifier: Apache-2.0
// A network configuration as libcni 1.3 loads it. tests/unit/libcni has what libcni itself makes of many folders.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "daemon/chain/go_json.hpp"
#include "daemon/util/error.hpp"

namespace natra::chain {

// Of a configuration; natrad reads no larger one.
inline constexpr std::size_t max_conf_bytes = 8 << 20;

// The kind of file by its name: a list of plugins (.conflist), or one plugin (.conf, .json).
enum class Format : std::uint8_t { list, single };

struct Plugin {
    std::string type;
    std::string path;  // of its own file; empty if the list has it inline
};

struct Network {
    std::string name;
    std::string version;          // the one that libcni gives to the plugins; empty if none is written
    bool only_inlined = false;    // loadOnlyInlinedPlugins
    std::vector<Plugin> plugins;  // the inline ones come first
};

// The text alone, without the folder of the network's name: `plugins` may be empty.
// Code::invalid_argument for what libcni refuses.
Result<Network> parse_network(std::string_view text, Format format);

// The same with the plugins of the folder, which lies beside `path`. Code::invalid_argument for what libcni refuses;
// any other code if natra could not find out.
Result<Network> load_network(const std::string& path, std::string_view text, Format format);

// The type in a plugin's configuration, as libcni reads an inline one; empty if there is none.
std::string type_of(const Json& plugin);

// Files of a folder that end in one of `endings`, in the order of bytes. None if the folder is absent.
Result<std::vector<std::string>> conf_files(const std::string& directory, const std::vector<std::string_view>& endings);

// A file's text. What is no regular file, a FIFO for example, is read without waiting.
Result<std::string> read_conf(const std::string& path);

}  // namespace natra::chain
