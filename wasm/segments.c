/*
 * TCP data towards the guest, many segments at once.
 *
 * libslirp makes a segment at a time: it takes an mbuf, copies from the ring, sums, queues, copies behind an Ethernet header, copies into the
 * area. Here tcp_output is shown a largest segment of many times the guest's own, so that it runs once for as much as there is data
 * and window for; the payload stays in the ring; and if_encap, the edge, copies it from there straight into the area of frames, the
 * checksum taken on the way. A NIC that takes long frames (TSO) gets one, marked with the guest's true segment size and its checksum left
 * to do; for any other NIC the frame is cut there.
 *
 * A frame whose neighbour is not known yet waits in libslirp's queue: then the payload is copied into its mbuf after all, which
 * carries the segment size along.
 */
#include "slirp.h"

#include "checksum.h"
#include "frames.h"
#include "offload.h"
#include "segments.h"
#include "shared.h"
#include "window-scale.h"

enum {
    /* What an IP packet can hold, of either version. */
    MAX_PAYLOAD = IP_MAXPACKET - (int)sizeof(struct ip6) - (int)sizeof(struct tcphdr),
    /* Bits of m_flags that libslirp does not use: a waiting frame that is to be cut, and its segment size. */
    M_SEGMENTS = 0x100,
    M_SEGMENT_SIZE_SHIFT = 16,
};

/* Bytes in one or two pieces. */
struct payload {
    const char *first;
    uint32_t first_length;
    const char *second;
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
int __real_if_encap(Slirp *slirp, struct mbuf *ifm);

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

static bool fill_ethernet_header(Slirp *slirp, const struct mbuf *m, struct ethhdr *header)
{
    const struct ip *ip = mtod(m, const struct ip *);

    if (ip->ip_v == IPVERSION) {
        header->h_proto = htons(ETH_P_IP);
        memcpy(header->h_source, "\x52\x55", 2);
        memcpy(header->h_source + 2, &slirp->vhost_addr, sizeof(slirp->vhost_addr));
        return arp_table_search(slirp, ip->ip_dst.s_addr, header->h_dest);
    }
    const struct ip6 *ip6 = mtod(m, const struct ip6 *);
    header->h_proto = htons(ETH_P_IPV6);
    in6_compute_ethaddr(ip6->ip_src, header->h_source);
    return ndp_table_search(slirp, ip6->ip_dst, header->h_dest);
}

/* Copies bytes; with their sum where that is wanted. */
static uint32_t copy_bytes(uint8_t *target, const char *bytes, uint32_t length, bool wants_sum)
{
    if (wants_sum) {
        return checksum_add_copy(0, target, bytes, length);
    }
    memcpy(target, bytes, length);
    return 0;
}

/*
 * Copies a part of the payload, from the one piece or both. An address behind a piece must not even go along with a length of 0: a ring
 * may lie at the end of linear memory, and memory.copy traps on an address behind that.
 */
static uint32_t copy_part(uint8_t *target, const struct payload *payload, uint32_t offset, uint32_t length, bool wants_sum)
{
    if (offset >= payload->first_length) {
        return copy_bytes(target, payload->second + (offset - payload->first_length), length, wants_sum);
    }
    uint32_t of_first = MIN(length, payload->first_length - offset);
    uint32_t sum = copy_bytes(target, payload->first + offset, of_first, wants_sum);
    if (length > of_first) {
        sum = checksum_join(sum, copy_bytes(target + of_first, payload->second, length - of_first, wants_sum), of_first);
    }
    return sum;
}

/* What all frames of one segment of tcp_output's have in common. */
struct segments {
    const struct ethhdr *ethernet;
    const uint8_t *headers; /* IP and TCP */
    uint32_t headers_length;
    uint32_t ip_length; /* of the IP header alone */
    struct payload payload;
    uint32_t length; /* of the payload */
    uint32_t size; /* of a segment */
};

/* The sum of the pseudo header. */
static uint32_t pseudo_sum(const struct segments *all, uint32_t tcp_length)
{
    uint32_t addresses = all->ip_length == sizeof(struct ip) ? 2 * sizeof(struct in_addr) : 2 * sizeof(struct in6_addr);

    /* Both versions have the addresses at the end of the header. */
    return checksum_add(htons(IPPROTO_TCP) + htons((uint16_t)tcp_length), all->headers + all->ip_length - addresses,
                        addresses);
}

static void adapt_ip_header(uint8_t *header, const struct segments *all, uint32_t length, uint32_t index)
{
    if (all->ip_length == sizeof(struct ip)) {
        struct ip *ip = (struct ip *)header;
        ip->ip_len = htons((uint16_t)length);
        ip->ip_id = htons((uint16_t)(ntohs(ip->ip_id) + index));
        ip->ip_sum = 0;
        ip->ip_sum = ~checksum_fold(checksum_add(0, ip, sizeof(*ip)));
    } else {
        ((struct ip6 *)header)->ip_pl = htons((uint16_t)(length - sizeof(struct ip6)));
    }
}

static void send_part(const struct segments *all, uint32_t offset, uint32_t length)
{
    uint32_t frame_length = ETH_HLEN + all->headers_length + length;
    uint8_t *frame = frames_begin(MAX(frame_length, ETH_MINLEN));
    if (!frame) {
        return;
    }
    uint8_t *ip = frame + ETH_HLEN;
    struct tcphdr *tcp = (struct tcphdr *)(ip + all->ip_length);
    uint32_t tcp_length = frame_length - ETH_HLEN - all->ip_length;
    bool leaves_sum = shared.offloads & OFFLOAD_GUEST_CHECKSUM;

    memcpy(frame, all->ethernet, ETH_HLEN);
    memcpy(ip, all->headers, all->headers_length);
    adapt_ip_header(ip, all, frame_length - ETH_HLEN, offset / all->size);
    tcp->th_seq = htonl(ntohl(tcp->th_seq) + offset);
    if (offset + length < all->length) {
        tcp->th_flags &= ~(TH_FIN | TH_PUSH);
    }
    uint32_t sum = pseudo_sum(all, tcp_length);
    uint32_t payload_sum = copy_part(frame + frame_length - length, &all->payload, offset, length, !leaves_sum);
    tcp->th_sum = 0;
    if (leaves_sum) {
        tcp->th_sum = checksum_fold(sum);
        offload_describe(frame, (uint8_t *)tcp - frame, length > all->size ? all->size : 0);
    } else {
        tcp->th_sum = ~checksum_fold(checksum_add(sum + payload_sum, tcp, tcp_length - length));
    }
    if (frame_length < ETH_MINLEN) {
        memset(frame + frame_length, 0, ETH_MINLEN - frame_length);
    }
    frames_end(frame, MAX(frame_length, ETH_MINLEN));
}

/* Answers whether it was a long frame. */
static bool send_segments(const struct ethhdr *ethernet, const struct mbuf *m)
{
    bool is_ip4 = mtod(m, const struct ip *)->ip_v == IPVERSION;
    struct segments all = {
        .ethernet = ethernet,
        .headers = mtod(m, const uint8_t *),
        .ip_length = is_ip4 ? sizeof(struct ip) : sizeof(struct ip6),
    };

    all.headers_length = all.ip_length + (((const struct tcphdr *)(all.headers + all.ip_length))->th_off << 2);
    all.length = m->m_len - all.headers_length;
    if (segments_holds(m)) {
        all.payload = deferred_payload();
        all.size = segment_size;
        deferred.m = NULL;
    } else if (m->m_flags & M_SEGMENTS) {
        all.payload = (struct payload){ (const char *)all.headers + all.headers_length, all.length, NULL };
        all.size = (uint32_t)m->m_flags >> M_SEGMENT_SIZE_SHIFT;
    } else {
        return false;
    }
    uint32_t wanted = is_ip4 ? OFFLOAD_GUEST_TSO4 : OFFLOAD_GUEST_TSO6;
    uint32_t step = shared.offloads & wanted ? all.length : all.size;
    for (uint32_t offset = 0; offset < all.length; offset += step) {
        send_part(&all, offset, MIN(step, all.length - offset));
    }
    return true;
}

/* if_encap without a copy of its own. Answers false where the frame has to wait, as it does. */
int __wrap_if_encap(Slirp *slirp, struct mbuf *m)
{
    struct ethhdr ethernet;

    if (!fill_ethernet_header(slirp, m, &ethernet)) {
        return __real_if_encap(slirp, m);
    }
    if (!send_segments(&ethernet, m)) {
        uint32_t length = ETH_HLEN + m->m_len;
        uint8_t *frame = frames_begin(MAX(length, ETH_MINLEN));
        if (frame) {
            memcpy(frame, &ethernet, ETH_HLEN);
            memcpy(frame + ETH_HLEN, m->m_data, m->m_len);
            memset(frame + length, 0, length < ETH_MINLEN ? ETH_MINLEN - length : 0);
            frames_end(frame, MAX(length, ETH_MINLEN));
        }
    }
    return 1;
}
