/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fair shares among heavy flows: a clock per flow, in two rows of cells as the
 * sketch has them, which runs at 16/15 of a fair share of the rate. A flow that is
 * ahead of its clock by more than a bound is marked or dropped first.
 */
#ifndef NATRA_FAIRNESS_H
#define NATRA_FAIRNESS_H

#include "base.h"
#include "cells.h"

/* A flow that is so many times further ahead than it may be does not listen to marks. Clocks run no further. */
#define MARKS_IGNORED 4
/* A flow that is so many times further ahead does not listen to losses: what it sends finds a short queue. */
#define STUBBORN 3

/* Part of a flow's price (1.5 fair shares, see sketch.h) that its clock is charged: 15/16 of a share. */
inline_fn __u64 fair_part(__u64 price)
{
	return price * 160 >> 8;
}

/*
 * The same, but all of a share while the queue is long: each of several flows
 * that listen to nothing would take 16/15 of a share then, and nothing would be
 * left for the last one.
 */
inline_fn __u64 fair_charge_of(__u64 price, __u64 is_long)
{
	return price * (160 + 11 * is_long) >> 8;
}

/* Returns how far the flow is ahead of its fair share, in cell units. */
inline_fn __u64 fair_read(const struct natra_config *config, __u64 hash, __u64 now, struct cells *cells)
{
	return cells_read(config, state.fair, NATRA_FAIR_ROWS, hash, now, cells);
}

/* How far a flow may be ahead of its fair share, in cell units: a short flow's length at least. */
inline_fn __u64 fair_bound(const struct natra_config *config, __u64 flows)
{
	return min_u64(max_u64(fair_part(config->tau_flow * flows), config->fair_min), config->fair_max);
}

/* Cut where the flow is ahead by more: the bound was another one when it got there. */
inline_fn void fair_raise(const struct cells *cells, __u64 excess, __u64 bound)
{
	__u64 most = MARKS_IGNORED * bound + 1;

	cells_store(cells, NATRA_FAIR_ROWS, min_u64(excess, most), most);
}

#endif
