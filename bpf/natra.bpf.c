// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Holds one direction of one pod at its rate without delaying its small flows.
 * docs/developers/datapath.md has the algorithm and its reasons; natra_abi.h
 * what natrad shares with this program.
 */
#include "activity.h"
#include "aqm.h"
#include "base.h"
#include "clocks.h"
#include "counters.h"
#include "fairness.h"
#include "flow.h"
#include "heavy_table.h"
#include "met.h"
#include "pace.h"
#include "parse.h"
#include "sketch.h"
#include "subnets.h"

struct natra_state state;

/*
 * What the segments of a GSO packet have on the wire beyond skb->len: headers,
 * but for the first segment's. How long these are is read up to the outermost
 * transport header. A tunnel's inner ones are what the lengths leave over if
 * all segments are full, as those of a bulk transfer are; a shorter last one
 * makes that too little, never too much.
 */
inline_fn __u64 repeated_headers(const struct __sk_buff *skb, const struct packet *p)
{
	__u64 len = skb->len;
	__u64 size = skb->gso_size;
	__u64 segments = skb->gso_segs;
	__u64 header = p->header_len;

	/* a virtual machine's packets, before the kernel itself has looked at them */
	if (!segments)
		segments = (sub_floor(len, header) + size - 1) / size;
	if (segments < 2)
		return 0;
	return (segments - 1) * max_u64(header, sub_floor(len, segments * size));
}

/*
 * Bytes on the wire. At egress the kernel has put that into wire_len, GSO
 * headers included, but before 6.19 no inner headers of a tunnel. At ingress
 * wire_len lacks the Ethernet header, which skb->len has in here, and before
 * 6.19 the headers of all segments but one.
 */
inline_fn __u64 wire_length(const struct __sk_buff *skb, const struct packet *p)
{
	__u64 len = skb->len;
	__u64 wire_len = skb->wire_len;

	if (skb->gso_size)
		len += repeated_headers(skb, p);
	if (wire_len > len)
		len = wire_len;
	return min_u64(len, MAX_LEN);
}

/* See NATRA_HTB_BY_FILTER. */
inline_fn void set_class(struct __sk_buff *skb, const struct natra_config *config, __u32 minor)
{
	__u32 own;

	if (config->mode != NATRA_MODE_HTB)
		return;
	own = skb->priority;
	skb->cb[NATRA_HTB_KEPT_CB] = own ^ NATRA_HTB_KEPT;
	skb->cb[NATRA_HTB_KEPT_CB + 1] = own;
	skb->priority = NATRA_HTB_MAJOR << 16 | NATRA_HTB_BY_FILTER | minor;
}

/*
 * The paced packet waits so long: in fq (EDT) or in HTB's heavy class. A later
 * time of its own (TCP's pacing) holds.
 */
inline_fn void set_departure(struct __sk_buff *skb, const struct natra_config *config, __u64 now, __u64 wait)
{
	__u64 departure = now + min_u64(wait, NATRA_EDT_MAX_NS);
	__u64 own;

	if (config->mode != NATRA_MODE_EDT)
		return;
	own = skb->tstamp;
	if (own > departure && own <= now + FOREIGN_TSTAMP_NS)
		departure = own;
	skb->tstamp = departure;
}

/*
 * SO_TXTIME takes other clocks than fq's: their times are beyond its horizon,
 * and it would drop the packet. Times that it takes (TCP's pacing) hold.
 */
inline_fn void replace_foreign_time(struct __sk_buff *skb, __u64 now)
{
	if (skb->tstamp > now + FOREIGN_TSTAMP_NS)
		skb->tstamp = now;
}

/* A packet that leaves without waiting for the clock of the rate. */
inline_fn void pass_at_once(struct __sk_buff *skb, const struct natra_config *config, __u64 now)
{
	if (config->mode == NATRA_MODE_EDT)
		replace_foreign_time(skb, now);
}

/*
 * The verdict for a packet that is refused. TC_ACT_SHOT tells a local socket:
 * to TCP that is no loss, which it answers as it answers those of a network, but
 * a reason to send the same packet again when the next ACK comes, or half a second
 * later. A redirection to no device loses it silently, with clsact and with tcx.
 */
inline_fn int refuse(const struct natra_config *config)
{
	if (config->flags & NATRA_F_LOSE)
		return bpf_redirect(0, 0);
	return VERDICT_DROP;
}

/* A packet's flow, and how it stands. */
struct standing {
	struct cells cells;
	struct encounter encounter;
	__u64 progress; /* of the queue of heavy packets */
	__u64 estimate; /* cell units, this packet included */
	__u64 tau;
	__u64 waits; /* packets of the flow wait still */
};

/* Fills *s, and *t but for now and len; notes that the flow was met. */
inline_fn void judge(const struct natra_config *config, __u64 hash, struct turn *t, struct standing *s)
{
	__u64 is_small = t->len <= SMALL_PACKET_BYTES;
	__u64 price;

	s->progress = queue_progress(config, t->now);
	meet(hash, t->now, s->progress, &s->encounter);
	t->hash = opaque(s->encounter.met ? hash : HASH_STRANGERS);
	t->flows = opaque(flows_with(t->hash, t->now));
	t->price = price_of(config, t->len, t->flows);
	price = opaque(is_small ? small_price_of(config, t->len, t->price) : t->price);
	s->tau = sketch_tau(config, t->flows);
	s->estimate = opaque(sketch_read(config, hash, t->now, &s->cells) + price);
	t->bulk = opaque(s->estimate > s->tau);
	if (!s->encounter.met)
		t->bulk = opaque(t->bulk | strangers_charge(config, is_small, price, s->tau, t->now));
	s->waits = opaque(still_waits(&s->encounter.entry->until, s->progress));
}

/* 1 if the packet passes at once; it is charged then. */
inline_fn __u64 pass_small(const struct natra_config *config, const struct turn *t, const struct standing *s)
{
	__u64 cost, start;

	if (t->bulk || s->waits || !small_claim(config, t->now, t->len))
		return 0;
	cost = charge_of(t->len, config->total_mult, config->total_shift, dither_of(t->now));
	start = clock_claim(&state.total_clock_ns, READ_ONCE(state.total_clock_ns), sub_floor(t->now, config->burst_ns),
			    ~0ULL, cost);
	queue_overtake(config, t->now, opaque(start), cost);
	sketch_store(&s->cells, s->estimate, ~0ULL);
	if (!s->encounter.met)
		fair_charge(config, t);
	return 1;
}

SEC("tc")
int natra(struct __sk_buff *skb)
{
	__u64 config_index = READ_ONCE(state.active_config);
	const struct natra_config *config = config_at(config_index);
	struct natra_heavy_flow *slot;
	struct packet p;
	struct turn t;
	struct standing s;
	__u64 hash, paced, waits, result, ceiling;

	if (config->mode == NATRA_MODE_OFF) {
		if (config->flags & NATRA_F_AT_ONCE)
			/* not 0: to that fq applies TCP's pacing by itself */
			skb->tstamp = bpf_ktime_get_ns();
		else if (skb->tstamp)
			/* fq may be there still, as on the way from EDT to something else */
			replace_foreign_time(skb, bpf_ktime_get_ns());
		return VERDICT_PASS;
	}

	t.now = bpf_ktime_get_ns();
	parse(skb, config, &p);
	if (state.subnets.mode != NATRA_SUBNETS_ANY && !is_shaped(config, &p)) {
		set_class(skb, config, NATRA_HTB_DIRECT_MINOR);
		pass_at_once(skb, config, t.now);
		return VERDICT_PASS;
	}
	hash = flow_hash(&p.flow);
	t.len = wire_length(skb, &p);
	judge(config, hash, &t, &s);

	if (pass_small(config, &t, &s)) {
		set_class(skb, config, NATRA_HTB_SMALL_MINOR);
		pass_at_once(skb, config, t.now);
		count(config, &cpu_counters()->fast_packets, t.len);
		return VERDICT_PASS;
	}

	/* a flow that has sent little so far may go no further */
	if (t.bulk || s.estimate > config->tau_flow * t.flows >> 3)
		activity_note(config_index, t.hash, t.now);
	t.ecn = p.ecn;
	paced = pace(skb, config_index, &t);
	result = paced & ((1 << PACE_RESULT_BITS) - 1);
	waits = paced >> PACE_RESULT_BITS;
	/* cut, so that a flow that stops is small again soon */
	ceiling = s.tau + config->excess_cap;
	sketch_store(&s.cells, min_u64(s.estimate, ceiling), ceiling);

	/* the table is for flows that are heavy themselves, not for those that met a full allowance */
	slot = heavy_slot(&p.flow, hash, t.now, t.bulk);
	if (result == PACE_DROP) {
		if (slot)
			heavy_record_drop(slot, t.now, t.len);
		return refuse(config);
	}
	if (slot)
		heavy_record_pass(slot, t.now, t.len, result == PACE_PASS_MARKED);
	set_until(config, &s.encounter.entry->until, s.progress, waits);
	set_class(skb, config, NATRA_HTB_HEAVY_MINOR);
	set_departure(skb, config, t.now, waits);
	return VERDICT_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
