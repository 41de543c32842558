/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The only structs shared between the BPF program and natrad.
 *
 * One program instance serves one attachment and one direction. Everything it
 * needs is one `struct natra_state` in its .bss: the program reads it without a
 * map look-up, natrad maps the same pages (the .bss map is pinned) and reads or
 * writes them without a system call. natrad may be replaced while the program
 * runs, hence `abi` and `size`: a natrad that finds others does not adopt.
 *
 * Times are CLOCK_MONOTONIC nanoseconds unless a name says otherwise. "cell
 * units" are nanoseconds >> unit_shift. Lengths are bytes on the wire, Ethernet
 * header included, GSO headers counted per segment, as TBF and HTB count them.
 */
#ifndef NATRA_ABI_H
#define NATRA_ABI_H

#include <linux/types.h>

#ifdef __cplusplus
#define NATRA_STATIC_ASSERT(cond, msg) static_assert(cond, msg)
#else
#define NATRA_STATIC_ASSERT(cond, msg) _Static_assert(cond, msg)
#endif

#define NATRA_ABI 4U

#define NATRA_SKETCH_ROWS 4
#define NATRA_SKETCH_COLS 1024 /* power of two */
#define NATRA_FAIR_ROWS 2
#define NATRA_ACTIVITY_SHIFT 10 /* of 2: bits that count flows */
#define NATRA_ACTIVITY_WORDS ((1 << NATRA_ACTIVITY_SHIFT) / 64)
#define NATRA_MAX_FLOWS 1023   /* the program counts no further */
#define NATRA_MET_SLOTS 2048   /* power of two */
#define NATRA_HEAVY_SLOTS 64   /* power of two */
#define NATRA_HEAVY_WAYS 4     /* slots that one flow may use */
#define NATRA_COUNTER_SLOTS 16 /* power of two; one a CPU, shared beyond */
#define NATRA_SUBNETS 16

/*
 * natra_counters.wait_packets: bucket i has the packets that wait at most bound
 * i and longer than the bound before it; the last one has the rest.
 */
#define NATRA_WAIT_BOUNDS_NS                                                                                           \
	{                                                                                                              \
		100000, 500000, 1000000, 2500000, 5000000, 10000000, 25000000, 50000000, 100000000, 250000000,         \
			1000000000                                                                                     \
	}
#define NATRA_WAIT_BOUNDS 11
#define NATRA_WAIT_BUCKETS (NATRA_WAIT_BOUNDS + 1)

/* natra_config.mode: what is done with a packet of a heavy flow */
enum natra_mode {
	NATRA_MODE_OFF = 0,    /* pass everything, count nothing */
	NATRA_MODE_EDT = 1,    /* skb->tstamp, fq on the device holds it back */
	NATRA_MODE_HTB = 2,    /* skb->priority, HTB's heavy class holds it back */
	NATRA_MODE_POLICE = 3, /* dropped once the bucket is empty */
};

/* natra_config.flags */
#define NATRA_F_SHARED_COUNTERS (1U << 1) /* more CPUs than counter slots: count with atomics */
#define NATRA_F_TO_POD (1U << 2)          /* the remote end is the source, else the destination */
#define NATRA_F_NO_LINK_HEADER (1U << 4)  /* packets begin with their IP header: tun, wireguard, ipip, ... */
#define NATRA_F_LOSE (1U << 5)            /* refused packets are lost on the way: no sender's socket is told */
#define NATRA_F_AT_ONCE (1U << 3) /* in NATRA_MODE_OFF: all leaves now, TCP's own pacing or not, so that fq empties */

/* The classes of the HTB qdisc that natrad installs. */
#define NATRA_HTB_MAJOR 0x4e41U     /* "NA": does not collide with hand-written handles such as 1: */
#define NATRA_HTB_DIRECT_MINOR 0x0U /* no class: sent at once */
#define NATRA_HTB_ROOT_MINOR 0x1U
#define NATRA_HTB_SMALL_MINOR 0x10U
#define NATRA_HTB_HEAVY_MINOR 0x20U

/*
 * In HTB mode the program leaves the class's minor and this in skb->priority.
 * No class has such a number, so HTB asks its filter, natra_class.bpf.c, which
 * takes the class from it and puts the packet's own priority back: that is in
 * skb->cb[], and is valid if the word beside it differs by NATRA_HTB_KEPT.
 */
#define NATRA_HTB_BY_FILTER 0x100U
#define NATRA_HTB_KEPT 0x9a17c55bU
#define NATRA_HTB_KEPT_CB 3 /* the check word; the next one has the priority */

/* Departures further ahead are brought forward to this: fq drops beyond its horizon of 10 s. */
#define NATRA_EDT_MAX_NS 9500000000ULL

/*
 * Derived from the operator's rate and burst by natrad (daemon/datapath/
 * parameters.cpp) so that the packet path neither divides nor decides policy.
 * cost in ns of L bytes = (L * mult) >> shift; mult < 2^44, so L up to 1 MiB
 * does not overflow 64 bits.
 */
struct natra_config {
	__u64 total_mult; /* at the rate R */
	__u64 small_mult; /* at 0.73 R */
	__u64 cell_mult;  /* cell units per byte at phi*R, what packets of at most 256 bytes cost at most */
	__u64 flow_mult;  /* cell units per byte at R/1.5, times the number of flows; < 2^34 */
	__u32 total_shift;
	__u32 small_shift;
	__u32 cell_shift;
	__u32 flow_shift;
	__u64 burst_ns;               /* credit that the total clock may save while idle */
	__u64 small_allowance_ns;     /* M: how far small flows may run ahead of their clock */
	__u64 small_allowance_min_ns; /* the same for packets of at most 256 bytes: 1.5 M */
	__u64 horizon_ns;             /* longest delay of a heavy packet; beyond it is dropped */
	__u64 ce_ns;           /* ECN-capable packets are marked above this delay; unfair ones above half of it */
	__u64 l4s_ns;          /* the same for packets with ECT(1) */
	__u64 aqm_target_ns;   /* delay that may stand */
	__u64 aqm_interval_ns; /* for how long a delay has to stand above the target before packets are dropped */
	__u64 epoch_flow_ns;   /* longest epoch of the flow count per flow, */
	__u64 epoch_min_ns;    /* and its bounds */
	__u64 epoch_max_ns;
	__u64 tau_flow; /* cell units: threshold T at the price of one flow; times the number of flows: tau */
	__u32 tau_min;  /* cell units: bounds of tau */
	__u32 tau_max;
	__u32 fair_min; /* cell units: a flow further ahead of its fair share is marked or dropped first; bounds */
	__u32 fair_max;
	__u32 excess_cap; /* cell units: estimates are cut at tau + this, 100 ms */
	__u32 guard;      /* cell units: a cell further ahead than this is stale (wrap) */
	__u32 unit_shift; /* ns -> cell units */
	__u32 mode;       /* enum natra_mode */
	__u32 flags;      /* NATRA_F_* */
	__u32 pad;
};
NATRA_STATIC_ASSERT(sizeof(struct natra_config) == 184, "natra_config is ABI");

/* How many flows compete, see activity.h. */
struct natra_activity {
	__u64 seen[2][NATRA_ACTIVITY_WORDS]; /* flows of the even and of the odd epoch */
	__u64 start_ns;                      /* of this epoch */
	__u64 until_ns;                      /* the count holds until then */
	__u32 epoch;
	__u32 packets;      /* in this epoch */
	__u32 bits;         /* set in this epoch or in the one before it */
	__u32 current_bits; /* set in this epoch */
	__u32 flows;        /* behind `bits` */
	__u32 pad;
};

/* CoDel's state, see aqm.h. */
struct natra_aqm {
	__u64 above_ns; /* the delay has stood above the target until then: drop; 0: it is below */
	__u64 next_ns;  /* time of the next drop */
	__u64 count;    /* of drops, since the delay is above */
};

/*
 * What happened, in packets and bytes. fast + paced + dropped is everything
 * that reached the hook; marked and spilled are parts of the others.
 */
struct natra_counters {
	__u64 fast_packets; /* small flows, passed at once */
	__u64 fast_bytes;
	__u64 paced_packets; /* heavy flows, passed under the pace of the rate */
	__u64 paced_bytes;
	__u64 marked_packets; /* of the paced: CE set */
	__u64 marked_bytes;
	__u64 dropped_packets;
	__u64 dropped_bytes;
	__u64 spilled_packets; /* of small flows, paced: beyond their allowance, or behind a packet that waits */
	__u64 spilled_bytes;
	__u64 wait_packets[NATRA_WAIT_BUCKETS]; /* of the paced: how many wait how long, see NATRA_WAIT_BOUNDS_NS */
	__u64 wait_ns;                          /* of the paced: the sum of the waits */
	__u64 pad;
};
NATRA_STATIC_ASSERT(sizeof(struct natra_counters) == 192, "natra_counters is ABI");

struct natra_flow_key {
	__u8 saddr[16]; /* IPv4 in the first 4 bytes, rest zero; MAC addresses likewise where there is no IP header */
	__u8 daddr[16];
	__be16 sport; /* 0 without ports and in fragments */
	__be16 dport;
	__be16 ethertype; /* behind VLAN tags; 0 for 802.3 length fields */
	__u8 protocol;    /* IP protocol after extension headers; 0 if not IP */
	__u8 pad;
};
NATRA_STATIC_ASSERT(sizeof(struct natra_flow_key) == 40, "natra_flow_key is ABI");

/* A heavy flow. Written by the program without locks: a reader may see a torn entry while its slot changes hands. */
struct natra_heavy_flow {
	__u64 hash; /* 0: free */
	struct natra_flow_key key;
	__u64 first_ns;
	__u64 last_ns;
	__u64 bytes; /* passed while heavy */
	__u64 dropped_bytes;
	__u32 packets;
	__u32 marked_packets;
	__u32 dropped_packets;
	__u32 pad;
	__u64 window_start_ns; /* windows of one second: the current one, */
	__u64 window_bytes;
	__u64 previous_window_bytes; /* and the one before it */
};
NATRA_STATIC_ASSERT(sizeof(struct natra_heavy_flow) == 120, "natra_heavy_flow is ABI");

/* natra_subnets.mode */
enum natra_subnet_mode {
	NATRA_SUBNETS_ANY = 0,      /* no list: everything is limited */
	NATRA_SUBNETS_SHAPED = 1,   /* what is in the list is limited, the rest passes uncounted */
	NATRA_SUBNETS_UNSHAPED = 2, /* what is in the list passes uncounted, the rest is limited */
};

/* Addresses as in natra_flow_key, host bits zero. */
struct natra_subnet {
	__u64 address[2];
	__u64 mask[2];
	__u64 ethertype; /* network byte order, as natra_flow_key has it; NATRA_SUBNET_UNUSED: an empty slot */
};

#define NATRA_SUBNET_UNUSED (1ULL << 32)

/* Remote addresses. Written by natrad before the program is attached, and never changed. */
struct natra_subnets {
	__u32 mode; /* enum natra_subnet_mode */
	__u32 pad;
	struct natra_subnet subnet[NATRA_SUBNETS];
};
NATRA_STATIC_ASSERT(sizeof(struct natra_subnets) == 648, "natra_subnets is ABI");

/* A flow that was met before, see met.h. */
struct natra_met {
	__u32 tag;   /* fingerprint, when it was met last, and whether it was met twice */
	__u32 until; /* its last heavy packet waits until the queue has come here; units of 1024 ns */
};

#define NATRA_CACHELINE __attribute__((aligned(64)))

struct natra_state {
	__u32 abi;                /* NATRA_ABI, written by natrad after load */
	__u32 size;               /* sizeof(struct natra_state) */
	__u32 active_config;      /* index into config: natrad writes the other one, then flips this */
	__u32 zero;               /* stays 0: a value that the verifier cannot know */
	__u64 seed[2];            /* random, per instance */
	__u64 heavy_table_misses; /* heavy packets whose flow found no slot */
	__u64 unparsed_packets;   /* headers that could not be read: classified by what could */
	struct natra_config config[2];
	struct natra_subnets subnets;

	NATRA_CACHELINE __u64 total_clock_ns;
	NATRA_CACHELINE __u64 small_clock_ns;
	__u64 overtaken_ns;      /* time at R of the small packets that HTB has sent while heavy ones waited */
	__u64 stranger_clock[2]; /* cell units: strangers' packets of at most 256 bytes, and others */
	NATRA_CACHELINE struct natra_aqm aqm;
	NATRA_CACHELINE struct natra_activity activity;

	NATRA_CACHELINE struct natra_counters counters[NATRA_COUNTER_SLOTS];
	struct natra_met met[NATRA_MET_SLOTS + 1];        /* see met.h */
	__u32 fair[NATRA_FAIR_ROWS][NATRA_SKETCH_COLS];   /* see fairness.h */
	__u32 cell[NATRA_SKETCH_ROWS][NATRA_SKETCH_COLS]; /* see sketch.h */
	struct natra_heavy_flow heavy[NATRA_HEAVY_SLOTS];
};

#endif /* NATRA_ABI_H */
