/*
 * The end of a non-blocking connect.
 *
 * Refused is RST, as libslirp does it; for a host that cannot be reached, or does not answer, the guest gets the ICMP error that a
 * router would have sent (RFC 1122 4.2.3.9), for which libslirp has kept the guest's SYN.
 */
#include "slirp.h"

#include "connecting.h"
#include "descriptors.h"
#include "ip_icmp.h"
#include "window-scale.h"

static bool is_network(int error)
{
    return error == ENETUNREACH || error == ENETDOWN;
}

static void report_unreachable(struct socket *so, int error)
{
    struct mbuf *m = so->so_m;
    struct tcpiphdr *header = so->so_ti;
    bool v6 = so->so_ffamily == AF_INET6;
    uint8_t protocol_header[sizeof(struct ip6)] = { 0 };
    size_t ip_size = v6 ? sizeof(struct ip6) : sizeof(struct ip);

    so->so_m = NULL;
    if (v6) {
        struct ip6 *ip6 = (struct ip6 *)protocol_header;
        ip6->ip_v = IP6VERSION;
        ip6->ip_src = header->ti_src6;
        ip6->ip_dst = header->ti_dst6;
        ip6->ip_nh = IPPROTO_TCP;
        ip6->ip_pl = sizeof(struct tcphdr); /* host order, as ip6_input leaves it */
        ip6->ip_hl = IPDEFTTL;
    } else {
        struct ip *ip = (struct ip *)protocol_header;
        ip->ip_v = IPVERSION;
        ip->ip_hl = sizeof(struct ip) >> 2;
        ip->ip_src = header->ti_src;
        ip->ip_dst = header->ti_dst;
        ip->ip_p = IPPROTO_TCP;
        ip->ip_ttl = IPDEFTTL;
        ip->ip_len = sizeof(struct ip) + sizeof(struct tcphdr);
    }
    struct tcphdr tcp = header->ti_t;
    HTONL(tcp.th_seq);
    HTONL(tcp.th_ack);
    HTONS(tcp.th_win);
    HTONS(tcp.th_urp);
    char *start = (char *)header;
    memcpy(start, protocol_header, ip_size);
    memcpy(start + ip_size, &tcp, sizeof(tcp));
    m->m_data = start;
    m->m_len = ip_size + sizeof(tcp);
    if (v6) {
        icmp6_send_error(m, ICMP6_UNREACH, is_network(error) ? ICMP6_UNREACH_NO_ROUTE : ICMP6_UNREACH_ADDRESS);
    } else {
        icmp_send_error(m, ICMP_UNREACH, is_network(error) ? ICMP_UNREACH_NET : ICMP_UNREACH_HOST, 0, NULL);
    }
    m_free(m);
    tcp_close(sototcpcb(so));
}

/*
 * libslirp reads the options of a guest's SYN only when connect succeeds on the spot; when it answers later, as it does for a socket that
 * never blocks, the guest's largest segment is forgotten and it gets whatever the MTU allows (RFC 9293 3.7.1 forbids that).
 */
static void learn_options(struct socket *so)
{
    struct tcpiphdr *header = so->so_ti;
    const uint8_t *options = (uint8_t *)(header + 1);
    size_t length = (header->ti_off << 2) - sizeof(struct tcphdr);
    const uint8_t *segment = tcp_find_option(options, length, TCPOPT_MAXSEG, TCPOLEN_MAXSEG);

    if (segment) {
        tcp_mss(sototcpcb(so), segment[2] << 8 | segment[3]);
    }
    window_scale_learn(sototcpcb(so), options, length);
}

/* What only the host itself, or somebody speaking for it, can have said; everything else is said by a router. */
static bool was_refused(int error)
{
    return error == ECONNREFUSED || error == ECONNRESET || error == ECONNABORTED || error == EPIPE;
}

void connecting_finish(int fd, struct socket *so)
{
    int error = descriptor_ready(fd) & SLIRP_POLL_ERR ? descriptor_take_error(fd) : 0;

    if (error && !was_refused(error)) {
        report_unreachable(so, error);
        return;
    }
    so->so_state &= ~SS_ISFCONNECTING;
    if (error) {
        so->so_state &= SS_PERSISTENT_MASK;
        so->so_state |= SS_NOFDREF;
    } else {
        learn_options(so);
    }
    tcp_input(NULL, sizeof(struct ip), so, so->so_ffamily);
}
