/*
 * Finding the socket that a guest's packet belongs to: a hash table in place of libslirp's walk through all sockets.
 *
 * solookup compares the addresses of every socket until one fits; with 10,000 idle connections each segment of the other two
 * costs 10,000 comparisons. Here sockets stand in a table by what never changes of them: the guest's port and, for TCP, the
 * foreign port (a UDP socket takes each new destination as its foreign address).
 *
 * libslirp gives a socket its addresses only after it made it. So a new socket waits in `fresh` until the next look-up, by
 * when whoever made it has returned. Listening sockets made inside socket.c never come by here, and need not: no packet of the
 * guest belongs to them.
 */
#include "slirp.h"

#include "descriptors.h"
#include "lookup.h"

struct entry {
    struct socket *so;
    struct entry *next;
};

static struct entry **buckets;
static uint32_t bucket_count; /* a power of two */
static uint32_t entry_count;
static struct entry *fresh;

struct socket *__real_socreate(Slirp *slirp, int type);
void __real_sofree(struct socket *so);

/* sin_port and sin6_port lie in the same place. */
static uint32_t key_of(uint16_t guest_port, uint16_t foreign_port)
{
    return (guest_port | (uint32_t)foreign_port << 16) * 2654435761u; /* Knuth's multiplicative hash */
}

static uint32_t key_of_socket(const struct socket *so)
{
    return key_of(so->so_lport, so->so_type == IPPROTO_TCP ? so->so_fport : 0);
}

static struct entry **bucket_of(uint32_t key)
{
    return &buckets[key >> 15 & (bucket_count - 1)];
}

static void insert(struct entry *entry)
{
    struct entry **bucket = bucket_of(key_of_socket(entry->so));
    entry->next = *bucket;
    *bucket = entry;
}

static void grow(void)
{
    struct entry **old = buckets;
    uint32_t old_count = bucket_count;

    bucket_count = old_count ? old_count * 4 : 64;
    buckets = g_new0(struct entry *, bucket_count);
    for (uint32_t i = 0; i < old_count; i++) {
        for (struct entry *entry = old[i], *next; entry; entry = next) {
            next = entry->next;
            insert(entry);
        }
    }
    g_free(old);
}

uint32_t lookup_count(void)
{
    return entry_count;
}

static void settle_fresh(void)
{
    while (fresh) {
        struct entry *entry = fresh;
        fresh = entry->next;
        if (++entry_count > bucket_count) {
            grow();
        }
        insert(entry);
    }
}

static void remember(struct socket *so)
{
    struct entry *entry = g_new(struct entry, 1);
    entry->so = so;
    entry->next = fresh;
    fresh = entry;
}

struct socket *__wrap_socreate(Slirp *slirp, int type)
{
    struct socket *so = __real_socreate(slirp, type);
    if (type == IPPROTO_TCP || type == IPPROTO_UDP) {
        remember(so);
    }
    return so;
}

static bool remove_from(struct entry **link, const struct socket *so)
{
    for (; *link; link = &(*link)->next) {
        if ((*link)->so == so) {
            struct entry *entry = *link;
            *link = entry->next;
            g_free(entry);
            return true;
        }
    }
    return false;
}

static void forget(const struct socket *so)
{
    if (!remove_from(&fresh, so) && bucket_count && remove_from(bucket_of(key_of_socket(so)), so)) {
        entry_count--;
    }
}

void __wrap_sofree(struct socket *so)
{
    forget(so);
    descriptor_forget_socket(so);
    __real_sofree(so);
}

struct socket *__wrap_solookup(struct socket **last, struct socket *head, struct sockaddr_storage *guest,
                               struct sockaddr_storage *foreign)
{
    (void)head;
    settle_fresh();
    if (!bucket_count) {
        return NULL;
    }
    uint8_t type = foreign ? IPPROTO_TCP : IPPROTO_UDP;
    uint16_t foreign_port = foreign ? ((struct sockaddr_in *)foreign)->sin_port : 0;
    struct entry *entry = *bucket_of(key_of(((struct sockaddr_in *)guest)->sin_port, foreign_port));
    for (; entry; entry = entry->next) {
        struct socket *so = entry->so;
        if (so->so_type == type && so->lhost.ss.ss_family == guest->ss_family && sockaddr_equal(&so->lhost.ss, guest) &&
            (!foreign || (so->fhost.ss.ss_family == foreign->ss_family && sockaddr_equal(&so->fhost.ss, foreign)))) {
            *last = so;
            return so;
        }
    }
    return NULL;
}

static void take_in(struct socket *head)
{
    for (struct socket *so = head->so_next; so != head; so = so->so_next) {
        if (!(so->so_state & SS_FACCEPTCONN)) {
            forget(so);
            remember(so);
        }
    }
}

void lookup_rebuild(Slirp *slirp)
{
    take_in(&slirp->tcb);
    take_in(&slirp->udb);
}
