// SPDX-License-Identifier: Apache-2.0
#include "tests/netlink/world.hpp"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <thread>

#include "daemon/util/files.hpp"

namespace natra::datapath::testing {

std::string run(const std::string& command) {
    const auto bounded = "exec timeout 20 " + command + " 2>&1";
    FILE* const pipe = ::popen(bounded.c_str(), "re");  // NOLINT(cert-env33-c): commands are the tests' own
    if (pipe == nullptr) {
        ADD_FAILURE() << command << ": " << std::strerror(errno);
        return {};
    }
    std::string output;
    char buffer[4096];
    for (std::size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) output.append(buffer, n);
    const int status = ::pclose(pipe);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << command << "\n" << output;
    return output;
}

nlohmann::json run_json(const std::string& command) {
    const auto output = run(command);
    auto parsed = nlohmann::json::parse(output, nullptr, false);
    if (!parsed.is_discarded()) return parsed;
    ADD_FAILURE() << command << " printed no JSON:\n" << output;
    return nlohmann::json::array();
}

UniqueFd current_netns() {
    UniqueFd fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    EXPECT_TRUE(fd) << std::strerror(errno);
    return fd;
}

NetnsId current_netns_id() {
    const auto fd = current_netns();
    const auto id = netns_id(fd.get());
    EXPECT_TRUE(id) << id.error().what;
    return id ? *id : NetnsId{};
}

UniqueFd make_netns() {
    UniqueFd fd;
    std::thread([&fd] {
        EXPECT_EQ(::unshare(CLONE_NEWNET), 0) << std::strerror(errno);
        fd = current_netns();
    }).join();
    return fd;
}

Program load_program() {
    const bpf_insn pass[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K,
         .dst_reg = BPF_REG_0,
         .src_reg = 0,
         .off = 0,
         .imm = -1},  // TC_ACT_UNSPEC
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
    };
    Program program{UniqueFd(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "pass", "GPL", pass, std::size(pass), nullptr))};
    EXPECT_TRUE(program.fd) << std::strerror(errno);
    bpf_prog_info info{};
    __u32 length = sizeof info;
    EXPECT_EQ(bpf_obj_get_info_by_fd(program.fd.get(), &info, &length), 0) << std::strerror(errno);
    program.id = info.id;
    return program;
}

BpfFolder::BpfFolder() : path_("/sys/fs/bpf/natra-test-" + std::to_string(::getpid())) {
    EXPECT_TRUE(files::make_directory(path_)) << "wants a BPF file system";
}

BpfFolder::~BpfFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
    EXPECT_FALSE(error) << path_ << ": " << error.message();
}

void World::SetUp() {
    home_ = current_netns();
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << std::strerror(errno) << "; this suite needs root";
    // Else the kernel sends packets of its own over the devices, which the tests would count.
    run("sh -c 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6 || ! test -e /proc/net/if_inet6'");
    run("ip link add a0 type veth peer name b0");
    run("ip link set a0 up");
    run("ip link set b0 up");
    auto opened = Netlink::open();
    ASSERT_OK(opened);
    netlink_.emplace(*std::move(opened));
}

// The namespace goes with its last user, and all its devices with it.
void World::TearDown() {
    netlink_.reset();
    ASSERT_EQ(::setns(home_.get(), CLONE_NEWNET), 0) << std::strerror(errno);
}

int World::ifindex(const std::string& device) {
    const auto index = if_nametoindex(device.c_str());
    EXPECT_NE(index, 0U) << device << ": " << std::strerror(errno);
    return static_cast<int>(index);
}

std::string World::root_of(const std::string& device) {
    for (const auto& qdisc : run_json("tc -j qdisc show dev " + device))
        if (qdisc.value("root", false))
            return qdisc.at("kind").get<std::string>() + " " + qdisc.at("handle").get<std::string>();
    return "none";
}

bool World::has_clsact(const std::string& device) {
    const auto qdiscs = run_json("tc -j qdisc show dev " + device);
    return std::any_of(qdiscs.begin(), qdiscs.end(), [](const auto& qdisc) { return qdisc.at("kind") == "clsact"; });
}

}  // namespace natra::datapath::testing
