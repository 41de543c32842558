/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fair shares among heavy flows: a clock per flow bucket, which runs at
 * R / (7/8 of the number of heavy flows). Who is ahead of it by more than
 * fair_ns is marked or dropped first.
 */
#ifndef NATRA_FAIRNESS_H
#define NATRA_FAIRNESS_H

#include "base.h"
#include "flow.h"

#define ACTIVITY_EPOCH_SHIFT 26 /* 67 ms */

/* bits: not 0 */
inline_fn __u64 count_bits(__u64 bits)
{
	if (!(bits & (bits - 1)))
		return opaque(1);
	bits -= bits >> 1 & 0x5555555555555555ULL;
	bits = (bits & 0x3333333333333333ULL) + (bits >> 2 & 0x3333333333333333ULL);
	bits = (bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return bits * 0x0101010101010101ULL >> 56;
}

/*
 * Notes that the flow is heavy now and returns how many heavy flows were seen
 * in this epoch and the one before it, between 1 and 64.
 */
inline_fn __u64 heavy_flows_active(__u64 hash, __u64 now)
{
	__u64 epoch = now >> ACTIVITY_EPOCH_SHIFT;
	__u64 seen = READ_ONCE(state.activity_epoch);
	__u64 *current = &state.activity[epoch & 1];
	__u64 bit = 1ULL << (hash >> HASH_ACTIVITY_SHIFT & 63);

	if (seen != epoch) {
		WRITE_ONCE(state.activity_epoch, epoch);
		*current = 0;
		if (seen + 1 != epoch)
			state.activity[~epoch & 1] = 0;
	}
	if (!(*current & bit))
		*current |= bit;
	return count_bits(state.activity[0] | state.activity[1]);
}

inline_fn __u64 *fair_clock(__u64 hash)
{
	return &state.fair_clock_ns[hash >> HASH_FAIR_SHIFT & (NATRA_FAIR_BUCKETS - 1)];
}

inline_fn void fair_charge(__u64 hash, __u64 now, __u64 cost, __u64 flows)
{
	__u64 *clock = fair_clock(hash);

	*clock = max_u64(*clock, now) + (cost * flows * 7 >> 3);
}

/* How far the flow is ahead of its fair share. */
inline_fn __u64 fair_excess(__u64 hash, __u64 now)
{
	return sub_floor(*fair_clock(hash), now);
}

#endif
