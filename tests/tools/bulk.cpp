// SPDX-License-Identifier: Apache-2.0
#include <thread>

#include "tests/tools/bulk_side.hpp"
#include "tests/tools/channel.hpp"
#include "tests/tools/clients.hpp"
#include "tests/tools/hello.hpp"
#include "tests/tools/report.hpp"

namespace natra::traffic {
namespace {

using nlohmann::json;

// Threads of the client's flows; ends them when the run is over or failed.
class FlowThreads {
public:
    explicit FlowThreads(BulkSide& side) : side_(side) {}
    FlowThreads(const FlowThreads&) = delete;
    FlowThreads& operator=(const FlowThreads&) = delete;
    ~FlowThreads() {
        side_.abort();
        for (auto& thread : threads_) thread.join();
    }
    void add(std::size_t index, UniqueFd fd) {
        threads_.emplace_back([this, index, fd = std::move(fd)]() mutable { side_.run_flow(index, std::move(fd)); });
    }

private:
    BulkSide& side_;
    std::vector<std::thread> threads_;
};

json merge(const json& sent, json received, std::chrono::seconds duration, const std::string& direction) {
    std::uint64_t first_second = 0;
    std::uint64_t later = 0;
    std::uint64_t retransmits = 0;
    std::vector<std::uint64_t> shares;
    std::vector<json> timelines;
    auto errors = json::array();
    const auto later_seconds = static_cast<double>(duration.count() - 1);
    for (std::size_t i = 0; i < received["flows"].size(); ++i) {
        auto& flow = received["flows"][i];
        const auto& sender = sent["flows"][i];
        flow["congestion_control"] = sender["congestion_control"];
        flow["retransmits"] = sender["retransmits"];
        for (const auto& error : {flow["error"], sender["error"]})
            if (error != "") errors.push_back(concat("flow ", i, ": ", error.get<std::string>()));
        flow.erase("error");
        timelines.push_back(flow["timeline_bytes"]);
        flow.erase("timeline_bytes");
        shares.push_back(flow["later_bytes"]);
        flow["goodput_bps"] = 8.0 * static_cast<double>(shares.back()) / later_seconds;
        first_second += flow["first_second_bytes"].get<std::uint64_t>();
        later += shares.back();
        retransmits += sender["retransmits"].get<std::uint64_t>();
    }
    return {{"kind", "bulk"},
            {"direction", direction},
            {"seconds", duration.count()},
            {"flows", received["flows"]},
            {"bytes", first_second + later},
            {"first_second_bytes", first_second},
            {"goodput_bps", 8.0 * static_cast<double>(later) / later_seconds},
            {"retransmits", retransmits},
            {"jain", jain_of(shares)},
            {"timeline_bytes", Timeline::total(timelines)},
            {"wire", received["wire"]},
            {"rtt", sent["rtt"]},
            {"errors", errors}};
}

}  // namespace

int run_bulk(Options& options) {
    const auto host = options.required("--server");
    const auto port = static_cast<std::uint16_t>(options.number("--port", 5201, 1, 65535));
    const auto control = options.text("--control", "");
    const auto direction = options.one_of("--direction", {"up", "down"});
    const auto flows = options.number("--flows", 1, 1, max_flows);
    const std::chrono::seconds duration(options.number("--seconds", 5, 2, max_seconds));
    const auto names = options.list("--congestion-control", "");
    if (options.error()) return report_error(*options.error());
    const auto server = ip_address(host, port);
    if (!server) return report_error(server.error());

    auto channel = Channel::to(control, *server);
    if (!channel) return report_error(channel.error());
    const auto deadline = Clock::now() + setup_time;
    const auto opened = channel->ask({{"op", "open"},
                                      {"kind", "bulk"},
                                      {"direction", direction},
                                      {"flows", flows},
                                      {"seconds", duration.count()},
                                      {"congestion_controls", names}},
                                     deadline);
    if (!opened) return report_error(opened.error());

    const bool up = direction == "up";
    BulkSide side(up ? Role::sender : Role::receiver, flows, duration, names);
    FlowThreads threads(side);
    Hello hello{.kind = Kind::bulk, .session = opened->at("session")};
    for (; hello.flow < flows; ++hello.flow) {
        auto fd = connect_until(*server, deadline);
        if (!fd) return report_error(fail(fd.error().code, "flow ", hello.flow, ": ", fd.error().what));
        if (auto said = write_all(fd->get(), &hello, sizeof hello, deadline); !said) return report_error(said.error());
        threads.add(hello.flow, std::move(*fd));
    }
    const auto start_server = [&]() -> Result<void> {
        auto started = channel->ask({{"op", "start"}}, Clock::now() + setup_time);
        return started ? Result<void>{} : Result<void>{started.error()};
    };
    const auto start_here = [&] { return side.start(Clock::now() + setup_time); };
    // Receivers first: nothing that arrives must go uncounted.
    if (auto first = up ? start_server() : start_here(); !first) return report_error(first.error());
    if (auto second = up ? start_here() : start_server(); !second) return report_error(second.error());

    const auto here = side.report();
    const auto there = channel->ask({{"op", "report"}}, Clock::now() + setup_time);
    if (!there) return report_error(there.error());
    return report(merge(up ? here : *there, up ? *there : here, duration, direction));
}

}  // namespace natra::traffic
