// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The filter of natra's HTB qdisc. It takes the class that natra.bpf.c chose out
 * of skb->priority and puts back what was there before: that is the packet's
 * own (SO_PRIORITY), of which a vlan device below may make its 802.1p bits, and
 * a qdisc of the node's its bands.
 *
 * Packets that no program has seen go to the default class, that of heavy flows.
 */
#include <linux/pkt_cls.h>

#include "base.h"

#define BY_FILTER_MASK 0xffffff00U

SEC("tc")
int natra_class(struct __sk_buff *skb)
{
	__u32 chosen = skb->priority;
	__u32 own = skb->cb[NATRA_HTB_KEPT_CB + 1];

	if ((chosen & BY_FILTER_MASK) != (NATRA_HTB_MAJOR << 16 | NATRA_HTB_BY_FILTER))
		return TC_ACT_UNSPEC;
	/* programs behind natra's on the hook may use the same words for themselves */
	if ((skb->cb[NATRA_HTB_KEPT_CB] ^ own) != NATRA_HTB_KEPT)
		own = 0;
	skb->priority = own;
	skb->tc_classid = chosen & ~BY_FILTER_MASK;
	return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
