/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A flow's key as the parser builds it, and the seeded hash that all tables index with. */
#ifndef NATRA_FLOW_H
#define NATRA_FLOW_H

#include <linux/if_ether.h>

#include "base.h"

#define KEY_WORDS (sizeof(struct natra_flow_key) / sizeof(__u64))

union flow {
	struct natra_flow_key key;
	__u64 word[KEY_WORDS]; /* saddr, daddr: two words each; then ports, ethertype, protocol */
	struct {
		__u64 addresses[4];
		__u32 ports;
	};
};

/*
 * Which bits of the hash index what. The rows of the sketch share none, nor do
 * the table of met flows and its fingerprints; the others share some with the
 * sketch, which does no harm: a collision in one says little about another.
 * The top bit is always set: 0 means "free".
 */
#define HASH_SKETCH_BITS 10    /* a row, from bit 0 on: 40 bits; the fair shares' rows have the same */
#define HASH_ACTIVITY_SHIFT 24 /* 10 bits */
#define HASH_MET_SHIFT 38      /* 10 bits; the fingerprint has the top 16 */
#define HASH_HEAVY_SHIFT 54
#define HASH_USED (1ULL << 63)
/* All strangers, see met.h. */
#define HASH_STRANGERS HASH_USED

_Static_assert(1 << HASH_SKETCH_BITS == NATRA_SKETCH_COLS, "a sketch row's index");
_Static_assert(NATRA_FAIR_ROWS <= NATRA_SKETCH_ROWS, "rows of fair shares");
_Static_assert(NATRA_MET_SLOTS / 2 <= 1 << (48 - HASH_MET_SHIFT), "hash bits overlap");
_Static_assert(NATRA_HEAVY_SLOTS / NATRA_HEAVY_WAYS <= 1 << (63 - HASH_HEAVY_SHIFT), "hash bits overlap");

/*
 * Both halves of the word with a key each, multiplied: as good against chosen
 * keys as the seed is secret, and the products of several words do not wait for
 * each other.
 */
inline_fn __u64 hash_word(__u64 word, __u64 key)
{
	return (__u64)(__u32)(word + key) * (__u32)((word >> 32) + (key >> 32));
}

inline_fn __u64 flow_hash(const union flow *flow)
{
	__u64 key = state.seed[0], other = state.seed[1];
	__u64 hash = hash_word(flow->word[4], other);

	if (flow->key.ethertype == bpf_htons(ETH_P_IP)) {
		hash += hash_word(flow->word[0] | flow->word[2] << 32, key);
	} else {
		hash += hash_word(flow->word[0], key) + hash_word(flow->word[1], key ^ other) +
			hash_word(flow->word[2], key + other) + hash_word(flow->word[3], ~key);
	}
	/* the finalizer spreads every bit over all that is used as an index */
	hash ^= hash >> 32;
	hash *= 0x9e3779b97f4a7c15ULL;
	hash ^= hash >> 32;
	return hash | HASH_USED;
}

#endif
