/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The heavy flows by name, for listing. Nothing in the packet path depends on it. */
#ifndef NATRA_HEAVY_TABLE_H
#define NATRA_HEAVY_TABLE_H

#include "base.h"
#include "flow.h"

#define HEAVY_IDLE_NS NSEC_PER_SEC
#define HEAVY_WINDOW_NS NSEC_PER_SEC
#define HEAVY_SETS (NATRA_HEAVY_SLOTS / NATRA_HEAVY_WAYS)

inline_fn void heavy_take(struct natra_heavy_flow *slot, const union flow *flow, __u64 hash, __u64 now)
{
	__u64 *key = (__u64 *)&slot->key;

	/* free while it is written */
	WRITE_ONCE(slot->hash, 0);
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < KEY_WORDS; i++)
		key[i] = flow->word[i];
	slot->first_ns = now;
	slot->bytes = 0;
	slot->dropped_bytes = 0;
	slot->packets = 0;
	slot->marked_packets = 0;
	slot->dropped_packets = 0;
	slot->window_start_ns = now;
	slot->window_bytes = 0;
	slot->previous_window_bytes = 0;
	WRITE_ONCE(slot->hash, hash);
}

/*
 * The flow's slot; with may_take also one that is free or whose flow has been
 * idle. NULL if there is none.
 */
inline_fn struct natra_heavy_flow *heavy_slot(const union flow *flow, __u64 hash, __u64 now, __u64 may_take)
{
	struct natra_heavy_flow *set = &state.heavy[(hash >> HASH_HEAVY_SHIFT & (HEAVY_SETS - 1)) * NATRA_HEAVY_WAYS];
	struct natra_heavy_flow *idle = NULL;

#pragma clang loop unroll(full)
	for (__u32 way = 0; way < NATRA_HEAVY_WAYS; way++) {
		struct natra_heavy_flow *slot = &set[way];

		if (slot->hash == hash)
			return slot;
		if (!idle && (!slot->hash || sub_floor(now, slot->last_ns) > HEAVY_IDLE_NS))
			idle = slot;
	}
	if (!may_take)
		return NULL;
	if (!idle) {
		__sync_fetch_and_add(&state.heavy_table_misses, 1);
		return NULL;
	}
	heavy_take(idle, flow, hash, now);
	return idle;
}

inline_fn void heavy_record_drop(struct natra_heavy_flow *slot, __u64 now, __u64 len)
{
	slot->last_ns = now;
	slot->dropped_packets++;
	slot->dropped_bytes += len;
}

inline_fn void heavy_record_pass(struct natra_heavy_flow *slot, __u64 now, __u64 len, int marked)
{
	__u64 age = sub_floor(now, slot->window_start_ns);

	if (age >= HEAVY_WINDOW_NS) {
		__u64 adjacent = age < 2 * HEAVY_WINDOW_NS;

		slot->previous_window_bytes = adjacent ? slot->window_bytes : 0;
		slot->window_bytes = 0;
		slot->window_start_ns = adjacent ? slot->window_start_ns + HEAVY_WINDOW_NS : now;
	}
	slot->last_ns = now;
	slot->packets++;
	slot->bytes += len;
	slot->window_bytes += len;
	if (marked)
		slot->marked_packets++;
}

#endif
