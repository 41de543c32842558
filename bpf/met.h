/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The flows that were met before: a set-associative table with a fingerprint of
 * each. It knows two things.
 *
 * Strangers: anybody can make new flows by the thousand, so all that
 * were not met before are one flow together: to the count of flows, to the fair
 * shares and to the sketch, where two clocks stand for them, of small packets and
 * of others. A flow that was met twice keeps its entry while it goes on; another
 * one may be replaced.
 *
 * Flows whose packets still wait: a later packet of such a flow waits, too, however
 * little the flow takes, or it would overtake them.
 */
#ifndef NATRA_MET_H
#define NATRA_MET_H

#include "base.h"
#include "flow.h"

#define MET_TICK_SHIFT 26 /* 67 ms */
#define MET_TICKS 0x7fffU
#define MET_FORGOTTEN 64U /* ticks: 4.3 s */
#define MET_RESTS 8U      /* ticks: 0.5 s */
#define MET_SETS (NATRA_MET_SLOTS / 2)
/* A tag: 16 bits of fingerprint, 15 of the tick when the flow was seen last, and whether it was seen twice. */
#define MET_AGAIN 1U
#define MET_FINGERPRINT 0xffff0000U

#define UNTIL_SHIFT 10 /* ns -> units of natra_met.until */
#define UNTIL_MOST (1U << 24)
#define UNTIL_PAST (1U << 23)
#define UNTIL_LONG_PAST (1U << 30)
/* HTB's timer and its turns may add so much to what the total clock says. */
#define HTB_SLACK_NS 1000000ULL

/*
 * How far the queue of heavy packets has come. With EDT that is now. HTB sends
 * small packets first: the heavy ones behind stand still for as long as that takes.
 */
inline_fn __u64 queue_progress(const struct natra_config *config, __u64 now)
{
	if (config->mode == NATRA_MODE_HTB)
		now -= READ_ONCE(state.overtaken_ns);
	return now;
}

/*
 * A small packet overtakes the queue, if there is one: if the total clock was
 * ahead of now. start: of the packet by that clock.
 */
inline_fn void queue_overtake(const struct natra_config *config, __u64 now, __u64 start, __u64 cost)
{
	if (config->mode != NATRA_MODE_HTB || start + HTB_SLACK_NS < now)
		return;
	__sync_fetch_and_add(&state.overtaken_ns, cost);
}

/* Notes where the queue is when the packet has left that waits so long: in whole units, not before. */
inline_fn void set_until(const struct natra_config *config, __u32 *until, __u64 progress, __u64 waits)
{
	/* longer than a unit can tell, and EDT lets nothing wait longer */
	waits = min_u64(waits, NATRA_EDT_MAX_NS);
	if (config->mode == NATRA_MODE_HTB)
		waits += HTB_SLACK_NS;
	*until = ((progress + waits) >> UNTIL_SHIFT) + (-waits >> 63);
}

/*
 * 1 if the packet that waits until then is still there. If not it is forgotten:
 * small packets may set HTB's queue back behind where it was.
 */
inline_fn __u64 still_waits(__u32 *until, __u64 progress)
{
	__u32 ahead = *until - (__u32)(progress >> UNTIL_SHIFT);

	if (ahead - 1 < UNTIL_MOST)
		return 1;
	/* but one so long ago that it would seem to come would the time wrap */
	if (-ahead - UNTIL_PAST > UNTIL_LONG_PAST)
		*until = (__u32)(progress >> UNTIL_SHIFT) - UNTIL_PAST;
	return 0;
}

inline_fn __u32 met_age(__u32 tag, __u32 tick)
{
	return (tick - (tag >> 1)) & MET_TICKS;
}

/* The entry found. No branch tells the verifier which way was taken. */
struct encounter {
	struct natra_met *entry; /* of a stranger that there is no room for: the last one, which all those share */
	__u64 met;               /* 1: the flow was met in the last seconds */
};

/* 1 if the entry is the flow's own. */
inline_fn __u64 is_own(const struct natra_met *entry, __u32 fingerprint, __u32 tick)
{
	return (entry->tag & MET_FINGERPRINT) == fingerprint && met_age(entry->tag, tick) <= MET_FORGOTTEN;
}

/* 1 if a stranger may take the entry. */
inline_fn __u64 has_room(struct natra_met *entry, __u32 tick, __u64 now, __u64 progress)
{
	__u32 age = met_age(entry->tag, tick);

	if (age > MET_FORGOTTEN)
		return 1;
	/*
	 * Not each packet of a flood takes the place of the one before it, or no flow would be met twice. A flow
	 * that goes on keeps its place; one that rests loses it seldom, but does not hold it against many for ever.
	 */
	if (entry->tag & MET_AGAIN ? age < MET_RESTS || now & 0xff << 5 : !age && now & 7 << 5)
		return 0;
	return !still_waits(&entry->until, progress);
}

/* The slot that a stranger takes in the set: the last one of all if there is no room. */
inline_fn __u64 make_room(__u32 set, __u32 tick, __u64 now, __u64 progress)
{
	for (__u32 way = 0; way < 2; way++) {
		struct natra_met *entry = &state.met[set + way];

		if (!has_room(entry, tick, now, progress))
			continue;
		entry->until = (__u32)(progress >> UNTIL_SHIFT) - UNTIL_PAST;
		return set + way;
	}
	return NATRA_MET_SLOTS;
}

/* Looks the flow up, and notes that it is met now. */
inline_fn void meet(__u64 hash, __u64 now, __u64 progress, struct encounter *e)
{
	__u32 set = (hash >> HASH_MET_SHIFT & (MET_SETS - 1)) * 2;
	__u32 tick = now >> MET_TICK_SHIFT & MET_TICKS;
	__u32 fingerprint = hash >> 32 & MET_FINGERPRINT;
	__u64 slot = set;

	e->met = 1;
	if (!is_own(&state.met[set], fingerprint, tick)) {
		slot = set + 1;
		if (!is_own(&state.met[set + 1], fingerprint, tick)) {
			slot = make_room(set, tick, now, progress);
			e->met = 0;
		}
	}
	e->met = opaque(e->met);
	slot = opaque(slot);
	/* or the compiler leaves out the mask, without which 5.10 knows no bound */
	asm("" : "+r"(slot));
	/* the bound is for the verifier */
	e->entry = &state.met[slot & (2 * NATRA_MET_SLOTS - 1)];
	e->entry->tag = fingerprint | tick << 1 | e->met;
}

/*
 * Charges a stranger's packet to the clock of its kind. 1 if strangers take more
 * than a flow may: the packet is heavy, and charged nothing.
 */
inline_fn __u64 strangers_charge(const struct natra_config *config, __u64 is_small, __u64 price, __u64 threshold,
				 __u64 now)
{
	__u64 *clock = &state.stranger_clock[is_small ? 0 : 1];
	__u64 units = now >> config->unit_shift;
	__u64 ahead = sub_floor(READ_ONCE(*clock), units);

	/* left over from a configuration with other units */
	if (ahead > config->guard)
		ahead = 0;
	if (ahead + price > threshold)
		return 1;
	WRITE_ONCE(*clock, units + ahead + price);
	return 0;
}

#endif
