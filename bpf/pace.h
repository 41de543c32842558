/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* When a heavy packet may leave, if at all. */
#ifndef NATRA_PACE_H
#define NATRA_PACE_H

#include "aqm.h"
#include "base.h"
#include "clocks.h"
#include "counters.h"
#include "fairness.h"
#include "parse.h"

/*
 * A timestamp further ahead is of another clock, or of a sender that saves up its
 * rate to use it at once; TCP's pacing sets none.
 */
#define FOREIGN_TSTAMP_NS (2 * NSEC_PER_SEC)

enum pace_result {
	PACE_PASS,
	PACE_PASS_MARKED,
	PACE_DROP,
};

/* A heavy packet and the state of its flow. */
struct turn {
	__u64 now;
	__u64 len;
	__u64 hash;  /* of the flow to fairness */
	__u64 flows; /* that compete */
	__u64 price; /* see sketch.h; not reduced for small packets */
	__u64 bulk;  /* the flow is heavy for good, not just for the moment: it has sent T beyond its share */
	__u64 ecn;
};

/* Fields of the number that pace() hands over, from the lowest bits on; above them is the configuration's index. */
enum {
	PACE_LEN_BITS = 20,
	PACE_FLOWS_BITS = 10,
	PACE_BULK_BITS = 1,
	PACE_ECN_BITS = 2,
};
_Static_assert(NATRA_MAX_FLOWS < 1 << PACE_FLOWS_BITS, "n has to fit");

/* Costs are computed in 64 bits for at most this many bytes, see natra_config. */
#define MAX_LEN ((1U << PACE_LEN_BITS) - 1)

#define PACE_RESULT_BITS 2

/*
 * The latest start of a heavy packet, its own cost excluded: at tiny rates one
 * segment outlasts any horizon. Flows that are not bulk have room beyond the
 * others' end.
 */
inline_fn __u64 latest_start(const struct natra_config *config, const struct turn *t)
{
	if (config->mode == NATRA_MODE_POLICE)
		return t->now;
	return t->now + config->horizon_ns + (config->horizon_ns >> 2 & (t->bulk - 1));
}

/* Sets CE. False if the packet cannot carry it; a packet that carries it already needs no other sign. */
inline_fn __u64 mark_ce(struct __sk_buff *skb, const struct turn *t)
{
	return t->ecn && bpf_skb_ecn_set_ce(skb);
}

/* Strangers are one flow to fairness, and whichever way they go. */
inline_fn void fair_charge(const struct natra_config *config, const struct turn *t)
{
	struct cells fair;
	__u64 excess = fair_read(config, t->hash, t->now, &fair) + fair_part(t->price);

	fair_raise(&fair, excess, fair_bound(config, t->flows));
}

/* What the queue has to say about a heavy packet. */
struct verdict {
	__u64 refused;
	__u64 marked;
};

/*
 * A flow is unfair that is further ahead of its fair share than the bound: now
 * and then at first, always from twice the bound on. So a flow that listens to a
 * loss loses one packet, and one that does not listen loses what is too much.
 */
inline_fn __u64 is_unfair(const struct turn *t, __u64 excess, __u64 bound)
{
	return t->flows > 1 && excess > bound + (bound * (dither_of(t->now) >> 32 & 255) >> 8);
}

/*
 * The delay above which unfair flows lose packets. Others with short windows wait
 * behind what a stubborn one keeps in the queue.
 */
inline_fn __u64 unfair_above(__u64 target, __u64 excess, __u64 bound)
{
	return excess > STUBBORN * bound ? target >> 1 : target << 1;
}

/* delay: of the packet, before its own bytes. Marks come first, then losses. */
inline_fn void ask_queue(struct __sk_buff *skb, const struct natra_config *config, const struct turn *t, __u64 delay,
			 __u64 excess, __u64 bound, struct verdict *v)
{
	__u64 unfair = is_unfair(t, excess, bound);
	__u64 mark_above = t->ecn == ECN_L4S ? config->l4s_ns : config->ce_ns;
	__u64 target = config->aqm_target_ns;

	if (delay > mark_above >> unfair)
		v->marked = mark_ce(skb, t);
	if (unfair && (!v->marked || excess > MARKS_IGNORED * bound) && delay > unfair_above(target, excess, bound)) {
		v->refused = 1;
		return;
	}
	if (!aqm_due(config, t->now, delay) || v->marked || !t->bulk)
		return;
	/* the drop is for a flow that has more than its share in the queue, unless there is none for long */
	if (t->flows < 2 || excess > fair_part(t->price) || delay > 2 * target) {
		aqm_dropped(config, t->now, delay, t->flows);
		v->refused = 1;
	}
}

/* The packet's own wait, of one by the clock of the rate: policed packets leave at once or never. */
inline_fn __u64 wait_in(const struct natra_config *config, __u64 wait)
{
	/* all ones but in police mode, without a branch */
	__s64 queued = (__s64)((__u64)config->mode - NATRA_MODE_POLICE) >> 63;

	asm("" : "+r"(queued));
	return wait & queued;
}

/*
 * The packet waits until the total clock, its own bytes included, is at most
 * burst_ns ahead, hence not at all or until it would be through a link of that
 * rate. Refused packets are charged nowhere.
 */
inline_fn __u64 pace_turn(struct __sk_buff *skb, const struct natra_config *config, const struct turn *t, __u64 *wait)
{
	__u64 cost = charge_of(t->len, config->total_mult, config->total_shift, dither_of(t->now));
	__u64 earliest = sub_floor(t->now, config->burst_ns);
	__u64 latest = latest_start(config, t);
	__u64 seen = READ_ONCE(state.total_clock_ns);
	__u64 start = max_u64(seen, earliest);
	struct verdict verdict = {};
	struct cells fair;
	__u64 bound, excess, departure;

	if (start > latest) {
		aqm_overflowed(t->now, sub_floor(start, t->now), t->flows);
		return PACE_DROP;
	}
	bound = fair_bound(config, t->flows);
	excess = opaque(fair_read(config, t->hash, t->now, &fair));
	if (config->mode != NATRA_MODE_POLICE)
		ask_queue(skb, config, t, sub_floor(start, t->now), excess, bound, &verdict);
	else if (is_unfair(t, excess, bound))
		/* there is no queue to mark for: a flow beyond its share pays once half the bucket is gone */
		verdict.refused = start > sub_floor(t->now, config->burst_ns >> 1);
	if (opaque(verdict.refused))
		return PACE_DROP;
	start = clock_claim(&state.total_clock_ns, seen, earliest, latest, cost);
	if (start == CLAIM_REFUSED)
		return PACE_DROP;
	fair_raise(&fair, excess + fair_charge_of(t->price, sub_floor(start, t->now) > 2 * config->aqm_target_ns),
		   bound);
	departure = max_u64(start, sub_floor(start + cost, config->burst_ns));
	*wait = wait_in(config, sub_floor(departure, t->now));
	return opaque(verdict.marked) && t->ecn != ECN_CE ? PACE_PASS_MARKED : PACE_PASS;
}

inline_fn __u64 pace_take(__u64 *info, __u32 bits)
{
	__u64 value = *info & ((1ULL << bits) - 1);

	*info >>= bits;
	return value;
}

inline_fn void count_turn(const struct natra_config *config, const struct turn *t, __u64 result, __u64 wait)
{
	struct natra_counters *counters = cpu_counters();

	if (!t->bulk)
		count(config, &counters->spilled_packets, t->len);
	if (result == PACE_DROP) {
		count(config, &counters->dropped_packets, t->len);
		return;
	}
	if (result == PACE_PASS_MARKED)
		count(config, &counters->marked_packets, t->len);
	count(config, &counters->paced_packets, t->len);
	count_wait(config, counters, wait);
}

separate_fn __u64 pace_apart(struct __sk_buff *skb, __u64 now, __u64 hash, __u64 price, __u64 info)
{
	struct turn t = {.now = now, .hash = hash, .price = price};
	const struct natra_config *config;
	__u64 result, wait = 0;

	t.len = pace_take(&info, PACE_LEN_BITS);
	t.flows = pace_take(&info, PACE_FLOWS_BITS);
	t.bulk = pace_take(&info, PACE_BULK_BITS);
	t.ecn = pace_take(&info, PACE_ECN_BITS);
	config = config_at(info);
	result = pace_turn(skb, config, &t, &wait);
	count_turn(config, &t, result, wait);
	return wait << PACE_RESULT_BITS | result;
}

/*
 * Lets the packet pass or refuses it, and counts it. Returns the result, and above
 * it the wait in ns. config_index: of the configuration that the packet has met.
 */
inline_fn __u64 pace(struct __sk_buff *skb, __u64 config_index, const struct turn *t)
{
	__u64 info = config_index & 1;

	info = info << PACE_ECN_BITS | t->ecn;
	info = info << PACE_BULK_BITS | t->bulk;
	info = info << PACE_FLOWS_BITS | t->flows;
	info = info << PACE_LEN_BITS | t->len;
	return pace_apart(skb, t->now, t->hash, t->price, info);
}

#endif
