/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What every part of the program needs. Only uapi headers that Linux 5.10 had:
 * names that came later (TCX_*) or that live in kernel-only headers are spelled
 * out here.
 */
#ifndef NATRA_BASE_H
#define NATRA_BASE_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "natra_abi.h"

#define inline_fn static __always_inline

/* TCX_NEXT and TC_ACT_UNSPEC are the same number: whoever else sits on the hook still runs. */
#define VERDICT_PASS (-1)
#define VERDICT_DROP 2 /* TC_ACT_SHOT, TCX_DROP */

#define NSEC_PER_SEC 1000000000ULL

#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

/*
 * a - b, or 0 where that would be negative. Without a branch, which would double
 * the verifier's paths; a and b have to be less than 2^63 apart.
 */
inline_fn __u64 sub_floor(__u64 a, __u64 b)
{
	__s64 difference = a - b;
	__s64 sign = difference >> 63;

	/* or the compiler makes a branch of it */
	asm("" : "+r"(sign));
	return difference & ~sign;
}

inline_fn __u64 max_u64(__u64 a, __u64 b)
{
	return b + sub_floor(a, b);
}

inline_fn __u64 min_u64(__u64 a, __u64 b)
{
	return a - sub_floor(a, b);
}

extern struct natra_state state;

/*
 * A function that the verifier goes through once, by itself, instead of once for
 * each way that leads to it: on kernels before 6.12 such ways multiply. 5.10
 * hands numbers and the packet over, no other pointers.
 */
#define separate_fn __attribute__((noinline))

/* One of the two, even if natrad makes the other one the active one meanwhile. */
inline_fn const struct natra_config *config_at(__u64 index)
{
	return &state.config[index & 1];
}

/*
 * The same value, but unknown to the verifier, which would otherwise go through
 * the rest of the program once for every constant that a path has put there.
 * Older verifiers do so even where nothing depends on it: to them a bounded
 * value saved on the stack is another kind of thing than an unbounded one.
 */
inline_fn __u64 opaque(__u64 value)
{
	return value ^ READ_ONCE(state.zero);
}

#endif
