// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Holds one direction of one pod at its rate without delaying its small flows.
 * docs/developers/datapath.md has the algorithm and its reasons; natra_abi.h
 * what natrad shares with this program.
 */
#include "base.h"
#include "clocks.h"
#include "counters.h"
#include "fairness.h"
#include "flow.h"
#include "heavy_table.h"
#include "pace.h"
#include "parse.h"
#include "sketch.h"

struct natra_state state;

/* Costs are computed in 64 bits for at most this many bytes, see natra_config. */
#define MAX_LEN ((1U << 20) - 1)

/*
 * Bytes on the wire. At egress the kernel has put that into wire_len, GSO
 * headers included. At ingress wire_len lacks the Ethernet header, which
 * skb->len has in here, and before 6.19 the headers of all segments but one.
 */
inline_fn __u32 wire_length(const struct __sk_buff *skb, const struct natra_config *config, const struct packet *p)
{
	__u32 len = skb->len;
	__u32 wire_len = skb->wire_len;

	if (config->flags & NATRA_F_INGRESS_HOOK) {
		__u32 segments = skb->gso_segs;

		if (segments > 1)
			len += (segments - 1) * p->header_len;
	}
	if (wire_len > len)
		len = wire_len;
	return len < MAX_LEN ? len : MAX_LEN;
}

inline_fn void set_class(struct __sk_buff *skb, const struct natra_config *config, __u32 minor)
{
	if (config->mode == NATRA_MODE_HTB)
		skb->priority = NATRA_HTB_MAJOR << 16 | minor;
}

/* The paced packet waits for its departure: in fq (EDT) or in HTB's heavy class. */
inline_fn void set_departure(struct __sk_buff *skb, const struct natra_config *config, __u64 now, __u64 departure)
{
	__u64 own;

	if (config->mode != NATRA_MODE_EDT)
		return;
	own = skb->tstamp;
	if (own > now + FOREIGN_TSTAMP_NS)
		own = 0;
	skb->tstamp = max_u64(own, max_u64(now, min_u64(departure, now + NATRA_EDT_MAX_NS)));
}

/*
 * What the sketch keeps of a heavy packet. Estimates are cut so that a flow
 * that stops is small again soon; but as long as its packets wait it stays
 * heavy, or later ones would overtake them. The cost of one small packet is
 * taken off: an exchange that was delayed once is small again when the delayed
 * packet has left, not kept heavy by the delay itself. tau rather than the
 * threshold of the moment, which may rise meanwhile, and which then lets go of
 * the many heavy flows that each stay below phi*R.
 */
inline_fn __u32 heavy_estimate(const struct natra_config *config, __u64 estimate, __u64 now, __u32 len,
			       __u64 departure)
{
	__u64 ceiling = (__u64)config->tau + config->excess_cap;
	__u64 waits = min_u64(sub_floor(departure, now), NATRA_EDT_MAX_NS) >> config->unit_shift;

	estimate = min_u64(estimate, ceiling);
	/* policed packets leave at once or never */
	if (!waits || config->mode == NATRA_MODE_POLICE)
		return estimate;
	if (len > SMALL_PACKET_BYTES)
		len = SMALL_PACKET_BYTES;
	waits += sub_floor(config->tau, cost_of(len, config->cell_mult, config->cell_shift));
	return max_u64(estimate, waits);
}

/* What natra_limit() needs to know of a packet beside its flow's hash. */
#define TRAIT_TCP (1U << 0)
#define TRAIT_PURE_ACK (1U << 1)
#define TRAIT_ECN_SHIFT 2

inline_fn __u32 traits_of(const struct packet *p)
{
	return (p->flow.key.protocol == PROTO_TCP ? TRAIT_TCP : 0) | (p->pure_ack ? TRAIT_PURE_ACK : 0) |
	       (__u32)p->ecn << TRAIT_ECN_SHIFT;
}

/* natra_limit()'s answer */
#define LIMIT_DROP (1U << 0)
#define LIMIT_MARKED (1U << 1)
#define LIMIT_UNLISTED (1U << 2) /* the flow is heavy and has no slot in the table yet */

/*
 * Decides about one packet. A global function, because the verifier checks
 * those once, for any arguments, and not again for every way through the
 * parser: 14 000 instructions to check instead of 117 000. Kernels before 5.13
 * allow no pointer but skb as argument.
 */
__noinline int natra_limit(struct __sk_buff *skb, __u64 hash, __u32 len, __u32 traits)
{
	const struct natra_config *config = &state.config[READ_ONCE(state.active_config) & 1];
	struct natra_counters *counters = cpu_counters();
	__u64 now = bpf_ktime_get_ns();
	__u64 departure = 0, estimate = 0;
	struct natra_heavy_flow *slot;
	struct sketch_view view;
	__u32 ahead, flows = 0;
	int heavy, result, answer = 0;

	/*
	 * ACKs of a bulk transfer the other way are many, but holding them back
	 * would throttle that transfer: they leave no trace in the sketch.
	 */
	ahead = sketch_read(config, hash, now, &view);
	if (!(traits & TRAIT_PURE_ACK) || len > SMALL_PACKET_BYTES)
		estimate = ahead + cost_of(len, config->cell_mult, config->cell_shift);
	heavy = estimate > sketch_threshold(config, now);

	if (!heavy && small_claim(config, now, len)) {
		clock_claim(&state.total_clock_ns, READ_ONCE(state.total_clock_ns), sub_floor(now, config->burst_ns),
			    ~0ULL, cost_of(len, config->total_mult, config->total_shift));
		sketch_raise(&view, estimate);
		set_class(skb, config, NATRA_HTB_SMALL_MINOR);
		count(config, &counters->fast_packets, len);
		return 0;
	}

	if (heavy)
		flows = heavy_flows_active(hash, now);
	else
		count(config, &counters->spilled_packets, len);
	result = pace(skb, config, traits & TRAIT_TCP, traits >> TRAIT_ECN_SHIFT & ECN_MASK, hash, now, len, flows,
		      &departure);
	if (estimate)
		sketch_raise(&view, heavy_estimate(config, estimate, now, len, departure));

	slot = heavy_find(hash);
	/* the table is for flows that are heavy themselves, not for those that met a full allowance */
	if (!slot && heavy)
		answer |= LIMIT_UNLISTED;
	if (result == PACE_DROP) {
		if (slot)
			heavy_record_drop(slot, now, len);
		count(config, &counters->dropped_packets, len);
		return answer | LIMIT_DROP;
	}
	if (result == PACE_PASS_MARKED) {
		count(config, &counters->marked_packets, len);
		answer |= LIMIT_MARKED;
	}
	if (slot)
		heavy_record_pass(slot, now, len, result == PACE_PASS_MARKED);
	count(config, &counters->paced_packets, len);
	set_class(skb, config, NATRA_HTB_HEAVY_MINOR);
	set_departure(skb, config, now, departure);
	return answer;
}

SEC("tc")
int natra(struct __sk_buff *skb)
{
	const struct natra_config *config = &state.config[READ_ONCE(state.active_config) & 1];
	struct packet p;
	__u64 hash;
	__u32 len;
	int answer;

	if (config->mode == NATRA_MODE_OFF)
		return VERDICT_PASS;
	parse(skb, &p);
	hash = flow_hash(&p.flow);
	len = wire_length(skb, config, &p);
	answer = natra_limit(skb, hash, len, traits_of(&p));
	if (answer & LIMIT_UNLISTED)
		heavy_list(&p.flow, hash, len, answer & LIMIT_DROP, !!(answer & LIMIT_MARKED));
	return answer & LIMIT_DROP ? VERDICT_DROP : VERDICT_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
