/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * CoDel on the virtual queue: when the delay of heavy packets has stood above
 * the target for an interval, one is dropped, and another after an interval
 * divided by the root of the drops so far, until the delay is below. FQ-CoDel has
 * such a law for each flow; here one serves all, so it goes as many times faster
 * as n flows do together: the root of n * drops.
 */
#ifndef NATRA_AQM_H
#define NATRA_AQM_H

#include "base.h"

#define AQM_MAX_COUNT 256U

/* ns divided by the root of x, in steps of a root of two; x: 1 to 2^32 - 1. Without a branch, for the verifier. */
inline_fn __u64 over_root(__u64 ns, __u64 x)
{
	__u64 log = 0;

#pragma clang loop unroll(full)
	for (__u32 shift = 16; shift; shift >>= 1) {
		__u64 step = (-(x >> shift) >> 63) * shift;

		x >>= step;
		log += step;
	}
	/* 181/256: 1 through the root of two */
	return ns * (256 - 75 * (log & 1)) >> (8 + (log >> 1));
}

/* 1 if a packet that would wait so long is one to drop. */
inline_fn __u64 aqm_due(const struct natra_config *config, __u64 now, __u64 delay)
{
	struct natra_aqm *aqm = &state.aqm;
	__u64 above = READ_ONCE(aqm->above_ns);

	if (delay <= config->aqm_target_ns) {
		if (above)
			WRITE_ONCE(aqm->above_ns, 0);
		return 0;
	}
	if (!above) {
		/* soon again: goes on where it ended, nearly */
		__u64 recent = sub_floor(now, aqm->next_ns) < 16 * config->aqm_interval_ns;

		aqm->count = recent ? sub_floor(aqm->count, 2) : 0;
		WRITE_ONCE(aqm->above_ns, now + config->aqm_interval_ns);
		return 0;
	}
	return now >= above && now >= READ_ONCE(aqm->next_ns);
}

/*
 * A sender learns of a drop when the queue of this moment has passed, and has
 * mended it when the next one has: until then no other drop, which may hit the
 * very packet that is sent again.
 */
inline_fn __u64 aqm_patience(__u64 delay, __u64 flows)
{
	return 2 * delay / flows;
}

inline_fn void aqm_dropped(const struct natra_config *config, __u64 now, __u64 delay, __u64 flows)
{
	struct natra_aqm *aqm = &state.aqm;
	__u64 count = min_u64(aqm->count + 1, AQM_MAX_COUNT);
	__u64 pause = over_root(config->aqm_interval_ns, count * flows);

	aqm->count = count;
	WRITE_ONCE(aqm->next_ns, now + max_u64(pause, aqm_patience(delay, flows)));
}

/* The queue is full, which is drop enough. */
inline_fn void aqm_overflowed(__u64 now, __u64 delay, __u64 flows)
{
	WRITE_ONCE(state.aqm.next_ns, now + aqm_patience(delay, flows));
}

#endif
