/*
 * Window scaling (RFC 7323, 2) for libslirp, which has the fields for it and not the code.
 *
 * Without it no more than 64 KiB are under way, and every guest gets its data in lock-step: 44 segments, an acknowledgement, 44
 * segments. An emulated guest and its stack then never work at the same time.
 *
 * - SYN and SYN-ACK towards the guest get the option as they go out (ip_output); a SYN-ACK only where the guest's SYN had it.
 * - What the guest's SYN says is read as the connection comes about: by the segment that tcp_input has in hand, or by the SYN that
 *   was kept while the host was being connected to (connecting.c).
 * - libslirp stores the guest's window as it stands in the segment, and compares it so. It is scaled only while tcp_output looks.
 * - Our own window libslirp scales itself, once rcv_scale is set.
 */
#include "slirp.h"

#include "checksum.h"
#include "lookup.h"
#include "offload.h"
#include "segments.h"
#include "window-scale.h"

enum {
    OPTION_BYTES = 4, /* NOP, kind, length, shift */
    /*
     * Windows of up to 512 KiB, or 256 where there are many connections: a host that does not read leaves that much of each in the ring,
     * and linear memory ends at 4 GiB.
     */
    RECEIVE_SHIFT = 3,
    RECEIVE_SHIFT_OF_MANY = 2,
    MANY_SOCKETS = 1000,
    WINDOW_BYTES = 64 * 1024, /* without a shift */
    /* Under way to a guest that scales. With libslirp's 128 KiB, two long frames, guest and stack wait for each other. */
    SEND_BYTES = 256 * 1024,
    MAX_SHIFT = 14, /* RFC 7323 2.3 */
    KIND_WINDOW = 3,
    WINDOW_LENGTH = 3,
};

/* The options of the SYN that tcp_input has in hand; NULL while it has none. */
static const uint8_t *syn_options;
static size_t syn_options_length;

void __real_tcp_input(struct mbuf *m, int iphlen, struct socket *inso, unsigned short af);

const uint8_t *tcp_find_option(const uint8_t *options, size_t length, uint8_t kind, uint8_t wanted_length)
{
    const uint8_t *option = options, *end = options + length;

    while (option < end && *option != TCPOPT_EOL) {
        size_t size = *option == TCPOPT_NOP ? 1 : end - option > 1 ? option[1] : 0;
        if (size == 0 || size > (size_t)(end - option)) {
            return NULL; /* no option at all: the rest means nothing */
        }
        if (*option == kind && size == wanted_length) {
            return option;
        }
        option += size;
    }
    return NULL;
}

/* Decided once for each connection: our SYN, or SYN-ACK, says it. */
static uint8_t receive_shift(struct tcpcb *tp)
{
    if (!tp->request_r_scale) {
        tp->request_r_scale = lookup_count() > MANY_SOCKETS ? RECEIVE_SHIFT_OF_MANY : RECEIVE_SHIFT;
    }
    return tp->request_r_scale;
}

static void widen_buffers(struct tcpcb *tp)
{
    struct socket *so = tp->t_socket;

    so->so_rcv.sb_limit = WINDOW_BYTES << tp->rcv_scale;
    if (tp->rcv_scale == RECEIVE_SHIFT) {
        so->so_snd.sb_limit = MAX(so->so_snd.sb_limit, SEND_BYTES);
    }
}

void window_scale_learn(struct tcpcb *tp, const uint8_t *options, size_t length)
{
    const uint8_t *option = tcp_find_option(options, length, KIND_WINDOW, WINDOW_LENGTH);

    segments_learn(tp, options, length);
    if (option) {
        tp->t_flags |= TF_RCVD_SCALE;
        tp->snd_scale = MIN(option[2], MAX_SHIFT);
        tp->rcv_scale = receive_shift(tp);
        widen_buffers(tp);
    }
}

void window_scale_learn_current(struct tcpcb *tp)
{
    if (syn_options && !(tp->t_flags & TF_RCVD_SCALE)) {
        window_scale_learn(tp, syn_options, syn_options_length);
    }
}

void __wrap_tcp_input(struct mbuf *m, int iphlen, struct socket *inso, unsigned short af)
{
    if (m && m->m_len >= iphlen + (int)sizeof(struct tcphdr)) {
        const struct tcphdr *header = (const struct tcphdr *)(mtod(m, uint8_t *) + iphlen);
        int header_length = header->th_off << 2;
        if ((header->th_flags & TH_SYN) && header_length >= (int)sizeof(*header) && m->m_len >= iphlen + header_length) {
            /* A copy: tcp_input turns the mbuf around and may free it. */
            static uint8_t options[60 - sizeof(struct tcphdr)];
            syn_options_length = header_length - sizeof(*header);
            memcpy(options, header + 1, syn_options_length);
            syn_options = options;
        }
    }
    if (m && offload_is_trusted()) {
        checksum_trust_next();
    }
    __real_tcp_input(m, iphlen, inso, af);
    checksum_trust_end();
    syn_options = NULL;
}

/* Adds to the one's complement sum that a checksum is the complement of (RFC 1071, RFC 1624). */
static uint16_t checksum_after(uint16_t checksum, uint32_t change)
{
    uint32_t sum = (uint16_t)~checksum + (change & 0xffff) + (change >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* Puts the option behind the others of a SYN without data, which ends with its header. Answers whether it did. */
static bool add_option(struct socket *so, struct mbuf *m, int ip_length)
{
    struct tcpcb *tp = sototcpcb(so);
    struct tcphdr *header = (struct tcphdr *)(mtod(m, uint8_t *) + ip_length);

    if (so->so_type != IPPROTO_TCP || !tp || m->m_len < ip_length + (int)sizeof(*header) || !(header->th_flags & TH_SYN)) {
        return false;
    }
    if (header->th_flags & TH_ACK) {
        window_scale_learn_current(tp);
        if (!(tp->t_flags & TF_RCVD_SCALE)) {
            return false;
        }
        /*
         * Where the guest's SYN was read before, tcp_output has set the limit back (tcp_mss) since it computed the window that this segment
         * promises: what the guest sends into that must find room.
         */
        widen_buffers(tp);
    }
    int header_length = header->th_off << 2;
    if (m->m_len != ip_length + header_length || M_FREEROOM(m) < OPTION_BYTES) {
        return false;
    }
    uint8_t option[OPTION_BYTES] = { TCPOPT_NOP, KIND_WINDOW, WINDOW_LENGTH, receive_shift(tp) };
    uint16_t words[2];
    memcpy(words, option, sizeof(words));
    memcpy((uint8_t *)header + header_length, option, sizeof(option));
    m->m_len += OPTION_BYTES;
    header->th_off += 1;
    /* The pseudo-header's length, the data offset in the upper four bits of its word, the option itself. */
    uint16_t sum = ntohs(header->th_sum);
    sum = checksum_after(sum, OPTION_BYTES);
    sum = checksum_after(sum, 1 << 12);
    sum = checksum_after(sum, ntohs(words[0]));
    sum = checksum_after(sum, ntohs(words[1]));
    header->th_sum = htons(sum);
    return true;
}

int __wrap_ip_output(struct socket *so, struct mbuf *m)
{
    struct ip *header = mtod(m, struct ip *);

    if (so && header->ip_p == IPPROTO_TCP && add_option(so, m, sizeof(*header))) {
        header->ip_len += OPTION_BYTES; /* in host order here */
    }
    return segments_ip_output(so, m);
}

int __wrap_ip6_output(struct socket *so, struct mbuf *m, int fast)
{
    struct ip6 *header = mtod(m, struct ip6 *);

    if (so && header->ip_nh == IPPROTO_TCP && add_option(so, m, sizeof(*header))) {
        header->ip_pl = htons(ntohs(header->ip_pl) + OPTION_BYTES);
    }
    return segments_ip6_output(so, m, fast);
}

/*
 * libslirp believes that a congestion window above the guest's window needs no growing, and compares it with the window as it stands in
 * the segment. So it is grown here: by what was acknowledged, or in avoidance by a segment a window (RFC 5681, 3.1; by bytes, for guests
 * acknowledge 44 segments at once).
 */
void window_scale_acknowledged(struct tcpcb *tp, uint32_t length)
{
    uint32_t window = tp->snd_cwnd;

    if (tp->t_flags & TF_RCVD_SCALE) {
        uint32_t more = window <= tp->snd_ssthresh ? length : MAX((uint64_t)tp->t_maxseg * length / window, 1);
        tp->snd_cwnd = MIN(window + more, (uint32_t)TCP_MAXWIN << tp->snd_scale);
    }
}

int window_scale_output(struct tcpcb *tp, int (*output)(struct tcpcb *tp))
{
    uint32_t window = tp->snd_wnd, largest = tp->max_sndwnd;
    uint32_t in_flight = tp->snd_max - tp->snd_una;

    if (!(tp->t_flags & TF_RCVD_SCALE)) {
        return output(tp);
    }
    if (in_flight && tp->snd_nxt == tp->snd_una && tp->snd_cwnd == tp->t_maxseg) {
        /* A loss was just noticed, and the threshold computed from the window without its scale (RFC 5681, 3.1, (4)). */
        tp->snd_ssthresh = MAX(in_flight / 2, 2u * tp->t_maxseg);
    }
    tp->snd_wnd = window << tp->snd_scale;
    tp->max_sndwnd = largest << tp->snd_scale;
    int result = output(tp);
    tp->snd_wnd = window;
    tp->max_sndwnd = largest;
    return result;
}
