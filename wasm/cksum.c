/*
 * libslirp's cksum.c, with 128-bit vectors: the sum over every byte was a sixth of all work. And the place where a checksum is believed that a
 * NIC left to us to finish (offload.c).
 */
#include "slirp.h"

#include <wasm_simd128.h>

#include "checksum.h"
#include "segments.h"

enum {
    VECTOR_BYTES = 16,
    /* Each of four 32-bit lanes grows by at most 2 * 65535 a vector. */
    LANES_FULL_BYTES = 16384 * VECTOR_BYTES,
};

static bool trusts_next;

uint16_t checksum_fold(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

static uint32_t fold64(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    return checksum_fold((uint32_t)sum);
}

static uint64_t add_lanes(v128_t lanes)
{
    return (uint64_t)(uint32_t)wasm_i32x4_extract_lane(lanes, 0) + (uint32_t)wasm_i32x4_extract_lane(lanes, 1) +
           (uint32_t)wasm_i32x4_extract_lane(lanes, 2) + (uint32_t)wasm_i32x4_extract_lane(lanes, 3);
}

/* Less than a vector. */
static uint64_t add_tail(const uint8_t *at, size_t length)
{
    uint64_t sum = 0;
    uint16_t word;

    for (; length >= sizeof(word); at += sizeof(word), length -= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        sum += word;
    }
    return length ? sum + *at : sum;
}

uint32_t checksum_add(uint32_t sum, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    uint64_t total = sum;

    while (length >= VECTOR_BYTES) {
        const uint8_t *end = at + (MIN(length, (size_t)LANES_FULL_BYTES) & ~(size_t)(VECTOR_BYTES - 1));
        length -= end - at;
        v128_t lanes = wasm_i32x4_const(0, 0, 0, 0), more = lanes;
        for (; end - at >= 2 * VECTOR_BYTES; at += 2 * VECTOR_BYTES) {
            lanes = wasm_i32x4_add(lanes, wasm_u32x4_extadd_pairwise_u16x8(wasm_v128_load(at)));
            more = wasm_i32x4_add(more, wasm_u32x4_extadd_pairwise_u16x8(wasm_v128_load(at + VECTOR_BYTES)));
        }
        if (at < end) {
            lanes = wasm_i32x4_add(lanes, wasm_u32x4_extadd_pairwise_u16x8(wasm_v128_load(at)));
            at += VECTOR_BYTES;
        }
        total += add_lanes(lanes) + add_lanes(more);
    }
    return fold64(total + add_tail(at, length));
}

uint32_t checksum_add_copy(uint32_t sum, void *target, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    uint8_t *to = target;
    uint64_t total = sum;

    while (length >= VECTOR_BYTES) {
        const uint8_t *end = at + (MIN(length, (size_t)LANES_FULL_BYTES) & ~(size_t)(VECTOR_BYTES - 1));
        length -= end - at;
        v128_t lanes = wasm_i32x4_const(0, 0, 0, 0);
        for (; at < end; at += VECTOR_BYTES, to += VECTOR_BYTES) {
            v128_t vector = wasm_v128_load(at);
            wasm_v128_store(to, vector);
            lanes = wasm_i32x4_add(lanes, wasm_u32x4_extadd_pairwise_u16x8(vector));
        }
        total += add_lanes(lanes);
    }
    memcpy(to, at, length);
    return fold64(total + add_tail(at, length));
}

uint32_t checksum_join(uint32_t sum, uint32_t behind, size_t length_before)
{
    uint32_t folded = checksum_fold(behind);

    return sum + (length_before & 1 ? (folded & 0xff) << 8 | folded >> 8 : folded);
}

void checksum_trust_next(void)
{
    trusts_next = true;
}

void checksum_trust_end(void)
{
    trusts_next = false;
}

/* 0 where the bytes contain a right checksum; what to put into its field where that is 0. */
int cksum(struct mbuf *m, int len)
{
    if (trusts_next) {
        trusts_next = false;
        return 0;
    }
    if (segments_holds(m)) {
        return 0; /* taken when the payload is copied */
    }
    return (uint16_t)~checksum_fold(checksum_add(0, mtod(m, uint8_t *), MAX(MIN(len, m->m_len), 0)));
}

/* The same with IPv6's pseudo header in front (RFC 8200 8.1), for a packet without extension headers. */
int ip6_cksum(struct mbuf *m)
{
    const struct ip6 *ip = mtod(m, struct ip6 *);
    uint32_t length = ntohs(ip->ip_pl);
    uint32_t sum = htons((uint16_t)length) + htons(ip->ip_nh);

    if (trusts_next) {
        trusts_next = false;
        return 0;
    }
    sum = checksum_add(sum, &ip->ip_src, sizeof(ip->ip_src) + sizeof(ip->ip_dst));
    size_t there = MAX(m->m_len - (int)sizeof(*ip), 0);
    return (uint16_t)~checksum_fold(checksum_add(sum, ip + 1, MIN(length, there)));
}
