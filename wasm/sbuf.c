/* See sbuf.h. */
#include "slirp.h"

#include "segments.h"
#include "streams.h"

enum {
    SBUF_FIRST_BYTES = 2048, /* a request or a line fits; small enough for thousands of talkative connections */
    SBUF_GROWTH = 4, /* 2 K, 8 K, 32 K, 128 K: a bulk transfer is at its limit after three copies of little data */
    SBUF_DEFAULT_LIMIT = 128 * 1024, /* TCP_SNDSPACE and TCP_RCVSPACE */
};

void sbfree(struct sbuf *sb)
{
    uint64_t through = sb->sb_through;

    free(sb->sb_data);
    memset(sb, 0, sizeof(*sb));
    sb->sb_through = through;
}

void sbreserve(struct sbuf *sb, size_t limit)
{
    sbfree(sb);
    sb->sb_limit = limit;
}

void sb_restore(struct sbuf *sb, size_t size)
{
    uint32_t loaded = MIN(sb->sb_cc, size);

    sbreserve(sb, MAX(size, SBUF_DEFAULT_LIMIT));
    sb->sb_cc = loaded;
    sb->sb_size = size;
    sb->sb_wptr = sb->sb_rptr = sb->sb_data = g_malloc(size);
}

void sb_pieces(const struct sbuf *sb, const char **first, uint32_t *first_length, const char **second,
               uint32_t *second_length)
{
    uint32_t to_end = sb->sb_data + sb->sb_size - sb->sb_rptr;

    *first = sb->sb_rptr;
    *first_length = MIN(sb->sb_cc, to_end);
    *second = sb->sb_data;
    *second_length = sb->sb_cc - *first_length;
}

static void resize(struct sbuf *sb, uint32_t size)
{
    const char *first, *second;
    uint32_t first_length, second_length;
    char *data = g_malloc(size);

    if (sb->sb_cc) {
        sb_pieces(sb, &first, &first_length, &second, &second_length);
        memcpy(data, first, first_length);
        memcpy(data + first_length, second, second_length);
    }
    free(sb->sb_data);
    sb->sb_data = sb->sb_rptr = data;
    sb->sb_size = size;
    sb->sb_wptr = sb->sb_cc == size ? data : data + sb->sb_cc;
}

uint32_t sb_grow(struct sbuf *sb, uint32_t wanted)
{
    sb->sb_touched = true;
    if (sb->sb_cc == 0) {
        /* Starting at the front again makes the next read or write one piece. */
        sb->sb_rptr = sb->sb_wptr = sb->sb_data;
    }
    if (sb->sb_size - sb->sb_cc < wanted && sb->sb_size < sb->sb_limit) {
        uint32_t size = MAX(sb->sb_size, SBUF_FIRST_BYTES);
        while (size < sb->sb_limit && size - sb->sb_cc < wanted) {
            size *= SBUF_GROWTH;
        }
        resize(sb, MIN(size, sb->sb_limit));
    }
    return sb->sb_size - sb->sb_cc;
}

void sb_trim(struct sbuf *sb)
{
    if (sb->sb_cc == 0 && sb->sb_data && !sb->sb_touched) {
        uint32_t limit = sb->sb_limit;
        sbfree(sb);
        sb->sb_limit = limit;
    }
    sb->sb_touched = false;
}

bool sbdrop(struct sbuf *sb, size_t length)
{
    uint32_t half = sb->sb_limit / 2;

    g_warn_if_fail(length <= sb->sb_cc);
    length = MIN(length, sb->sb_cc);
    bool was_above = sb->sb_cc >= half;
    sb->sb_cc -= length;
    sb->sb_rptr += length;
    if (sb->sb_rptr >= sb->sb_data + sb->sb_size) {
        sb->sb_rptr -= sb->sb_size;
    }
    return was_above && sb->sb_cc < half;
}

void sbcopy(struct sbuf *sb, size_t offset, size_t length, char *target)
{
    g_assert(offset + length <= sb->sb_cc);
    if (segments_defer(sb, offset, length)) {
        return;
    }
    size_t to_end = sb->sb_data + sb->sb_size - sb->sb_rptr;
    if (offset >= to_end) {
        memcpy(target, sb->sb_data + (offset - to_end), length);
        return;
    }
    size_t first = MIN(length, to_end - offset);
    memcpy(target, sb->sb_rptr + offset, first);
    memcpy(target + first, sb->sb_data, length - first);
}

/* The caller has made room: libslirp accepts no more than the window that sbspace told the guest. */
static void append(struct sbuf *sb, const char *bytes, uint32_t length)
{
    length = MIN(length, sb_grow(sb, length));
    if (!length) {
        return;
    }
    uint32_t first = MIN(length, (uint32_t)(sb->sb_data + sb->sb_size - sb->sb_wptr));
    memcpy(sb->sb_wptr, bytes, first);
    memcpy(sb->sb_data, bytes + first, length - first);
    sb->sb_cc += length;
    sb->sb_through += length;
    sb->sb_wptr += length;
    if (sb->sb_wptr >= sb->sb_data + sb->sb_size) {
        sb->sb_wptr -= sb->sb_size;
    }
}

void sbappend(struct socket *so, struct mbuf *m)
{
    if (m->m_len > 0) {
        append(&so->so_rcv, m->m_data, m->m_len);
        stream_has_data_to_send(so);
    }
    m_free(m);
}
