/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which flows are heavy: a sketch of leaky buckets, measured against the fair
 * share.
 *
 * A cell is a bucket, stored as the time at which it will be empty (32 bits of
 * cell units). A packet adds its price, the time that it takes at two thirds of
 * a fair share: 1.5 n * length / R, where n flows compete. So the bucket of a flow
 * that takes less than two thirds of its share runs empty again and again, and
 * that of one that takes more fills up. Packets of at most 256 bytes cost at most
 * their time at phi*R.
 *
 * A flow's estimate is the lowest of its cells; only cells below the new
 * estimate are raised. Nothing is swept: a cell in the past is an empty bucket.
 * Plain stores: a race loses a packet of one flow's estimate.
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

/* Returns the cell units that the flow is ahead of its share, this packet not included. */
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

/* Sets the flow's cells to the estimate where they are below it, or above the ceiling of estimates. */
inline_fn void sketch_store(const struct sketch_view *view, __u64 estimate, __u64 ceiling)
{
#pragma clang loop unroll(full)
	for (__u32 row = 0; row < NATRA_SKETCH_ROWS; row++) {
		if (view->ahead[row] < estimate || view->ahead[row] > ceiling)
			*view->cell[row] = view->now + estimate;
	}
}

/* What so many bytes cost where so many flows compete, in cell units. Rounded up. */
inline_fn __u64 price_of(const struct natra_config *config, __u64 len, __u64 flows)
{
	return (len * flows * config->flow_mult >> config->flow_shift) + 1;
}

/* The same for packets of at most 256 bytes. */
inline_fn __u64 small_price_of(const struct natra_config *config, __u64 len, __u64 price)
{
	return min_u64(price, cost_of(len, config->cell_mult, config->cell_shift));
}

/* tau: the estimate of a flow that has sent T beyond its share. */
inline_fn __u64 sketch_tau(const struct natra_config *config, __u64 flows)
{
	return min_u64(max_u64(config->tau_flow * flows, config->tau_min), config->tau_max);
}

#endif
