/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fair shares among heavy flows: a clock per flow, in two rows of cells as the
 * sketch has them, which runs at 16/15 of a fair share of the rate. A flow that is
 * ahead of its clock by more than a bound is marked or dropped first.
 */
#ifndef NATRA_FAIRNESS_H
#define NATRA_FAIRNESS_H

#include "base.h"
#include "flow.h"

/* A flow that is so many times further ahead than it may be does not listen to marks. Clocks run no further. */
#define MARKS_IGNORED 4
/* A flow that is so many times further ahead does not listen to losses. */
#define STUBBORN 3

struct fair_view {
	__u32 *cell[NATRA_FAIR_ROWS];
	__u64 ahead[NATRA_FAIR_ROWS];
	__u64 now; /* cell units */
};

/* Part of a flow's price (1.5 fair shares, see sketch.h) that its clock is charged: 15/16 of a share. */
inline_fn __u64 fair_part(__u64 price)
{
	return price * 160 >> 8;
}

/* Returns how far the flow is ahead of its fair share, in cell units. */
inline_fn __u64 fair_read(const struct natra_config *config, __u64 hash, __u64 now, struct fair_view *view)
{
	__u64 guard = config->guard;
	__u64 excess = ~0ULL;

	view->now = now >> config->unit_shift;
#pragma clang loop unroll(full)
	for (__u32 row = 0; row < NATRA_FAIR_ROWS; row++) {
		__u32 *cell = &state.fair[row][hash >> row * HASH_SKETCH_BITS & (NATRA_SKETCH_COLS - 1)];
		__u64 ahead = (*cell - view->now) & ~0U;

		if (ahead > guard)
			ahead = 0;
		if (ahead < excess)
			excess = ahead;
		view->cell[row] = cell;
		view->ahead[row] = ahead;
	}
	return excess;
}

inline_fn void fair_raise(const struct fair_view *view, __u64 excess)
{
#pragma clang loop unroll(full)
	for (__u32 row = 0; row < NATRA_FAIR_ROWS; row++) {
		if (view->ahead[row] < excess)
			*view->cell[row] = view->now + excess;
	}
}

/* How far a flow may be ahead of its fair share, in cell units: a short flow's length at least. */
inline_fn __u64 fair_bound(const struct natra_config *config, __u64 flows)
{
	return min_u64(max_u64(fair_part(config->tau_flow * flows), config->fair_min), config->fair_max);
}

#endif
