// SPDX-License-Identifier: Apache-2.0
#include "daemon/check_config.hpp"

#include <cstdlib>
#include <iostream>

#include "daemon/exit_status.hpp"
#include "daemon/reload.hpp"

namespace natra {

int check_config(const config::Sources& sources) {
    const auto loaded = config::load(sources);
    for (const auto& error : loaded.errors) std::cerr << error << '\n';
    for (const auto& unknown : loaded.unknown) std::cerr << unknown << '\n';
    if (!loaded.errors.empty() || !loaded.unknown.empty()) return EXIT_FAILURE;
    std::cout << "configuration is valid\n" << config::describe(loaded);
    return EXIT_SUCCESS;
}

int check_reload(const config::Sources& sources) {
    const auto loaded = config::load(sources);
    if (loaded.errors.empty()) return EXIT_SUCCESS;
    log_refused_reload(loaded);
    return exit_configuration;
}

}  // namespace natra
