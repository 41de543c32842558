// SPDX-License-Identifier: Apache-2.0
#include "api/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "api/exposition.hpp"

namespace natra::api {
namespace {

using testing::HasSubstr;

TEST(Exposition, WritesFamiliesAndSamples) {
    Exposition out;
    out.family("a_total", "counter", "Lines\nand \\.");
    out.sample({}, std::uint64_t{18446744073709551615U});
    out.sample({{"x", "say \"hi\"\n\\"}}, 0.5);
    out.sample({{"y", "2"}}, std::uint64_t{1}, labels_text({{"x", "1"}}));
    out.sample_of("_bucket", {{"le", number_text(0.0025)}}, 3.0);
    EXPECT_EQ(out.take(), "# HELP a_total Lines\\nand \\\\.\n"
                          "# TYPE a_total counter\n"
                          "a_total 18446744073709551615\n"
                          "a_total{x=\"say \\\"hi\\\"\\n\\\\\"} 0.5\n"
                          "a_total{x=\"1\",y=\"2\"} 1\n"
                          "a_total_bucket{le=\"0.0025\"} 3\n");
}

TEST(Exposition, ReplacesWhatIsNoUtf8) {
    EXPECT_EQ(labels_text({{"a", "\xc3\xa9"}}), "a=\"\xc3\xa9\"");
    EXPECT_EQ(labels_text({{"a", "x\xff"}}), "a=\"x?\"");
}

TEST(Metrics, NoSeriesTwice) {
    NodeFigures node;
    for (int i = 0; i < 3; ++i) {
        pods::Pod pod{.id = std::to_string(i)};
        pod.request.container_id = std::to_string(i);
        pod.request.interface_name = "eth0";
        pod.request.pod_namespace = "shop";
        pod.request.pod_name = "web-0";
        node.pods.push_back(pod);
    }
    node.attachments = 5;
    node.by_data_path[{"ingress", "clsact", "edt"}] = 2;
    node.requests[{"/healthz", "GET", 200}] = 7;
    node.statistics.attached(std::chrono::milliseconds(3), nullptr);
    const auto failure = fail(Error::Code::no_device, "gone");
    node.statistics.attached(std::chrono::seconds(60), &failure);
    const auto text = metrics_text(node);
    std::istringstream lines(text);
    std::set<std::string> seen;
    for (std::string line; std::getline(lines, line);) {
        const auto series = line.starts_with('#') ? line : line.substr(0, line.rfind(' '));
        EXPECT_TRUE(seen.insert(series).second) << line;
    }
    EXPECT_THAT(text, HasSubstr("natra_attachments{direction=\"ingress\",hook=\"clsact\",shaper=\"edt\"} 2\n"));
    EXPECT_THAT(text, HasSubstr("natra_attached_interfaces_without_series 2\n"));
    EXPECT_THAT(text, HasSubstr("natra_attach_duration_seconds_bucket{le=\"0.0025\"} 0\n"));
    EXPECT_THAT(text, HasSubstr("natra_attach_duration_seconds_bucket{le=\"0.005\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("natra_attach_duration_seconds_bucket{le=\"+Inf\"} 2\n"));
    EXPECT_THAT(text, HasSubstr("natra_attach_duration_seconds_count 2\n"));
    EXPECT_THAT(text, HasSubstr("natra_attach_failures_total{cause=\"no_device\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("natra_api_requests_total{route=\"/healthz\",method=\"GET\",status=\"200\"} 7\n"));
    EXPECT_THAT(text, HasSubstr("process_resident_memory_bytes "));
}

}  // namespace
}  // namespace natra::api
