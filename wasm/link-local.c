/*
 * The gateway's link-local address.
 *
 * libslirp sends router advertisements from fe80::2, whatever the gateway's own address is, but answers neighbour solicitations only
 * for link-local addresses that end as the gateway's or the name server's own address does. With any gateway other than
 * prefix::2 a guest would learn a default router that it cannot reach. So for what asks fe80::2 the gateway is, for the length of that
 * call, an address that ends in ::2.
 */
#include "slirp.h"

#include "ip6_icmp.h"

void __real_icmp6_input(struct mbuf *m);

static const struct in6_addr advertised = LINKLOCAL_ADDR;

/* True for a solicitation of the advertised address, or a packet sent to it. */
static bool concerns_advertised(struct mbuf *m)
{
    const struct ip6 *ip = mtod(m, struct ip6 *);
    const struct icmp6 *icmp = (const struct icmp6 *)(ip + 1);

    if (in6_equal(&ip->ip_dst, &advertised)) {
        return true;
    }
    return m->m_len >= (int)(sizeof(*ip) + ICMP6_NDP_NS_MINLEN) && icmp->icmp6_type == ICMP6_NDP_NS &&
           in6_equal(&icmp->icmp6_nns.target, &advertised);
}

void __wrap_icmp6_input(struct mbuf *m)
{
    Slirp *slirp = m->slirp;
    struct in6_addr gateway = slirp->vhost_addr6;

    if (concerns_advertised(m)) {
        memcpy(&slirp->vhost_addr6.s6_addr[8], &advertised.s6_addr[8], 8);
    }
    __real_icmp6_input(m);
    slirp->vhost_addr6 = gateway;
}
