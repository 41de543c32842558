// SPDX-License-Identifier: Apache-2.0
// natra-traffic: real traffic of several kinds through a limiter, measured, as JSON.
#include <csignal>
#include <iostream>

#include "tests/tools/clients.hpp"
#include "tests/tools/report.hpp"
#include "tests/tools/server.hpp"

namespace {

using namespace natra::traffic;

constexpr auto usage = R"(usage: natra-traffic COMMAND [--option value]...
  server  [--bind ADDRESS] [--port N] [--control PATH] [--seconds N] [--until-eof 0|1]
  bulk    --server ADDRESS [--port N] [--control PATH] [--direction up|down] [--flows N] [--seconds N]
          [--congestion-control NAME[,NAME]...]
          N parallel TCP flows; up: the client sends
  rr      --server ADDRESS [--port N] [--milliseconds N] [--grace-milliseconds N] [--interval-us N] [--size BYTES]
          ping-pong on one connection: round-trip times
  short   --server ADDRESS [--port N] [--direction up|down] [--milliseconds N] [--grace-milliseconds N]
          [--interval-us N, 0: none] [--size BYTES] [--parallel N]
          a new connection for every transfer: completion times
  udp     --server ADDRESS [--port N] [--control PATH] [--direction up|down] [--rate BITS_PER_SECOND]
          [--payload BYTES] [--sender flood|socket] [--flows N] [--seconds N]
          flood: never waits; with --flows 0 a new source port for every packet. socket: one flow, which waits while
          its socket's buffer is full. Payloads over the MTU go as fragments
  stream  --server ADDRESS [--port N] [--control PATH] [--direction up|down] [--rate BITS_PER_SECOND]
          [--payload BYTES] [--bursts PER_SECOND, 0: evenly spaced] [--milliseconds N] [--grace-milliseconds N]
          one UDP flow in bursts, as of video: what is lost, one-way delays. Packets have --payload at most
  dns     --server ADDRESS [--port N] [--control PATH] [--milliseconds N] [--interval-us N] [--request BYTES]
          [--answer BYTES] [--timeout-milliseconds N]
          queries over UDP, each from a new socket, none repeated: what is answered in time, and when
  wire    [--milliseconds N] [--interval-us N]
          bytes that all devices here but lo have received, sampled, with times of CLOCK_MONOTONIC
Every command prints one JSON object. --control is a UNIX socket path of the server: what client and server
agree on then does not queue behind the traffic.
)";

int run(std::string_view command, std::span<char* const> arguments) {
    const auto with = [&](int (*body)(Options&), std::initializer_list<std::string_view> known) {
        auto options = Options::parse(arguments, known);
        return options ? body(*options) : report_error(options.error());
    };
    if (command == "server") return with(serve, {"--bind", "--port", "--control", "--seconds", "--until-eof"});
    if (command == "bulk")
        return with(run_bulk,
                    {"--server", "--port", "--control", "--direction", "--flows", "--seconds", "--congestion-control"});
    if (command == "rr")
        return with(run_rr,
                    {"--server", "--port", "--milliseconds", "--grace-milliseconds", "--interval-us", "--size"});
    if (command == "short")
        return with(run_short, {"--server", "--port", "--direction", "--milliseconds", "--grace-milliseconds",
                                "--interval-us", "--size", "--parallel"});
    if (command == "udp")
        return with(run_udp, {"--server", "--port", "--control", "--direction", "--rate", "--payload", "--sender",
                              "--flows", "--seconds"});
    if (command == "stream")
        return with(run_stream, {"--server", "--port", "--control", "--direction", "--rate", "--payload", "--bursts",
                                 "--milliseconds", "--grace-milliseconds"});
    if (command == "dns")
        return with(run_dns, {"--server", "--port", "--control", "--milliseconds", "--interval-us", "--request",
                              "--answer", "--timeout-milliseconds"});
    if (command == "wire") return with(run_wire, {"--milliseconds", "--interval-us"});
    std::cerr << usage;
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    const std::span<char* const> arguments(argv, static_cast<std::size_t>(argc));
    if (arguments.size() < 2) {
        std::cerr << usage;
        return 2;
    }
    try {
        return run(arguments[1], arguments.subspan(2));
    } catch (const std::exception& e) {
        return report_error(natra::fail(natra::Error::Code::internal, e.what()));
    }
}
