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

/* wait: of a packet that was paced and passes, in ns. All bounds are compared, without a branch in between. */
inline_fn void count_wait(const struct natra_config *config, struct natra_counters *counters, __u64 wait)
{
	static const __u64 bounds[NATRA_WAIT_BOUNDS] = NATRA_WAIT_BOUNDS_NS;
	__u64 bucket = 0;

#pragma clang loop unroll(full)
	for (__u32 i = 0; i < NATRA_WAIT_BOUNDS; i++)
		bucket += (bounds[i] - wait) >> 63;
	if (config->flags & NATRA_F_SHARED_COUNTERS) {
		__sync_fetch_and_add(&counters->wait_packets[bucket], 1);
		__sync_fetch_and_add(&counters->wait_ns, wait);
	} else {
		counters->wait_packets[bucket] += 1;
		counters->wait_ns += wait;
	}
}

#endif
