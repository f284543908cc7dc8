/* The internet checksum's sum, sixteen bytes at a time: see cksum.c. */
#ifndef SLIRP_WASM_CHECKSUM_H
#define SLIRP_WASM_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/*
 * Sums are of 16-bit words as they lie in memory, folded to 16 bits: what a checksum field holds is ~sum, as it stands (RFC 1071, 2 (B): the
 * byte order does not matter as long as it is everywhere the same). An odd last byte is the first of its word.
 */
uint32_t checksum_add(uint32_t sum, const void *bytes, size_t length);
/* The same, and copies the bytes on the way. */
uint32_t checksum_add_copy(uint32_t sum, void *target, const void *bytes, size_t length);
/* Joins the sum of bytes that begin at an odd place of a message to the sum of those before it. */
uint32_t checksum_join(uint32_t sum, uint32_t behind, size_t length_before);
/* Folds the carries in. */
uint16_t checksum_fold(uint32_t sum);

/* The next time that libslirp verifies a checksum it is right: the NIC has said that the sum is for us to finish. */
void checksum_trust_next(void);
/* Takes that back where nothing was verified. */
void checksum_trust_end(void);

#endif
