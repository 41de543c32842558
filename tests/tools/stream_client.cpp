// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/channel.hpp"
#include "tests/tools/clients.hpp"
#include "tests/tools/hello.hpp"
#include "tests/tools/report.hpp"
#include "tests/tools/stream.hpp"
#include "tests/tools/udp.hpp"

namespace natra::traffic {
namespace {

using nlohmann::json;

constexpr std::uint64_t max_packets = 20'000'000;  // each has a sample until the end

struct Run {
    Channel& channel;
    const Address& server;
    const StreamPlan& plan;
    std::chrono::milliseconds grace;
    // The server reports when everything has arrived, or the time for it is over.
    [[nodiscard]] Clock::time_point report_deadline() const {
        return Clock::now() + plan.duration + 2 * grace + setup_time;
    }
};

Result<json> send_up(const Run& run, json request) {
    request["family"] = run.server.family();
    const auto opened = run.channel.ask(request, Clock::now() + setup_time);
    if (!opened) return opened.error();
    const auto to = ip_address(host_of(run.server), opened->at("port").get<std::uint16_t>());
    if (!to) return to.error();
    if (auto started = run.channel.ask({{"op", "start"}}, Clock::now() + setup_time); !started) return started.error();
    const auto sent = send_stream(*to, run.plan, run.grace);
    auto received = run.channel.ask({{"op", "report"}}, run.report_deadline());
    if (received) received->update(sent);
    return received;
}

Result<json> send_down(const Run& run, json request) {
    auto sink = StreamSink::open(run.server.family(), run.plan, run.grace);
    if (!sink) return sink.error();
    const auto here = own_address(run.server);
    if (!here) return here.error();
    request.update(json{{"address", *here}, {"port", (*sink)->port()}});
    if (auto opened = run.channel.ask(request, Clock::now() + setup_time); !opened) return opened.error();
    (*sink)->start();
    if (auto started = run.channel.ask({{"op", "start"}}, Clock::now() + setup_time); !started) return started.error();
    auto received = (*sink)->report();
    const auto sent = run.channel.ask({{"op", "report"}}, run.report_deadline());
    if (!sent) return sent.error();
    received.update(*sent);
    return received;
}

// What both ends' figures say together.
json conclude(json out, const StreamPlan& plan, int family, const std::string& direction) {
    const auto shape = shape_of(plan, family);
    const auto sent = out.at("sent_packets").get<double>();
    const auto received = out.at("received_packets").get<double>();
    const std::chrono::duration<double> seconds = plan.duration;
    const auto error = out.at("send_error").get<std::string>();
    out.erase("send_error");
    out.update(json{{"kind", "stream"},
                    {"direction", direction},
                    {"seconds", seconds.count()},
                    {"rate_bps", plan.rate},
                    {"payload", shape.payload},
                    {"packets_per_burst", shape.packets_per_burst},
                    {"bursts_per_second", 1 / shape.period.count()},
                    {"planned_packets", shape.packets},
                    {"lost_share", sent > 0 ? 1 - received / sent : 0},
                    {"goodput_bps", 8 * out.at("received_bytes").get<double>() / seconds.count()},
                    {"errors", json::array()}});
    if (!error.empty()) out.at("errors").push_back(error);
    return out;
}

}  // namespace

int run_stream(Options& options) {
    const auto host = options.required("--server");
    const auto port = static_cast<std::uint16_t>(options.number("--port", 5201, 1, 65535));
    const auto control = options.text("--control", "");
    const auto direction = options.one_of("--direction", {"up", "down"});
    const StreamPlan plan{.rate = options.number("--rate", 1'000'000, 1000, 100'000'000'000),
                          .payload = options.number("--payload", 1200, min_stream_payload, max_stream_payload),
                          .bursts_per_second = options.number("--bursts", 25, 0, 10'000),
                          .duration =
                              std::chrono::milliseconds(options.number("--milliseconds", 5000, 1, max_seconds * 1000))};
    const std::chrono::milliseconds grace(
        options.number("--grace-milliseconds", static_cast<std::uint64_t>(default_stream_grace.count()), 0, 120'000));
    if (options.error()) return report_error(*options.error());
    const auto server = ip_address(host, port);
    if (!server) return report_error(server.error());
    if (const auto packets = shape_of(plan, server->family()).packets; packets > max_packets)
        return report_error(
            fail(Error::Code::invalid_argument, "--rate: ", packets, " packets are more than ", max_packets));
    auto channel = Channel::to(control, *server);
    if (!channel) return report_error(channel.error());

    const Run run{.channel = *channel, .server = *server, .plan = plan, .grace = grace};
    const json request{{"op", "open"},
                       {"kind", "stream"},
                       {"direction", direction},
                       {"rate", plan.rate},
                       {"payload", plan.payload},
                       {"bursts", plan.bursts_per_second},
                       {"milliseconds", plan.duration.count()},
                       {"grace_milliseconds", grace.count()}};
    auto out = direction == "up" ? send_up(run, request) : send_down(run, request);
    if (!out) return report_error(out.error());
    return report(conclude(std::move(*out), plan, server->family(), direction));
}

}  // namespace natra::traffic
