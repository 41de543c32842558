// SPDX-License-Identifier: Apache-2.0
#include "api/metrics.hpp"

#include "api/exposition.hpp"
#include "api/process_figures.hpp"
#include "api/queue_delay.hpp"

namespace natra::api {
namespace {

using datapath::Direction;

// One direction of an attachment that has a program.
struct Series {
    std::string labels;
    const pods::Pod* pod;
    const limits::Limit* limit;
    const datapath::Instance* instance;
    natra_counters counters;
    datapath::Accuracy accuracy;
};

std::string pod_labels(const pods::Pod& pod) {
    const auto& request = pod.request;
    // Names of Kubernetes' own metrics. A sandbox that is being replaced has the same names: the ID tells them apart.
    return labels_text({{"namespace", request.pod_namespace},
                        {"pod", request.pod_name},
                        {"interface", request.interface_name},
                        {"container_id", request.container_id}});
}

std::vector<Series> series_of(const std::vector<pods::Pod>& pods) {
    std::vector<Series> out;
    for (const auto& pod : pods) {
        const auto labels = pod_labels(pod);
        for (const auto direction : datapath::directions) {
            const auto* instance = pod.kernel.instance(direction).get();
            if (instance == nullptr) continue;
            const auto& limit = direction == Direction::ingress ? pod.effective.ingress : pod.effective.egress;
            out.push_back({.labels = concat(labels, ",", labels_text({{"direction", to_string(direction)}})),
                           .pod = &pod,
                           .limit = &limit,
                           .instance = instance,
                           .counters = instance->counters(),
                           .accuracy = instance->accuracy()});
        }
    }
    return out;
}

constexpr double bits_per_byte = 8;
constexpr double ns_per_second = 1e9;

void pod_gauge(Exposition& out, const std::vector<Series>& series, const char* name, const char* help,
               double (*value)(const Series&)) {
    out.family(name, "gauge", help);
    for (const auto& each : series) out.sample({}, value(each), each.labels);
}

void pod_counter(Exposition& out, const std::vector<Series>& series, const char* name, const char* help,
                 std::uint64_t (*value)(const Series&)) {
    out.family(name, "counter", help);
    for (const auto& each : series) out.sample({}, value(each), each.labels);
}

using Counter = __u64 natra_counters::*;

void pod_verdicts(Exposition& out, const std::vector<Series>& series, const char* name, const char* help, Counter fast,
                  Counter paced, Counter dropped) {
    out.family(name, "counter", help);
    for (const auto& each : series) {
        const auto& c = each.counters;
        out.sample({{"verdict", "fast"}}, std::uint64_t{c.*fast}, each.labels);
        out.sample({{"verdict", "paced"}}, std::uint64_t{c.*paced}, each.labels);
        out.sample({{"verdict", "dropped"}}, std::uint64_t{c.*dropped}, each.labels);
    }
}

void write_pods(Exposition& out, const std::vector<pods::Pod>& pods) {
    const auto series = series_of(pods);
    pod_gauge(out, series, "natra_pod_limit_bytes_per_second", "Rate that the direction is held to.",
              [](const Series& s) { return static_cast<double>(s.limit->rate_bps) / bits_per_byte; });
    pod_gauge(out, series, "natra_pod_burst_bytes", "Burst above the rate; 0: the shaper's default.",
              [](const Series& s) { return static_cast<double>(s.limit->burst_bits) / bits_per_byte; });
    pod_verdicts(out, series, "natra_pod_bytes_total",
                 "Bytes that reached the limiter: of small flows (fast), of heavy flows (paced), and dropped.",
                 &natra_counters::fast_bytes, &natra_counters::paced_bytes, &natra_counters::dropped_bytes);
    pod_verdicts(out, series, "natra_pod_packets_total",
                 "Packets that reached the limiter: of small flows (fast), of heavy flows (paced), and dropped.",
                 &natra_counters::fast_packets, &natra_counters::paced_packets, &natra_counters::dropped_packets);
    pod_counter(out, series, "natra_pod_marked_bytes_total",
                "Of the paced: bytes of packets with an ECN mark by natra.",
                [](const Series& s) { return std::uint64_t{s.counters.marked_bytes}; });
    pod_counter(out, series, "natra_pod_marked_packets_total", "Of the paced: packets with an ECN mark by natra.",
                [](const Series& s) { return std::uint64_t{s.counters.marked_packets}; });
    pod_counter(out, series, "natra_pod_spilled_bytes_total",
                "Bytes of small flows beyond the small flows' allowance, treated as heavy.",
                [](const Series& s) { return std::uint64_t{s.counters.spilled_bytes}; });
    pod_counter(out, series, "natra_pod_spilled_packets_total",
                "Packets of small flows beyond the small flows' allowance, treated as heavy.",
                [](const Series& s) { return std::uint64_t{s.counters.spilled_packets}; });
    pod_gauge(out, series, "natra_pod_queue_seconds", "How long a packet of a heavy flow would wait now.",
              [](const Series& s) { return static_cast<double>(s.instance->queued_ns()) / ns_per_second; });
    out.family("natra_pod_queue_delay_seconds", "histogram",
               "How long packets of heavy flows (paced) were made to wait, by the clock of the rate.");
    for (const auto& each : series) write_queue_delay(out, each.counters, each.labels);
    pod_gauge(out, series, "natra_pod_heavy_flows", "Heavy flows in the table of 64.", [](const Series& s) {
        // Most tables have never been written to, and reading all of them takes long.
        const bool any = s.counters.paced_packets != 0 || s.counters.dropped_packets != 0;
        return any ? static_cast<double>(s.instance->heavy_flow_count()) : 0.0;
    });
    pod_counter(out, series, "natra_pod_heavy_table_misses_total",
                "Packets of heavy flows that found no place in the table.",
                [](const Series& s) { return s.instance->heavy_table_misses(); });
    pod_gauge(out, series, "natra_pod_sketch_occupancy_ratio",
              "Share of the classification's cells in use, mean of its rows.",
              [](const Series& s) { return s.accuracy.occupancy; });
    pod_gauge(out, series, "natra_pod_false_heavy_ratio",
              "Chance that a flow which begins now is taken for heavy, whatever it sends.",
              [](const Series& s) { return s.accuracy.false_heavy_chance; });
    pod_gauge(out, series, "natra_pod_overestimate_bytes",
              "99 of 100 flows that begin now are overestimated by at most this.",
              [](const Series& s) { return static_cast<double>(s.accuracy.overestimate_bytes); });
    pod_counter(out, series, "natra_pod_unparsed_packets_total", "Packets with headers that could not be read.",
                [](const Series& s) { return s.instance->unparsed_packets(); });
    out.family("natra_pod_tamper_events_total", "counter",
               "How often natra's qdiscs and programs were found changed and were put right.");
    for (const auto& pod : pods) out.sample({}, pod.tamper_events, pod_labels(pod));
}

void write_attaching(Exposition& out, const pods::Statistics& statistics) {
    const auto& attach = statistics.attach;
    out.family("natra_attach_duration_seconds", "histogram", "Time from a CNI ADD's call to natrad's answer.");
    for (std::size_t i = 0; i < pods::DurationHistogram::bounds_seconds.size(); ++i)
        out.sample_of("_bucket", {{"le", number_text(pods::DurationHistogram::bounds_seconds[i])}},
                      static_cast<double>(attach.at_most(i)));
    out.sample_of("_bucket", {{"le", "+Inf"}}, static_cast<double>(attach.count()));
    out.sample_of("_sum", {}, attach.sum_seconds());
    out.sample_of("_count", {}, static_cast<double>(attach.count()));
    out.family("natra_attach_failures_total", "counter", "Attachments that were refused or failed, by cause.");
    constexpr auto last = Error::Code::internal;
    for (int code = 0; code <= static_cast<int>(last); ++code) {
        const auto cause = static_cast<Error::Code>(code);
        const auto found = statistics.attach_failures.find(cause);
        out.sample({{"cause", to_string(cause)}},
                   found == statistics.attach_failures.end() ? std::uint64_t{0} : found->second);
    }
    out.family("natra_adoptions_total", "counter", "Attachments of an earlier natrad, by what became of them.");
    out.sample({{"result", "adopted"}}, statistics.adoptions.adopted);
    out.sample({{"result", "dropped"}}, statistics.adoptions.dropped);
    out.sample({{"result", "failed"}}, statistics.adoptions.failed);
}

void write_counter(Exposition& out, const char* name, const char* help, std::uint64_t value) {
    out.family(name, "counter", help);
    out.sample({}, value);
}

void write_gauge(Exposition& out, const char* name, const char* help, double value) {
    out.family(name, "gauge", help);
    out.sample({}, value);
}

void write_node(Exposition& out, const NodeFigures& node) {
    out.family("natra_build_info", "gauge", "Always 1; which natrad runs on which kernel.");
    out.sample({{"version", NATRA_VERSION}, {"kernel", node.kernel}}, std::uint64_t{1});
    out.family("natra_attachments", "gauge", "Limited directions of attachments, by hook and shaper.");
    for (const auto& [key, count] : node.by_data_path) {
        const auto& [direction, hook, shaper] = key;
        out.sample({{"direction", direction}, {"hook", hook}, {"shaper", shaper}}, count);
    }
    write_gauge(out, "natra_attached_interfaces", "Attachments, limited or not.",
                static_cast<double>(node.attachments));
    write_gauge(out, "natra_attached_interfaces_without_series",
                "Attachments that are not in the natra_pod metrics because there are too many, see api.metricsPods.",
                static_cast<double>(node.attachments - node.pods.size()));
    write_attaching(out, node.statistics);
    write_counter(out, "natra_detachments_total", "Attachments that have ended.", node.statistics.ended);
    write_counter(out, "natra_limit_changes_total", "Changes of limits by operators.", node.statistics.limit_changes);
    write_counter(out, "natra_tamper_events_total",
                  "How often natra's qdiscs and programs were found changed, attachments that have ended included.",
                  node.tamper_events);
    write_gauge(out, "natra_degradations", "Things that are not as they should be; /v1/status has a sentence for each.",
                static_cast<double>(node.degraded));
    write_gauge(out, "natra_pool_programs", "Loaded programs in reserve.", static_cast<double>(node.pool_ready));
}

void write_api(Exposition& out, const NodeFigures& node) {
    out.family("natra_api_requests_total", "counter", "Requests answered, by route, method and status.");
    for (const auto& [key, count] : node.requests) {
        const auto& [route, method, status] = key;
        out.sample({{"route", route}, {"method", method}, {"status", std::to_string(status)}}, count);
    }
    write_counter(out, "natra_api_bad_requests_total", "Requests that could not be read.", node.http.bad);
    write_counter(out, "natra_api_refused_connections_total",
                  "Connections and answers beyond the bounds, which were answered 503 or closed.", node.http.refused);
    write_counter(out, "natra_api_lost_answers_total", "Answers whose client was gone.", node.http.lost);
    write_gauge(out, "natra_api_connections", "Open connections, and those whose answer is not read.",
                static_cast<double>(node.http.open));
    write_gauge(out, "natra_api_unread_bytes", "Answers that wait in natrad's memory for their clients to read them.",
                static_cast<double>(node.http.unread_bytes));
}

void write_process(Exposition& out) {
    const auto process = process_figures();
    out.family("process_cpu_seconds_total", "counter", "Processor time of natrad, user and system.");
    out.sample({}, process.cpu_seconds);
    write_gauge(out, "process_start_time_seconds", "When natrad began, since the epoch.", process.start_time_seconds);
    write_gauge(out, "process_resident_memory_bytes", "Resident memory of natrad.",
                static_cast<double>(process.resident_bytes));
    write_gauge(out, "process_virtual_memory_bytes", "Virtual memory of natrad.",
                static_cast<double>(process.virtual_bytes));
    write_gauge(out, "process_threads", "Threads of natrad.", static_cast<double>(process.threads));
    write_gauge(out, "process_open_fds", "Open descriptors of natrad.", static_cast<double>(process.open_descriptors));
}

}  // namespace

std::string metrics_text(const NodeFigures& node) {
    constexpr std::size_t node_bytes = 16UL * 1024;
    constexpr std::size_t pod_bytes = 10UL * 1024;  // both directions
    Exposition out;
    out.reserve(node_bytes + pod_bytes * node.pods.size());
    write_node(out, node);
    write_pods(out, node.pods);
    write_api(out, node);
    write_process(out);
    return out.take();
}

}  // namespace natra::api
