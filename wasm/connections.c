/*
 * The table of connections for JavaScript: libslirp's own is a text, and leaves out IPv6 and how much has passed.
 */
#include "slirp.h"

#include "stack.h"

/* As src/slirp/connections.ts reads it. */
struct connection {
    double bytes_from_guest;
    double bytes_to_guest;
    uint32_t queued_from_guest; /* taken from the guest, not yet by the host */
    uint32_t queued_to_guest; /* not yet acknowledged by the guest */
    uint8_t protocol; /* IPPROTO_… */
    uint8_t state; /* TCPS_…, for TCP */
    bool is_connecting; /* the host has not answered yet */
    bool is_incoming; /* the host began */
    uint32_t reserved;
    union slirp_sockaddr guest;
    union slirp_sockaddr remote; /* as the guest sees it */
};

struct connections {
    uint32_t count;
    uint32_t record_bytes;
    struct connection records[];
};

static const struct {
    size_t head;
    uint8_t protocol;
} lists[] = {
    { offsetof(Slirp, tcb), IPPROTO_TCP },
    { offsetof(Slirp, udb), IPPROTO_UDP },
    { offsetof(Slirp, icmp), IPPROTO_ICMP },
};

/* Forwards are no connections. */
static bool is_connection(const struct socket *so)
{
    return !(so->so_state & (SS_FACCEPTCONN | SS_HOSTFWD));
}

static void describe(const struct socket *so, uint8_t protocol, struct connection *target)
{
    *target = (struct connection){
        .bytes_from_guest = so->so_rcv.sb_through,
        .bytes_to_guest = so->so_snd.sb_through,
        .queued_from_guest = so->so_rcv.sb_cc,
        .queued_to_guest = so->so_snd.sb_cc,
        .protocol = protocol,
        .state = so->so_tcpcb ? so->so_tcpcb->t_state : TCPS_CLOSED,
        .is_connecting = so->so_state & SS_ISFCONNECTING,
        .is_incoming = so->so_state & SS_INCOMING,
        .guest = so->lhost,
        .remote = so->fhost,
    };
}

/* To be freed by who asked. */
struct connections *connections_list(void)
{
    uint32_t limit = 0, count = 0;

    for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
        struct socket *head = (struct socket *)((char *)the_slirp + lists[i].head);
        for (struct socket *so = head->so_next; so != head; so = so->so_next) {
            limit++;
        }
    }
    struct connections *all = g_malloc(sizeof(*all) + limit * sizeof(*all->records));
    for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
        struct socket *head = (struct socket *)((char *)the_slirp + lists[i].head);
        for (struct socket *so = head->so_next; so != head; so = so->so_next) {
            if (is_connection(so)) {
                describe(so, lists[i].protocol, &all->records[count++]);
            }
        }
    }
    all->count = count;
    all->record_bytes = sizeof(*all->records);
    return all;
}
