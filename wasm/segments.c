/*
 * TCP data towards the guest, many segments at once.
 *
 * libslirp makes a segment at a time: it takes an mbuf, copies from the ring, sums, queues, copies behind an Ethernet header, copies into the
 * area. Here tcp_output is shown a largest segment of many times the guest's own, so that it runs once for as much as there is data
 * and window for; the payload stays in the ring; and the edge (edge.c) copies it from there straight into the area of frames.
 *
 * A frame whose neighbour is not known yet waits in libslirp's queue: then the payload is copied into its mbuf after all, which
 * carries the segment size along.
 */
#include "slirp.h"

#include "segments.h"
#include "window-scale.h"

enum {
    /* What an IP packet can hold, of either version. */
    MAX_PAYLOAD = IP_MAXPACKET - (int)sizeof(struct ip6) - (int)sizeof(struct tcphdr),
    /* Bits of m_flags that libslirp does not use: a waiting frame that is to be cut, and its segment size. */
    M_SEGMENTS = 0x100,
    M_SEGMENT_SIZE_SHIFT = 16,
};

/* The segment that tcp_output is about: its payload lies in the ring. m is NULL where there is none. */
static struct {
    struct mbuf *m;
    const struct sbuf *ring;
    uint32_t offset;
    uint32_t length;
} deferred;

/* The guest's largest segment while tcp_output runs, else 0; and the mbuf it has just got. */
static uint32_t segment_size;
static struct mbuf *newest;

struct mbuf *__real_m_get(Slirp *slirp);
int __real_tcp_output(struct tcpcb *tp);
int __real_ip_output(struct socket *so, struct mbuf *m);
int __real_ip6_output(struct socket *so, struct mbuf *m, int fast);

/*
 * libslirp bounds a segment to 32 KiB, so that with the largest MTU it takes two frames where one would do.
 */
void segments_learn(struct tcpcb *tp, const uint8_t *options, size_t length)
{
    const uint8_t *option = tcp_find_option(options, length, TCPOPT_MAXSEG, TCPOLEN_MAXSEG);
    const struct socket *so = tp->t_socket;

    if (option && tp->t_maxseg == TCP_MAXSEG_MAX) {
        int headers = sizeof(struct tcphdr) + (so->so_ffamily == AF_INET ? sizeof(struct ip) : sizeof(struct ip6));
        int ours = MIN(so->slirp->if_mtu, so->slirp->if_mru) - headers;
        tp->t_maxseg = MAX(MIN(option[2] << 8 | option[3], ours), TCP_MAXSEG_MAX);
    }
}

/* What can be sent now: bytes in the ring, as window and congestion window allow. */
static int32_t sendable(const struct tcpcb *tp)
{
    uint32_t window = MIN(tp->snd_wnd, tp->snd_cwnd);

    return (int32_t)MIN(tp->t_socket->so_snd.sb_cc, window) - (int32_t)(tp->snd_nxt - tp->snd_una);
}

/* After a pause a congestion window begins with one segment, which must not be a long one. */
static bool was_idle(const struct tcpcb *tp)
{
    return tp->snd_max == tp->snd_una && tp->t_idle >= tp->t_rxtcur;
}

static int output_segments(struct tcpcb *tp)
{
    uint16_t size = tp->t_maxseg;
    tcp_seq before;
    int result;

    do {
        int32_t length = MIN(sendable(tp), MAX_PAYLOAD);
        if (length >= 2 * size && tp->t_state >= TCPS_ESTABLISHED && !was_idle(tp)) {
            tp->t_maxseg = length - length % size;
        }
        before = tp->snd_nxt;
        result = __real_tcp_output(tp);
        tp->t_maxseg = size;
        /* A rest that is a whole segment goes out, too; libslirp took it for less than one. */
    } while (result == 0 && tp->snd_nxt != before && sendable(tp) >= size);
    return result;
}

int segments_output(struct tcpcb *tp)
{
    segment_size = tp->t_maxseg;
    newest = NULL;
    int result = output_segments(tp);
    segment_size = 0;
    return result;
}

struct mbuf *__wrap_m_get(Slirp *slirp)
{
    return newest = __real_m_get(slirp);
}

bool segments_defer(const struct sbuf *ring, uint32_t offset, uint32_t length)
{
    if (!segment_size || !newest) {
        return false;
    }
    deferred.m = newest;
    deferred.ring = ring;
    deferred.offset = offset;
    deferred.length = length;
    return true;
}

bool segments_holds(const struct mbuf *m)
{
    return m && deferred.m == m;
}

static struct payload deferred_payload(void)
{
    const char *first, *second;
    uint32_t first_length, second_length;

    sb_pieces(deferred.ring, &first, &first_length, &second, &second_length);
    if (deferred.offset >= first_length) {
        return (struct payload){ second + (deferred.offset - first_length), deferred.length, NULL };
    }
    return (struct payload){ first + deferred.offset, MIN(first_length - deferred.offset, deferred.length), second };
}

/* The frame has to wait, the ring will not: takes its payload along. */
static void keep_payload(struct mbuf *m)
{
    struct payload payload = deferred_payload();

    deferred.m = NULL;
    m_inc(m, m->m_len);
    char *target = mtod(m, char *) + m->m_len - deferred.length;
    memcpy(target, payload.first, payload.first_length);
    memcpy(target + payload.first_length, payload.second, deferred.length - payload.first_length);
    m->m_flags |= M_SEGMENTS | (int)(segment_size << M_SEGMENT_SIZE_SHIFT);
}

static uint32_t segment_count(void)
{
    return (deferred.length + segment_size - 1) / segment_size;
}

/* ip_output without its bound on the length: what is longer than the MTU is cut as TCP, not as IP. */
static void output_ip4(struct socket *so, struct mbuf *m)
{
    struct ip *ip = mtod(m, struct ip *);

    ip->ip_v = IPVERSION;
    ip->ip_hl = sizeof(*ip) >> 2;
    ip->ip_off = htons(ip->ip_off & IP_DF);
    ip->ip_id = htons(so->slirp->ip_id);
    ip->ip_len = htons(ip->ip_len);
    so->slirp->ip_id += segment_count();
    if_output(so, m);
}

int segments_ip_output(struct socket *so, struct mbuf *m)
{
    if (!segments_holds(m)) {
        return __real_ip_output(so, m);
    }
    output_ip4(so, m);
    if (deferred.m) {
        keep_payload(m);
    }
    return 0;
}

int segments_ip6_output(struct socket *so, struct mbuf *m, int fast)
{
    int result = __real_ip6_output(so, m, fast);

    if (segments_holds(m)) {
        keep_payload(m);
    }
    return result;
}

bool segments_take(const struct mbuf *m, uint32_t headers_length, struct payload *payload, uint32_t *size)
{
    if (segments_holds(m)) {
        *payload = deferred_payload();
        *size = segment_size;
        deferred.m = NULL;
        return true;
    }
    if (m->m_flags & M_SEGMENTS) {
        *payload = (struct payload){ mtod(m, const char *) + headers_length, m->m_len - headers_length, NULL };
        *size = (uint32_t)m->m_flags >> M_SEGMENT_SIZE_SHIFT;
        return true;
    }
    return false;
}
