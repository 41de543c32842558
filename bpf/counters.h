/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counters: one slot a CPU, so that plain adds suffice. A tc program runs with
 * softirqs off and cannot be interrupted by itself.
 */
#ifndef NATRA_COUNTERS_H
#define NATRA_COUNTERS_H

#include "base.h"

inline_fn struct natra_counters *cpu_counters(void)
{
	return &state.counters[bpf_get_smp_processor_id() & (NATRA_COUNTER_SLOTS - 1)];
}

/* packets: a *_packets member; its *_bytes follows it. */
inline_fn void count(const struct natra_config *config, __u64 *packets, __u64 len)
{
	if (config->flags & NATRA_F_SHARED_COUNTERS) {
		__sync_fetch_and_add(&packets[0], 1);
		__sync_fetch_and_add(&packets[1], len);
	} else {
		packets[0] += 1;
		packets[1] += len;
	}
}

#endif
