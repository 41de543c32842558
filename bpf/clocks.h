/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The two clocks. A clock is the time at which all that was charged to it has
 * been sent at its rate; ahead of now means a queue, behind it means credit.
 *
 * Before Linux 5.12 BPF has no atomics that return a value. There a clock that
 * is not idle is charged by an atomic addition, so nothing is lost; but CPUs
 * that meet give their packets the same start.
 */
#ifndef NATRA_CLOCKS_H
#define NATRA_CLOCKS_H

#include "base.h"

#define SMALL_PACKET_BYTES 256

inline_fn __u64 cost_of(__u64 len, __u64 mult, __u32 shift)
{
	return len * mult >> shift;
}

/*
 * Evenly distributed, whatever the distances of the times are. One
 * multiplication is not enough: the packets' own processing depends on the
 * result, and with it the time of the next one.
 */
inline_fn __u64 dither_of(__u64 now)
{
	now *= 0x9e3779b97f4a7c15ULL;
	now ^= now >> 32;
	return now * 0xd6e8feb86659fd93ULL;
}

/*
 * The cost in whole units on average: rounded up as often as the fraction says.
 * At 400 Gbit/s 64 bytes take 1.28 ns; a fifth of them would be free otherwise.
 * Needs a shift between 1 and 63.
 */
inline_fn __u64 charge_of(__u64 len, __u64 mult, __u32 shift, __u64 dither)
{
	__u64 product = len * mult;
	__u64 fraction = product << (64 - shift);

	return (product >> shift) + (((fraction >> 1) + (dither >> 1)) >> 63);
}

#define CLAIM_REFUSED (~0ULL)

/*
 * Charges cost to the clock, last seen at `seen`, unless it would start after
 * latest. A clock behind earliest counts as earliest: credit is not saved beyond
 * that. Returns the start.
 *
 * If another CPU was faster, the clock is fresh and the charge is simply added:
 * that may overshoot latest by what other CPUs charge at this moment, but loses
 * nothing, and spares a loop.
 */
inline_fn __u64 clock_claim(__u64 *clock, __u64 seen, __u64 earliest, __u64 latest, __u64 cost)
{
	__u64 start = max_u64(seen, earliest);
#ifdef NATRA_NO_FETCH_ATOMICS
	if (start > latest)
		return CLAIM_REFUSED;
	/*
	 * An idle clock is set: if two CPUs that find it idle both added what it is
	 * behind, it would be that much ahead. One of their charges is lost, once
	 * for each time that nobody wanted to send.
	 */
	if (seen < earliest)
		WRITE_ONCE(*clock, start + cost);
	else
		__sync_fetch_and_add(clock, cost);
	return start;
#else
	__u64 found;

	if (start > latest)
		return CLAIM_REFUSED;
	found = __sync_val_compare_and_swap(clock, seen, start + cost);
	if (found == seen)
		return start;
	if (found > latest)
		return CLAIM_REFUSED;
	return max_u64(__sync_fetch_and_add(clock, cost), earliest);
#endif
}

/* Whether a packet of a small flow may pass at once; if so it is charged to the small clock. */
inline_fn int small_claim(const struct natra_config *config, __u64 now, __u64 len)
{
	__u64 allowance = len <= SMALL_PACKET_BYTES ? config->small_allowance_min_ns : config->small_allowance_ns;
	__u64 cost = charge_of(len, config->small_mult, config->small_shift, dither_of(now));

	if (cost > allowance)
		return 0;
	return clock_claim(&state.small_clock_ns, READ_ONCE(state.small_clock_ns), now, now + allowance - cost, cost) !=
	       CLAIM_REFUSED;
}

#endif
