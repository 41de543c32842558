/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which packets are under the limit, where it holds for some remote addresses only. */
#ifndef NATRA_SUBNETS_H
#define NATRA_SUBNETS_H

#include "base.h"
#include "parse.h"

/*
 * 1 if the packet is to be limited. All slots are looked at, and without a branch
 * in between: the verifier then goes through them once. Unused ones match nothing.
 * first, second: the remote address, see union flow.
 */
separate_fn __u64 is_shaped_address(__u64 first, __u64 second, __u64 ethertype)
{
	__u64 found = 0;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < NATRA_SUBNETS; i++) {
		const struct natra_subnet *subnet = &state.subnets.subnet[i];
		__u64 difference = ((first ^ subnet->address[0]) & subnet->mask[0]) |
				   ((second ^ subnet->address[1]) & subnet->mask[1]) | (ethertype ^ subnet->ethertype);

		/* 1 if there is none; or the compiler makes a branch of it */
		asm("" : "+r"(difference));
		found |= ((difference | -difference) >> 63) ^ 1;
	}
	return found ^ (READ_ONCE(state.subnets.mode) == NATRA_SUBNETS_UNSHAPED);
}

inline_fn __u64 is_shaped(const struct natra_config *config, const struct packet *p)
{
	/* all ones: the remote end is the source */
	__u64 to_pod = -(__u64) !!(config->flags & NATRA_F_TO_POD);
	__u64 first = (p->flow.word[0] & to_pod) | (p->flow.word[2] & ~to_pod);
	__u64 second = (p->flow.word[1] & to_pod) | (p->flow.word[3] & ~to_pod);

	return is_shaped_address(first, second, p->flow.key.ethertype);
}

#endif
