/*
 * Socket buffers of libslirp, ours: a ring that grows when it is used and gives its memory back when it is empty.
 *
 * Upstream gives each TCP socket two rings of 128 KiB for as long as it lives, TIME_WAIT included: 10,000 connections are
 * 2.5 GiB, more than WebAssembly memory comfortably has. Here a ring has a limit (what flow control is told) and a size (what is
 * allocated at the moment).
 *
 * This header takes the place of upstream's sbuf.h: it is force-included and defines that header's guard. libslirp's files
 * know one field, sb_datalen, for both meanings. In files that do ring arithmetic it is the size; in those that do flow
 * control (compiled with SBUF_FLOW_CONTROL) it is the limit.
 */
#ifndef SBUF_H
#define SBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mbuf;
struct socket;

struct sbuf {
    uint32_t sb_cc; /* bytes in the ring */
    uint32_t sb_size; /* bytes allocated */
    char *sb_wptr; /* where the next byte is written */
    char *sb_rptr; /* where the next byte is read */
    char *sb_data; /* the ring, NULL when nothing is allocated */
    uint32_t sb_limit; /* what it may grow to */
    bool sb_touched; /* used since the last sb_trim */
    uint64_t sb_through; /* bytes that have come through, ever: from the guest (so_rcv), to it (so_snd); of datagrams, too */
};

#ifdef SBUF_FLOW_CONTROL
#define sb_datalen sb_limit
#else
#define sb_datalen sb_size
#endif

/* How many bytes may still come: the receive window. */
#define sbspace(sb) ((sb)->sb_limit - (sb)->sb_cc)

void sbfree(struct sbuf *sb);
/* Drops bytes at the reading end; true when that made the ring less than half full. */
bool sbdrop(struct sbuf *sb, size_t length);
/* Sets the limit and empties the ring. */
void sbreserve(struct sbuf *sb, size_t limit);
/* Takes an mbuf's bytes for sending; they go out at the end of the turn (streams.c). */
void sbappend(struct socket *so, struct mbuf *m);
void sbcopy(struct sbuf *sb, size_t offset, size_t length, char *target);

/* Makes room for at least `wanted` further bytes as far as the limit allows; answers the room there is. */
uint32_t sb_grow(struct sbuf *sb, uint32_t wanted);
/* Gives the memory of an empty ring back if it was not used since the last call. */
void sb_trim(struct sbuf *sb);
/* For a saved state: limit and memory at once, and the bytes that sb_cc has been loaded with. */
void sb_restore(struct sbuf *sb, size_t size);
/* The two halves of what the ring holds; the second may be empty. */
void sb_pieces(const struct sbuf *sb, const char **first, uint32_t *first_length, const char **second,
               uint32_t *second_length);

#endif
