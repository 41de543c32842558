// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Placeholder body until the data path lands: passes everything. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "natra_abi.h"

struct natra_state state;

SEC("tc")
int natra(struct __sk_buff *skb)
{
	(void)skb;
	if (state.abi != NATRA_ABI)
		return -1;
	return -1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
