// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/channel.hpp"
#include "tests/tools/clients.hpp"
#include "tests/tools/hello.hpp"
#include "tests/tools/report.hpp"
#include "tests/tools/udp.hpp"

namespace natra::traffic {
namespace {

using nlohmann::json;

Result<json> send_up(Channel& channel, json request, const Address& server, const UdpPlan& plan) {
    request["family"] = server.family();
    const auto opened = channel.ask(request, Clock::now() + setup_time);
    if (!opened) return opened.error();
    const auto to = ip_address(host_of(server), opened->at("port").get<std::uint16_t>());
    if (!to) return to.error();
    if (auto started = channel.ask({{"op", "start"}}, Clock::now() + setup_time); !started) return started.error();
    auto sent = send_udp(*to, plan);
    auto received = channel.ask({{"op", "report"}}, Clock::now() + setup_time);
    if (!received) return received.error();
    received->update(sent);
    return received;
}

Result<json> send_down(Channel& channel, json request, const Address& server, const UdpPlan& plan) {
    auto sink = UdpSink::open(server.family(), plan.duration);
    if (!sink) return sink.error();
    const auto here = own_address(server);
    if (!here) return here.error();
    request.update(json{{"address", *here},
                        {"port", (*sink)->port()},
                        {"rate", plan.rate},
                        {"payload", plan.payload},
                        {"flows", plan.flows},
                        {"sender", plan.sender}});
    if (auto opened = channel.ask(request, Clock::now() + setup_time); !opened) return opened.error();
    (*sink)->start();
    if (auto started = channel.ask({{"op", "start"}}, Clock::now() + setup_time); !started) return started.error();
    auto received = (*sink)->report();
    const auto sent = channel.ask({{"op", "report"}}, Clock::now() + setup_time);
    if (!sent) return sent.error();
    received.update(*sent);
    return received;
}

}  // namespace

int run_udp(Options& options) {
    const auto host = options.required("--server");
    const auto port = static_cast<std::uint16_t>(options.number("--port", 5201, 1, 65535));
    const auto control = options.text("--control", "");
    const auto direction = options.one_of("--direction", {"up", "down"});
    const UdpPlan plan{.rate = options.number("--rate", 10'000'000, 1000, 100'000'000'000),
                       .payload = options.number("--payload", 1000, 1, max_payload),
                       .flows = static_cast<unsigned>(options.number("--flows", 0, 0, 1000)),
                       .sender = options.one_of("--sender", {"flood", "socket"}) == "socket" ? UdpSender::socket
                                                                                             : UdpSender::flood,
                       .duration = std::chrono::seconds(options.number("--seconds", 5, 2, max_seconds))};
    if (options.error()) return report_error(*options.error());
    const auto server = ip_address(host, port);
    if (!server) return report_error(server.error());
    auto channel = Channel::to(control, *server);
    if (!channel) return report_error(channel.error());

    const json request{{"op", "open"}, {"kind", "udp"}, {"direction", direction}, {"seconds", plan.duration.count()}};
    const auto run = direction == "up" ? send_up : send_down;
    auto out = run(*channel, request, *server, plan);
    if (!out) return report_error(out.error());
    const auto later_seconds = static_cast<double>(plan.duration.count() - 1);
    const auto error = out->at("send_error").get<std::string>();
    out->erase("send_error");
    out->update(json{{"kind", "udp"},
                     {"direction", direction},
                     {"seconds", plan.duration.count()},
                     {"goodput_bps", 8.0 * out->at("later_bytes").get<double>() / later_seconds},
                     {"errors", json::array()}});
    if (!error.empty()) out->at("errors").push_back(error);
    return report(*out);
}

}  // namespace natra::traffic
