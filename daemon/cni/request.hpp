// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/cni/json_text.hpp"
#include "daemon/cni/wanted.hpp"
#include "daemon/limits/annotations.hpp"
#include "daemon/limits/limits.hpp"
#include "daemon/limits/subnets.hpp"

namespace natra::cni {

// Whom a request is about.
struct Identity {
    std::string container_id;
    std::string interface;
    std::string network;
    std::string netns_path;
    std::string pod_namespace;
    std::string pod_name;
    std::string pod_uid;
};

// The interface that the plugin has open, as far as it can tell: 0 or empty where it cannot. natrad compares, since
// names and paths may lead to another one later.
struct OpenedInterface {
    std::uint64_t netns_dev = 0;
    std::uint64_t netns_ino = 0;
    std::uint64_t netns_cookie = 0;  // 0 before Linux 5.14
    std::uint64_t ifindex = 0;
    std::string address;  // "0a:58:..."
};

// A file of this name in the spool directory asks the plugin to tell natrad of pods without limits, too.
inline constexpr const char* every_pod_mark = ".every-pod";

// What natrad's Attach and Check take, and what waits in the spool.
struct Request : Identity {
    std::vector<std::string> host_interfaces;
    OpenedInterface opened;
    limits::Limits limits;
    limits::SubnetRules subnets;
    limits::Annotations annotations;
    bool runtime_bursts = false;
    bool strict_interfaces = false;
    std::string attach_mode = "auto";
    std::string edt_pacing = "auto";
    std::string shaper = "auto";
};

Request make_request(Identity identity, Wanted wanted, std::vector<std::string> host_interfaces);

// Calls one of the functions for every field that is set, under its D-Bus name.
struct FieldVisitor {
    std::function<void(const char* name, const std::string& value)> text;
    std::function<void(const char* name, std::uint64_t value)> number;
    std::function<void(const char* name, bool value)> flag;
    std::function<void(const char* name, const std::vector<std::string>& value)> list;
    std::function<void(const char* name, const std::map<std::string, std::string>& value)> map;
};
void visit(const Request& request, const FieldVisitor& visitor);

Json to_object(const Request& request);

}  // namespace natra::cni
