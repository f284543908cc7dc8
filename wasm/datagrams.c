/*
 * UDP and ICMP echo between the guest and the host network.
 *
 * libslirp's sorecvfrom decides by the guest's last destination which virtual address an answer comes from, so that a guest that
 * asks the name server and another host from one port gets both answers from the same address. Here it is decided by who
 * answers: the resolver is the virtual name server, loopback is the gateway, everybody else is himself.
 */
#include "slirp.h"

#include "datagrams.h"
#include "descriptors.h"
#include "frames.h"
#include "host.h"
#include "ip_icmp.h"
#include "stack.h"

enum { DATAGRAMS_A_TURN = 64 }; /* then others have their turn; the rest stays in the host's queue */

/* Says who an answer comes from in the guest's view; sets so's foreign address to it, as libslirp keeps it. */
static void translate_source(struct socket *so, struct sockaddr_storage *source)
{
    Slirp *slirp = so->slirp;

    if (source->ss_family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)source;
        if (in->sin_addr.s_addr == htonl(NAME_SERVER_ADDRESS)) {
            in->sin_addr = slirp->vnameserver_addr;
        } else if ((ntohl(in->sin_addr.s_addr) >> 24) == IN_LOOPBACKNET) {
            in->sin_addr = slirp->vhost_addr;
        }
    } else {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)source;
        if (memcmp(&in6->sin6_addr, NAME_SERVER_ADDRESS6, 16) == 0) {
            in6->sin6_addr = slirp->vnameserver_addr6;
        } else if (in6_equal(&in6->sin6_addr, &in6addr_loopback)) {
            in6->sin6_addr = slirp->vhost_addr6;
        }
    }
}

static void report_error(struct socket *so, int error)
{
    if (!so->so_m) {
        return; /* nothing was sent that the error could be about */
    }
    if (so->so_lfamily == AF_INET) {
        uint8_t code = error == EHOSTUNREACH ? ICMP_UNREACH_HOST :
                       error == ENETUNREACH  ? ICMP_UNREACH_NET :
                                               ICMP_UNREACH_PORT;
        icmp_send_error(so->so_m, ICMP_UNREACH, code, 0, NULL);
    } else {
        uint8_t code = error == EHOSTUNREACH ? ICMP6_UNREACH_ADDRESS :
                       error == ENETUNREACH  ? ICMP6_UNREACH_NO_ROUTE :
                                               ICMP6_UNREACH_PORT;
        icmp6_send_error(so->so_m, ICMP6_UNREACH, code);
    }
}

static void pass_to_guest(struct socket *so, struct mbuf *m, struct sockaddr_storage *source)
{
    if (so->so_expire) {
        so->so_expire = curtime + (so->so_fport == htons(53) ? SO_EXPIREFAST : SO_EXPIRE);
    }
    translate_source(so, source);
    if ((so->so_state & SS_HOSTFWD) && soassign_guest_addr_if_needed(so) < 0) {
        m_free(m); /* no guest has been seen yet */
        return;
    }
    struct sockaddr_storage guest = so->lhost.ss;
    if (so->so_ffamily == AF_INET) {
        udp_output(so, m, (struct sockaddr_in *)source, (struct sockaddr_in *)&guest, so->so_iptos);
    } else {
        udp6_output(so, m, (struct sockaddr_in6 *)source, (struct sockaddr_in6 *)&guest);
    }
}

/* Answers false when there was nothing more. An error that was reported for the socket is told once, by whichever call comes first. */
static bool receive_one(int fd, struct socket *so)
{
    struct sockaddr_storage source;
    socklen_t source_length = sizeof(source);
    int waiting = host_next_length(fd);

    if (waiting == -EAGAIN || waiting == -EBADF) {
        descriptor_clear_ready(fd, SLIRP_POLL_IN | SLIRP_POLL_ERR | SLIRP_POLL_HUP);
        return false;
    }
    if (waiting < 0) {
        report_error(so, -waiting);
        return true;
    }
    struct mbuf *m = m_get(so->slirp);
    m->m_data += IF_MAXLINKHDR + (so->so_ffamily == AF_INET ? sizeof(struct udpiphdr) :
                                                              sizeof(struct ip6) + sizeof(struct udphdr));
    if (waiting > M_FREEROOM(m)) {
        m_inc(m, (m->m_data - m->m_dat) + waiting);
    }
    m->m_len = recvfrom(fd, m->m_data, M_FREEROOM(m), 0, (struct sockaddr *)&source, &source_length);
    if (m->m_len >= 0) {
        pass_to_guest(so, m, &source);
        return true;
    }
    int error = errno;
    m_free(m);
    if (error != EAGAIN) {
        report_error(so, error);
    }
    return true;
}

void datagram_drive(int fd, struct socket *so)
{
    if (so->so_type == IPPROTO_ICMPV6) {
        icmp6_receive(so);
        return;
    }
    if (so->so_type == IPPROTO_ICMP) {
        /* Either a real echo, or libslirp's substitute for one: a datagram to the echo port (icmp_input). */
        descriptor_get(fd)->kind == DESCRIPTOR_ECHO ? icmp_receive(so) : sorecvfrom(so);
        return;
    }
    for (int i = 0; i < DATAGRAMS_A_TURN && frames_have_output_room(); i++) {
        if (!receive_one(fd, so)) {
            return;
        }
    }
    descriptor_requeue(fd);
}

/* libslirp's clock is 32 bits of milliseconds and wraps after 49 days. */
static uint32_t left_of(const struct socket *so)
{
    int32_t left = (int32_t)(so->so_expire - curtime);
    return MAX(left, 0);
}

uint32_t datagrams_expire(void)
{
    uint32_t next = UINT32_MAX;
    struct socket *so, *following;

    for (so = the_slirp->udb.so_next; so != &the_slirp->udb; so = following) {
        following = so->so_next;
        if (so->so_expire && left_of(so) == 0) {
            udp_detach(so);
        } else if (so->so_expire) {
            next = MIN(next, left_of(so));
        }
    }
    for (so = the_slirp->icmp.so_next; so != &the_slirp->icmp; so = following) {
        following = so->so_next;
        if (so->so_expire && left_of(so) == 0) {
            icmp_detach(so);
        } else if (so->so_expire) {
            next = MIN(next, left_of(so));
        }
    }
    return next;
}
