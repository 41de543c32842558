// SPDX-License-Identifier: Apache-2.0
// Between D-Bus dictionaries and natrad's types.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "daemon/datapath/instance.hpp"
#include "daemon/pods/pod.hpp"
#include "dbus/sdbus_compat.hpp"

namespace natra::dbus {

using Dictionary = std::map<std::string, sdbus::Variant>;

// Code::invalid_argument naming the key and the type found for a value of the wrong type.
Result<pods::AttachRequest> request_from(const Dictionary& request);
// Unknown keys are errors here: a misspelt limit must not silently change nothing.
Result<pods::Override> override_from(const Dictionary& limits);

// AttachMode, EdtPacing, Shaper; as above.
Result<pods::PinsChange> pins_change_from(const Dictionary& data_path);
// What is pinned and by whom.
std::map<std::string, std::string> data_path_of(const pods::Pod& pod);

std::map<std::string, std::uint64_t> counters_of(const datapath::Instance* instance);
// (ns, packets that waited at most so long and longer than the entry before); the last one's ns are the largest number.
std::vector<sdbus::Struct<std::uint64_t, std::uint64_t>> queue_delay_of(const datapath::Instance* instance);
std::map<std::string, double> classification_of(const datapath::Instance* instance);
// Largest rate first; top 0: all.
std::vector<Dictionary> flows_of(const pods::Pod& pod, datapath::Direction direction, std::uint32_t top);

// io.natra.Error.<Code>
sdbus::Error to_bus_error(const Error& error);

}  // namespace natra::dbus
