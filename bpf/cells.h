/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Rows of cells that hold a time for each flow: the sketch (sketch.h) and the
 * fair shares (fairness.h). A cell is 32 bits of cell units, and in the past it
 * counts as 0 ahead of now. A flow has one cell in each row; the lowest is its
 * own, the others are somebody else's as well.
 */
#ifndef NATRA_CELLS_H
#define NATRA_CELLS_H

#include "base.h"
#include "flow.h"

/* A flow's cells as they were read: how far each is ahead of now. */
struct cells {
	__u32 *cell[NATRA_SKETCH_ROWS];
	__u64 ahead[NATRA_SKETCH_ROWS];
	__u64 now; /* cell units */
};

/* Returns how far the flow is ahead of now, in cell units. rows: a constant */
inline_fn __u64 cells_read(const struct natra_config *config, __u32 (*table)[NATRA_SKETCH_COLS], __u32 rows, __u64 hash,
			   __u64 now, struct cells *cells)
{
	__u64 guard = config->guard;
	__u64 lowest = ~0ULL;

	cells->now = now >> config->unit_shift;
#pragma clang loop unroll(full)
	for (__u32 row = 0; row < rows; row++) {
		__u32 *cell = &table[row][hash >> row * HASH_SKETCH_BITS & (NATRA_SKETCH_COLS - 1)];
		__u64 ahead = (*cell - cells->now) & ~0U;

		/* in the past, or left over from before the units wrapped */
		if (ahead > guard)
			ahead = 0;
		if (ahead < lowest)
			lowest = ahead;
		cells->cell[row] = cell;
		cells->ahead[row] = ahead;
	}
	return lowest;
}

/* Sets the flow's cells so far ahead where they are not so far, or beyond the ceiling. */
inline_fn void cells_store(const struct cells *cells, __u32 rows, __u64 ahead, __u64 ceiling)
{
#pragma clang loop unroll(full)
	for (__u32 row = 0; row < rows; row++) {
		if (cells->ahead[row] < ahead || cells->ahead[row] > ceiling)
			*cells->cell[row] = cells->now + ahead;
	}
}

#endif
