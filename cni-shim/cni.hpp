// SPDX-License-Identifier: Apache-2.0
// What the shim and natrad both know of CNI, under the shim's own names.
#pragma once

#include "daemon/cni/cni_error.hpp"
#include "daemon/cni/json_text.hpp"

namespace natra::cni {}
namespace natra::shim {
using namespace cni;
}
