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
#include "subnets.h"

struct natra_state state;

/* Costs are computed in 64 bits for at most this many bytes, see natra_config. */
#define MAX_LEN ((1U << 20) - 1)

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
 * The paced packet waits for its departure: in fq (EDT) or in HTB's heavy class.
 * A later time of its own (TCP's pacing) holds.
 */
inline_fn void set_departure(struct __sk_buff *skb, const struct natra_config *config, __u64 now, __u64 departure)
{
	__u64 own;

	if (config->mode != NATRA_MODE_EDT)
		return;
	if (departure < now)
		departure = now;
	if (departure > now + NATRA_EDT_MAX_NS)
		departure = now + NATRA_EDT_MAX_NS;
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
 * What the sketch keeps of a heavy packet. Estimates are cut so that a flow
 * that stops is small again soon; but as long as its packets wait it stays
 * heavy, or later ones would overtake them. The cost of one small packet is
 * taken off: an exchange that was delayed once is small again when the delayed
 * packet has left, not kept heavy by the delay itself. tau rather than the
 * threshold of the moment, which may rise meanwhile, and which then lets go of
 * the many heavy flows that each stay below phi*R.
 */
inline_fn __u64 heavy_estimate(const struct natra_config *config, __u64 estimate, __u64 len, __u64 waits)
{
	__u64 ceiling = (__u64)config->tau + config->excess_cap;

	if (estimate > ceiling)
		estimate = ceiling;
	if (!waits)
		return estimate;
	waits = min_u64(waits, NATRA_EDT_MAX_NS) >> config->unit_shift;
	if (len > SMALL_PACKET_BYTES)
		len = SMALL_PACKET_BYTES;
	waits += sub_floor(config->tau, cost_of(len, config->cell_mult, config->cell_shift));
	return max_u64(estimate, waits);
}

/* How long the paced packet waits, by the clock of the rate. Policed packets leave at once or never. */
inline_fn __u64 wait_of(const struct natra_config *config, __u64 now, __u64 departure)
{
	/* all ones but in police mode, without a branch */
	__s64 queued = (__s64)((__u64)config->mode - NATRA_MODE_POLICE) >> 63;

	asm("" : "+r"(queued));
	return sub_floor(departure, now) & queued;
}

SEC("tc")
int natra(struct __sk_buff *skb)
{
	const struct natra_config *config = &state.config[READ_ONCE(state.active_config) & 1];
	struct natra_counters *counters;
	struct natra_heavy_flow *slot;
	struct packet p;
	__u64 now, hash, len, ahead, estimate, heavy, flows, departure, waits, result;
	struct sketch_view view;

	if (config->mode == NATRA_MODE_OFF) {
		if (config->flags & NATRA_F_AT_ONCE)
			/* not 0: to that fq applies TCP's pacing by itself */
			skb->tstamp = bpf_ktime_get_ns();
		else if (skb->tstamp)
			/* fq may be there still, as on the way from EDT to something else */
			replace_foreign_time(skb, bpf_ktime_get_ns());
		return VERDICT_PASS;
	}

	now = bpf_ktime_get_ns();
	parse(skb, config, &p);
	if (state.subnets.mode != NATRA_SUBNETS_ANY && !is_shaped(config, &p)) {
		set_class(skb, config, NATRA_HTB_DIRECT_MINOR);
		pass_at_once(skb, config, now);
		return VERDICT_PASS;
	}
	hash = flow_hash(&p.flow);
	len = wire_length(skb, &p);
	counters = cpu_counters();

	/*
	 * ACKs of a bulk transfer the other way are many, but holding them back
	 * would throttle that transfer: they leave no trace in the sketch.
	 */
	ahead = sketch_read(config, hash, now, &view);
	estimate = opaque(0);
	if (p.carries_data || len > SMALL_PACKET_BYTES)
		/* other bits than for the clocks: who is heavy must not decide who pays */
		estimate = ahead + charge_of(len, config->cell_mult, config->cell_shift, dither_of(now) << 24);
	heavy = estimate > sketch_threshold(config, now);

	if (!heavy && small_claim(config, now, len)) {
		clock_claim(&state.total_clock_ns, READ_ONCE(state.total_clock_ns), sub_floor(now, config->burst_ns),
			    ~0ULL, charge_of(len, config->total_mult, config->total_shift, dither_of(now)));
		sketch_raise(&view, estimate);
		set_class(skb, config, NATRA_HTB_SMALL_MINOR);
		pass_at_once(skb, config, now);
		count(config, &counters->fast_packets, len);
		return VERDICT_PASS;
	}

	flows = opaque(0);
	departure = opaque(0);
	if (heavy)
		flows = heavy_flows_active(hash, now);
	else
		count(config, &counters->spilled_packets, len);
	result = opaque(pace(skb, config, &p, hash, now, len, flows, &departure));
	waits = wait_of(config, now, departure);
	/* here, because further down the verifier would meet it on many more paths */
	if (result != PACE_DROP)
		count_wait(config, counters, waits);
	/* what 5.10 has learnt about it would keep all that follows apart */
	result = opaque(result);
	if (estimate)
		sketch_raise(&view, heavy_estimate(config, estimate, len, waits));

	/* the table is for flows that are heavy themselves, not for those that met a full allowance */
	slot = heavy_slot(&p.flow, hash, now, flows);
	if (result == PACE_DROP) {
		if (slot)
			heavy_record_drop(slot, now, len);
		count(config, &counters->dropped_packets, len);
		return VERDICT_DROP;
	}
	if (slot)
		heavy_record_pass(slot, now, len, result == PACE_PASS_MARKED);
	if (result == PACE_PASS_MARKED)
		count(config, &counters->marked_packets, len);
	count(config, &counters->paced_packets, len);
	set_class(skb, config, NATRA_HTB_HEAVY_MINOR);
	set_departure(skb, config, now, departure);
	return VERDICT_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
