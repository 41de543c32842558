/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* When a heavy packet may leave, if at all. */
#ifndef NATRA_PACE_H
#define NATRA_PACE_H

#include "base.h"
#include "clocks.h"
#include "fairness.h"
#include "parse.h"

/* A timestamp further ahead is of another clock; fq drops what is further ahead than this. */
#define FOREIGN_TSTAMP_NS (10 * NSEC_PER_SEC)

/* A flow that is so many times further ahead than it may be does not listen to marks. */
#define MARKS_IGNORED 4

enum pace_result {
	PACE_PASS,
	PACE_PASS_MARKED,
	PACE_DROP,
};

/* The latest start of a heavy packet, its own cost excluded: at tiny rates one segment outlasts any horizon. */
inline_fn __u64 latest_start(const struct natra_config *config, const struct packet *p, __u64 now)
{
	if (config->mode == NATRA_MODE_POLICE)
		return now;
	return now + (p->flow.key.protocol == PROTO_TCP ? config->horizon_tcp_ns : config->horizon_other_ns);
}

/* Sets CE. False if the packet cannot carry it; a packet that carries it already needs no other sign. */
inline_fn __u64 mark_ce(struct __sk_buff *skb, const struct packet *p)
{
	return p->ecn && bpf_skb_ecn_set_ce(skb);
}

/*
 * flows: heavy flows that share the rate, 0 to leave fairness out. *departure
 * is set if the packet passes and may lie in the past: a packet leaves when the
 * total clock, its own bytes included, is at most burst_ns ahead, hence at once
 * or when it would be through a link of that rate. Refused packets are charged
 * nowhere.
 */
inline_fn __u64 pace(struct __sk_buff *skb, const struct natra_config *config, const struct packet *p, __u64 hash,
		     __u64 now, __u64 len, __u64 flows, __u64 *departure)
{
	__u64 cost = charge_of(len, config->total_mult, config->total_shift, dither_of(now));
	__u64 earliest = sub_floor(now, config->burst_ns);
	__u64 latest = latest_start(config, p, now);
	__u64 seen = READ_ONCE(state.total_clock_ns);
	__u64 start = max_u64(seen, earliest);
	__u64 excess = opaque(0), marked = opaque(0);
	__u64 unfair;

	if (start > latest)
		return PACE_DROP;
	if (flows > 1)
		excess = fair_excess(hash, now);
	unfair = excess > config->fair_ns;
	if (config->mode == NATRA_MODE_POLICE) {
		/* no queue that a mark could tell of: who has more than a share pays once half the bucket is gone */
		if (unfair && start > sub_floor(now, config->burst_ns >> 1))
			return PACE_DROP;
	} else if (start > now + (unfair ? config->ce_ns >> 1 : config->ce_ns)) {
		marked = mark_ce(skb, p);
		if (unfair && (!marked || excess > MARKS_IGNORED * config->fair_ns))
			return PACE_DROP;
	}
	start = clock_claim(&state.total_clock_ns, seen, earliest, latest, cost);
	if (start == CLAIM_REFUSED)
		return PACE_DROP;
	if (flows)
		fair_charge(hash, now, cost, flows);
	*departure = max_u64(start, sub_floor(start + cost, config->burst_ns));
	return marked && p->ecn != ECN_CE ? PACE_PASS_MARKED : PACE_PASS;
}

#endif
