// SPDX-License-Identifier: Apache-2.0
// Where calls wait for a natrad that is away: one file per attachment, the last
// call wins. natrad applies and removes them when it starts.
#pragma once

#include <string>

#include "cni-shim/environment.hpp"
#include "daemon/cni/request.hpp"
#include "daemon/util/error.hpp"

namespace natra::shim {

class Spool {
public:
    explicit Spool(std::string directory) : directory_(std::move(directory)) {}
    // NATRA_SPOOL_DIR, else "spool" in NATRA_RUNTIME_DIR, else /run/natra/spool.
    static Spool of_environment(const GetVariable& variable);

    enum class Content {
        nothing,
        request,       // an ADD that natrad has not heard of
        sent_request,  // an ADD that natrad may have carried out nevertheless
        tombstone,     // a DEL
    };
    [[nodiscard]] Content content(const Environment& attachment) const;

    // natrad has rules that may limit a pod which asks for no limit.
    [[nodiscard]] bool wants_every_pod() const;

    Result<void> put(const Request& request, bool may_have_arrived) const;
    // Beyond 4096 files none is added: natrad drops attachments without a device by itself.
    Result<void> put_tombstone(const Environment& attachment, const std::string& network) const;
    // Absent is success.
    Result<void> remove(const Environment& attachment) const;

private:
    [[nodiscard]] std::string path(const std::string& container_id, const std::string& interface) const;
    Result<void> write(const std::string& path, const Json& object) const;

    std::string directory_;
};

}  // namespace natra::shim
