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
#include "cells.h"
#include "clocks.h"

/* Returns the cell units that the flow is ahead of its share, this packet not included. */
inline_fn __u64 sketch_read(const struct natra_config *config, __u64 hash, __u64 now, struct cells *cells)
{
	return cells_read(config, state.cell, NATRA_SKETCH_ROWS, hash, now, cells);
}

inline_fn void sketch_store(const struct cells *cells, __u64 estimate, __u64 ceiling)
{
	cells_store(cells, NATRA_SKETCH_ROWS, estimate, ceiling);
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
