/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The number of flows that compete for the rate: flows with a packet on the
 * heavy path in this epoch or in the one before it, counted by a bitmap that
 * the flow's hash indexes (linear counting).
 *
 * An epoch lasts for four packets of each flow, so that it sees nearly all of
 * them at any rate, within bounds of time. Plain stores, but for its start: two
 * CPUs that meet may count a bit twice until the next epoch begins.
 */
#ifndef NATRA_ACTIVITY_H
#define NATRA_ACTIVITY_H

#include "base.h"
#include "flow.h"

#define EPOCH_PACKETS_PER_FLOW 4
#define EPOCH_MIN_NS 250000000ULL

/* Flows behind so many set bits of the bitmap: the first terms of -m ln(1 - bits/m). */
inline_fn __u64 flows_of_bits(__u64 bits)
{
	__u64 square = bits * bits;

	return bits + (square >> (NATRA_ACTIVITY_SHIFT + 1)) + (square * bits / 3 >> 2 * NATRA_ACTIVITY_SHIFT);
}

/* The longest time that an epoch may take with so many flows, in ns. */
inline_fn __u64 epoch_longest(const struct natra_config *config, __u64 flows)
{
	return min_u64(max_u64(flows * config->epoch_flow_ns, config->epoch_min_ns), config->epoch_max_ns);
}

inline_fn __u64 activity_bit(__u64 hash)
{
	return 1ULL << (hash >> HASH_ACTIVITY_SHIFT & 63);
}

inline_fn __u64 activity_word(__u64 hash)
{
	return hash >> (HASH_ACTIVITY_SHIFT + 6) & (NATRA_ACTIVITY_WORDS - 1);
}

/* Competing flows, this one included whether it was noted or not: 1 to NATRA_MAX_FLOWS. */
inline_fn __u64 flows_with(__u64 hash, __u64 now)
{
	const struct natra_activity *activity = &state.activity;
	__u64 word = activity_word(hash);
	__u64 noted = (activity->seen[0][word] | activity->seen[1][word]) >> (hash >> HASH_ACTIVITY_SHIFT & 63) & 1;
	__u64 flows = READ_ONCE(activity->flows) + (noted ^ 1);
	/* all ones while the count holds */
	__s64 valid = (__s64)(now - READ_ONCE(activity->until_ns)) >> 63;

	asm("" : "+r"(valid));
	return min_u64(max_u64(flows & valid, 1), NATRA_MAX_FLOWS);
}

/* The count of flows that follows from the bits. It holds for two epochs, or what is noted last would be lost early. */
inline_fn void activity_count(const struct natra_config *config, struct natra_activity *activity)
{
	__u64 flows = flows_of_bits(activity->bits);

	WRITE_ONCE(activity->flows, flows);
	WRITE_ONCE(activity->until_ns, activity->start_ns + 2 * epoch_longest(config, flows));
}

inline_fn void activity_clear(__u64 *words)
{
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < NATRA_ACTIVITY_WORDS; i++)
		words[i] = 0;
}

/* 1 for the CPU that begins the epoch. Before Linux 5.12 there may be two, and the first one's flows are forgotten. */
inline_fn __u64 activity_claim(struct natra_activity *activity, __u64 start, __u64 now)
{
#ifdef NATRA_NO_FETCH_ATOMICS
	if (READ_ONCE(activity->start_ns) != start)
		return 0;
	WRITE_ONCE(activity->start_ns, now);
	return 1;
#else
	return __sync_val_compare_and_swap(&activity->start_ns, start, now) == start;
#endif
}

/* Begins another epoch if it is time to. */
inline_fn void activity_advance(const struct natra_config *config, struct natra_activity *activity, __u64 now)
{
	__u64 start = READ_ONCE(activity->start_ns);
	__u64 longest = sub_floor(activity->until_ns, start) / 2;
	/* another CPU's epoch may have begun after this packet came */
	__u64 age = sub_floor(now, start);

	if (age < longest && (age < EPOCH_MIN_NS || activity->packets < EPOCH_PACKETS_PER_FLOW * activity->bits))
		return;
	if (!activity_claim(activity, start, now))
		return;
	activity_clear(activity->seen[~activity->epoch & 1]);
	/* nothing for so long: what is in the current epoch is history as well */
	if (age > 2 * longest) {
		activity_clear(activity->seen[activity->epoch & 1]);
		activity->current_bits = 0;
	}
	activity->bits = activity->current_bits;
	activity->current_bits = 0;
	activity->packets = 0;
	activity->epoch++;
	activity_count(config, activity);
}

separate_fn int activity_note_first(__u64 config_index, __u64 hash, __u64 now)
{
	const struct natra_config *config = config_at(config_index);
	struct natra_activity *activity = &state.activity;
	__u64 word = activity_word(hash);
	__u64 bit = activity_bit(hash);
	__u64 *current;

	activity_advance(config, activity, now);
	activity->packets++;
	current = &activity->seen[activity->epoch & 1][word];
	if (*current & bit)
		return 0;
	*current |= bit;
	activity->current_bits++;
	if (activity->seen[~activity->epoch & 1][word] & bit)
		return 0;
	activity->bits++;
	activity_count(config, activity);
	return 0;
}

/* Notes a packet of the flow on the heavy path. Nearly always there is nothing to do but to count it. */
inline_fn void activity_note(__u64 config_index, __u64 hash, __u64 now)
{
	struct natra_activity *activity = &state.activity;
	__u64 noted = activity->seen[activity->epoch & 1][activity_word(hash)] & activity_bit(hash);

	if (noted && now - activity->start_ns < EPOCH_MIN_NS)
		activity->packets++;
	else
		activity_note_first(config_index, hash, now);
}

#endif
