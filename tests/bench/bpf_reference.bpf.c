// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What bpf_cost measures natra against: a program that does nothing, one that
 * reads the clock, and the classic EDT limiter, one total clock and no notion
 * of flows.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
    __u64 clock_ns;
    __u64 mult;
    __u64 shift;
    __u64 horizon_ns;
} reference;

SEC("tc")
int empty(struct __sk_buff* skb) {
    (void)skb;
    return -1;
}

SEC("tc")
int clock_only(struct __sk_buff* skb) { return bpf_ktime_get_ns() ? -1 : (int)skb->len; }

SEC("tc")
int plain_edt(struct __sk_buff* skb) {
    void* data = (void*)(long)skb->data;
    void* end = (void*)(long)skb->data_end;
    struct ethhdr* eth = data;
    __u64 now, start, own, cost;

    if ((void*)(eth + 1) > end) return -1;
    if (eth->h_proto != bpf_htons(ETH_P_IP) && eth->h_proto != bpf_htons(ETH_P_IPV6)) return -1;
    now = bpf_ktime_get_ns();
    own = skb->tstamp;
    if (own < now) own = now;
    cost = skb->wire_len * reference.mult >> reference.shift;
    start = *(volatile __u64*)&reference.clock_ns;
    if (start <= own) {
        *(volatile __u64*)&reference.clock_ns = own + cost;
        return -1;
    }
    if (start - now > reference.horizon_ns) return 2;
    __sync_fetch_and_add(&reference.clock_ns, cost);
    skb->tstamp = start;
    return -1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
