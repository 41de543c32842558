/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which flows are heavy: a sketch of leaky buckets.
 *
 * A cell is a bucket that drains at phi*R, stored as the time at which it will
 * be empty (32 bits of cell units). A flow's estimate is the lowest of its
 * cells; only cells below the new estimate are raised. Nothing is swept: a
 * cell in the past is an empty bucket. Plain stores: a race loses a packet of
 * one flow's estimate.
 */
#ifndef NATRA_SKETCH_H
#define NATRA_SKETCH_H

#include "base.h"
#include "clocks.h"
#include "flow.h"

/* A flow's cells as they were read: how far each is ahead of now. */
struct sketch_view {
	__u32 *cell[NATRA_SKETCH_ROWS];
	__u64 ahead[NATRA_SKETCH_ROWS];
	__u64 now;
};

/* Returns the cell units that the flow is ahead of phi*R, this packet not included. */
inline_fn __u64 sketch_read(const struct natra_config *config, __u64 hash, __u64 now, struct sketch_view *view)
{
	__u64 guard = config->guard;
	__u64 estimate = ~0ULL;

	view->now = now >> config->unit_shift;
#pragma clang loop unroll(full)
	for (__u32 row = 0; row < NATRA_SKETCH_ROWS; row++) {
		__u32 *cell = &state.cell[row][hash >> row * HASH_SKETCH_BITS & (NATRA_SKETCH_COLS - 1)];
		__u64 ahead = (*cell - view->now) & ~0U;

		/* in the past, or left over from before the units wrapped */
		if (ahead > guard)
			ahead = 0;
		if (ahead < estimate)
			estimate = ahead;
		view->cell[row] = cell;
		view->ahead[row] = ahead;
	}
	return estimate;
}

inline_fn void sketch_raise(const struct sketch_view *view, __u64 estimate)
{
#pragma clang loop unroll(full)
	for (__u32 row = 0; row < NATRA_SKETCH_ROWS; row++) {
		if (view->ahead[row] < estimate)
			*view->cell[row] = view->now + estimate;
	}
}

/*
 * The estimate beyond which a flow is heavy. It falls from tau to tau/16 as
 * small flows together use up their allowance: that finds the heavy ones among
 * them that stay below phi*R. small_allowance_inv is 15/16 of 2^40/M.
 */
inline_fn __u64 sketch_threshold(const struct natra_config *config, __u64 now)
{
	__u64 used = min_u64(small_used(now), config->small_allowance_ns);
	__u64 share = used * config->small_allowance_inv >> 24;

	return config->tau - (config->tau * share >> 16);
}

#endif
