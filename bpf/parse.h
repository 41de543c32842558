/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a packet to its flow.
 *
 * The key is refined as headers are read: MAC addresses and ethertype, then IP
 * addresses and protocol, then ports. A packet whose next header cannot be read
 * keeps the coarser key it has by then, so nothing leaves the limiter by being
 * malformed.
 */
#ifndef NATRA_PARSE_H
#define NATRA_PARSE_H

#include <stddef.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "base.h"
#include "flow.h"

#define MAX_VLAN_TAGS 2
#define VLAN_HLEN 4
#define MAX_EXTENSION_HEADERS 8
/* Two VLAN tags, the longest IPv4 header and a TCP header: 14 + 8 + 60 + 20. */
#define PULL_BYTES 128U

#define IPV4_FRAGMENT_MASK 0x3fff /* "more fragments" and the offset */
#define IPV6_FRAGMENT_MASK 0xfff9
/* of a TCP header: up to the flags */
#define TCP_BYTES 14
#define ECN_MASK 3
#define ECN_L4S 1 /* ECT(1) */
#define ECN_CE 3

enum {
	PROTO_HOP_BY_HOP = 0,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_DCCP = 33,
	PROTO_ROUTING = 43,
	PROTO_FRAGMENT = 44,
	PROTO_AH = 51,
	PROTO_DEST_OPTIONS = 60,
	PROTO_SCTP = 132,
	PROTO_MOBILITY = 135,
	PROTO_UDPLITE = 136,
};

enum parse_result {
	PARSED,
	MALFORMED, /* or cut short */
};

struct packet {
	union flow flow;
	__u64 header_len; /* link to transport header, as far as read: what GSO repeats per segment */
	__u64 ecn;        /* 0 too where the kernel could not mark: behind a VLAN tag inside the data */
};

#define BIT(protocol) (1ULL << (protocol))
#define LOW_WITH_PORTS (BIT(PROTO_TCP) | BIT(PROTO_UDP) | BIT(PROTO_DCCP))
#define LOW_EXTENSIONS                                                                                                 \
	(BIT(PROTO_HOP_BY_HOP) | BIT(PROTO_ROUTING) | BIT(PROTO_FRAGMENT) | BIT(PROTO_AH) | BIT(PROTO_DEST_OPTIONS))

/* Bit sets: a chain of comparisons costs the verifier a path each. */
inline_fn int has_ports(__u8 protocol)
{
	if (protocol < 64)
		return LOW_WITH_PORTS >> protocol & 1;
	return protocol == PROTO_SCTP || protocol == PROTO_UDPLITE;
}

inline_fn int is_extension(__u8 protocol)
{
	if (protocol < 64)
		return LOW_EXTENSIONS >> protocol & 1;
	return protocol == PROTO_MOBILITY;
}

inline_fn int is_vlan(__be16 ethertype)
{
	return ethertype == bpf_htons(ETH_P_8021Q) || ethertype == bpf_htons(ETH_P_8021AD);
}

inline_fn void read_tcp(struct packet *p, __u32 offset_byte)
{
	p->header_len += (offset_byte >> 4) * 4;
}

/* Both ports at once: they are adjacent in the key as in every header that has them. */
inline_fn void read_ports(struct packet *p, __u64 ports)
{
	p->flow.ports = ports;
}

inline_fn int parse_transport(struct packet *p, void *header, void *end, __u8 protocol)
{
	if (protocol == PROTO_TCP) {
		if (header + TCP_BYTES > end)
			return MALFORMED;
		read_ports(p, *(__u32 *)header);
		read_tcp(p, ((__u8 *)header)[12]);
		return PARSED;
	}
	if (!has_ports(protocol))
		return PARSED;
	if (header + 4 > end)
		return MALFORMED;
	read_ports(p, *(__u32 *)header);
	p->header_len += 8;
	return PARSED;
}

inline_fn int parse_ipv4(struct packet *p, void *data, void *end, __u64 offset)
{
	struct iphdr *ip = data + offset;
	__u64 header;

	if ((void *)(ip + 1) > end)
		return MALFORMED;
	header = ip->ihl * 4;
	if (ip->version != 4 || header < sizeof(*ip))
		return MALFORMED;
	p->flow.word[0] = ip->saddr;
	p->flow.word[2] = ip->daddr;
	p->flow.key.protocol = ip->protocol;
	p->header_len = offset + header;
	if (offset == ETH_HLEN || !offset)
		p->ecn = ip->tos & ECN_MASK;
	if (ip->frag_off & bpf_htons(IPV4_FRAGMENT_MASK))
		return PARSED;
	return parse_transport(p, (void *)ip + header, end, ip->protocol);
}

/* 1 if a is b, 0 if not; without a branch, which would double the verifier's paths */
inline_fn __u64 equal(__u8 a, __u8 b)
{
	__u64 difference = a ^ b;

	/* or the compiler makes a branch of it */
	asm("" : "+r"(difference));
	return (difference - 1) >> 63;
}

/*
 * Extension headers are rare enough to be copied out by the helper, which reads
 * the paged part of a packet as well and leaves the verifier no pointer to follow.
 */
inline_fn int parse_ipv6_extensions(struct __sk_buff *skb, struct packet *p, __u64 offset, __u8 protocol)
{
	__u8 head[16];

#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_EXTENSION_HEADERS && is_extension(protocol); i++) {
		__u64 ah = equal(protocol, PROTO_AH);
		__u64 fragment = equal(protocol, PROTO_FRAGMENT);
		__u64 size;

		if (bpf_skb_load_bytes(skb, offset, head, 8))
			return MALFORMED;
		/* the length is in units of 8 bytes beyond the first, in AH of 4 beyond the second; fragments have none
		 */
		size = ((head[1] & (fragment - 1)) + 1 + ah) << (3 - ah);
		protocol = head[0];
		offset += size;
		p->flow.key.protocol = protocol;
		p->header_len = offset;
		if (*(__be16 *)&head[2] & bpf_htons(IPV6_FRAGMENT_MASK) & -fragment)
			return PARSED;
	}
	if (is_extension(protocol))
		return MALFORMED;
	if (protocol == PROTO_TCP) {
		if (bpf_skb_load_bytes(skb, offset, head, TCP_BYTES))
			return MALFORMED;
		read_tcp(p, head[12]);
	} else if (has_ports(protocol)) {
		if (bpf_skb_load_bytes(skb, offset, head, 4))
			return MALFORMED;
		p->header_len += 8;
	} else {
		return PARSED;
	}
	read_ports(p, *(__u32 *)head);
	return PARSED;
}

inline_fn int parse_ipv6(struct __sk_buff *skb, struct packet *p, void *data, void *end, __u64 offset)
{
	struct ipv6hdr *ip = data + offset;
	__u64 *address;

	if ((void *)(ip + 1) > end)
		return MALFORMED;
	if (ip->version != 6)
		return MALFORMED;
	address = (__u64 *)&ip->saddr;
	p->flow.word[0] = address[0];
	p->flow.word[1] = address[1];
	p->flow.word[2] = address[2];
	p->flow.word[3] = address[3];
	p->flow.key.protocol = ip->nexthdr;
	offset += sizeof(*ip);
	p->header_len = offset;
	if (offset == ETH_HLEN + sizeof(*ip) || offset == sizeof(*ip))
		p->ecn = ip->flow_lbl[0] >> 4 & ECN_MASK;
	if (is_extension(ip->nexthdr))
		return parse_ipv6_extensions(skb, p, offset, ip->nexthdr);
	return parse_transport(p, ip + 1, end, ip->nexthdr);
}

/*
 * Without a link header the version is what tells IP from the rest, as it does
 * to whoever reads from a tun device: skb->protocol may be what a sender of
 * packet sockets wrote.
 */
inline_fn int parse_network(struct __sk_buff *skb, struct packet *p, void *data, void *end)
{
	__u8 version;

	if (data + 1 > end)
		return MALFORMED;
	version = *(__u8 *)data >> 4;
	if (version == 4) {
		p->flow.key.ethertype = bpf_htons(ETH_P_IP);
		return parse_ipv4(p, data, end, 0);
	}
	if (version == 6) {
		p->flow.key.ethertype = bpf_htons(ETH_P_IPV6);
		return parse_ipv6(skb, p, data, end, 0);
	}
	p->flow.key.ethertype = skb->protocol;
	return PARSED;
}

inline_fn int parse_linear(struct __sk_buff *skb, const struct natra_config *config, struct packet *p)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	__u64 offset = ETH_HLEN;
	__be16 ethertype;

	if (config->flags & NATRA_F_NO_LINK_HEADER)
		return parse_network(skb, p, data, end);
	if (data + ETH_HLEN > end)
		return MALFORMED;
	ethertype = *(__be16 *)(data + ETH_HLEN - 2);
#pragma clang loop unroll(full)
	for (int i = 0; i < MAX_VLAN_TAGS && is_vlan(ethertype); i++) {
		if (data + offset + VLAN_HLEN > end)
			return MALFORMED;
		ethertype = *(__be16 *)(data + offset + 2);
		offset += VLAN_HLEN;
	}
	/* below 0x600 it is a length, which tells no flows apart */
	if (bpf_ntohs(ethertype) < ETH_P_802_3_MIN)
		ethertype = 0;
	p->flow.key.ethertype = ethertype;
	p->header_len = offset;
	if (ethertype == bpf_htons(ETH_P_IP))
		return parse_ipv4(p, data, end, offset);
	if (ethertype == bpf_htons(ETH_P_IPV6))
		return parse_ipv6(skb, p, data, end, offset);
	return PARSED;
}

/* Without an IP header the MAC addresses tell flows apart. */
inline_fn void read_macs(struct __sk_buff *skb, const struct natra_config *config, struct packet *p)
{
	__u8 macs[2 * ETH_ALEN];

	if (config->flags & NATRA_F_NO_LINK_HEADER)
		return;
	if (bpf_skb_load_bytes(skb, 0, macs, sizeof(macs)))
		return;
	__builtin_memcpy(p->flow.key.daddr, macs, ETH_ALEN);
	__builtin_memcpy(p->flow.key.saddr, macs + ETH_ALEN, ETH_ALEN);
}

/* Fills *p as far as the packet can be read, whatever it is. */
inline_fn void parse_any(struct __sk_buff *skb, const struct natra_config *config, struct packet *p)
{
	__u64 linear = skb->data_end - skb->data;
	__u32 wanted = skb->len < PULL_BYTES ? skb->len : PULL_BYTES;

	if (linear < wanted)
		bpf_skb_pull_data(skb, wanted);
	__builtin_memset(p, 0, sizeof(*p));
	read_macs(skb, config, p);
	if (opaque(parse_linear(skb, config, p)))
		__sync_fetch_and_add(&state.unparsed_packets, 1);
}

/* The last word of a key: ports, ethertype and protocol as they lie in memory. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LAST_WORD(ports, ethertype, protocol) ((ports) | (__u64)(ethertype) << 32 | (__u64)(protocol) << 48)
#else
#define LAST_WORD(ports, ethertype, protocol) ((__u64)(ports) << 32 | (__u64)(ethertype) << 16 | (protocol) << 8)
#endif

/*
 * ethertype and protocol are read again although they are known by then: the
 * verifier would go through the rest of the program once for every pair.
 */
inline_fn int parse_common_transport(struct packet *p, __u8 *header, const __be16 *ethertype, const __u8 *protocol)
{
	if (*protocol == PROTO_TCP)
		read_tcp(p, header[12]);
	else
		p->header_len += 8;
	p->flow.word[4] = LAST_WORD(*(__u32 *)header, READ_ONCE(*ethertype), READ_ONCE(*protocol));
	return 1;
}

/* TCP and UDP in plain IPv4 and IPv6. False if the packet is something else; *p is undefined then. */
inline_fn int parse_common(struct __sk_buff *skb, struct packet *p)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	void *ip = data + ETH_HLEN;
	/* struct ethhdr is packed: its fields would be read byte by byte */
	const __be16 *ethertype = ip - sizeof(*ethertype);

	if (ip + sizeof(struct iphdr) + TCP_BYTES > end)
		return 0;
	if (*ethertype == bpf_htons(ETH_P_IP)) {
		struct iphdr *v4 = ip;

		if (*(__u8 *)ip != 0x45 || v4->frag_off & bpf_htons(IPV4_FRAGMENT_MASK))
			return 0;
		if (v4->protocol != PROTO_TCP && v4->protocol != PROTO_UDP)
			return 0;
		p->flow.word[0] = v4->saddr;
		p->flow.word[1] = 0;
		p->flow.word[2] = v4->daddr;
		p->flow.word[3] = 0;
		p->header_len = ETH_HLEN + sizeof(*v4);
		p->ecn = v4->tos & ECN_MASK;
		return parse_common_transport(p, ip + sizeof(*v4), ethertype, &v4->protocol);
	}
	if (*ethertype == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *v6 = ip;
		__u64 *address = ip + offsetof(struct ipv6hdr, saddr);

		if (ip + sizeof(*v6) + TCP_BYTES > end || *(__u8 *)ip >> 4 != 6)
			return 0;
		if (v6->nexthdr != PROTO_TCP && v6->nexthdr != PROTO_UDP)
			return 0;
		p->flow.word[0] = address[0];
		p->flow.word[1] = address[1];
		p->flow.word[2] = address[2];
		p->flow.word[3] = address[3];
		p->header_len = ETH_HLEN + sizeof(*v6);
		p->ecn = v6->flow_lbl[0] >> 4 & ECN_MASK;
		return parse_common_transport(p, ip + sizeof(*v6), ethertype, &v6->nexthdr);
	}
	return 0;
}

/* Fills *p as far as the packet can be read. */
inline_fn void parse(struct __sk_buff *skb, const struct natra_config *config, struct packet *p)
{
	__u64 zero;

	if (config->flags & NATRA_F_NO_LINK_HEADER || !parse_common(skb, p))
		parse_any(skb, config, p);
	/* see opaque(): from here on all packets are alike to the verifier */
	asm("" : : "r"(p) : "memory");
	zero = READ_ONCE(state.zero);
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < KEY_WORDS; i++)
		p->flow.word[i] ^= zero;
	p->ecn ^= zero;
}

#endif
