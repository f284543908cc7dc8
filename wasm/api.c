/*
 * The calls of libslirp's interface that take a callback or a structure: forwards, guest forwards without a socket, saved
 * states. The others are exported as they are (exports.json).
 */
#include "slirp.h"

#include "host.h"
#include "lookup.h"
#include "stack.h"

/*
 * Adds the forward whose host socket JavaScript has bound and offers by host_adopt_bound. host and guest are sockaddrs. 0, or an
 * errno made negative.
 */
int api_add_hostfwd(const struct sockaddr *host, const struct sockaddr *guest, int flags)
{
    errno = EINVAL;
    socklen_t host_length = sockaddr_size((const struct sockaddr_storage *)host);
    socklen_t guest_length = sockaddr_size((const struct sockaddr_storage *)guest);
    return slirp_add_hostxfwd(the_slirp, host, host_length, guest, guest_length, flags) < 0 ? -errno : 0;
}

/* Removes the forward of a descriptor. libslirp's own call compares addresses, which a unix socket or [::] does not survive. */
int api_remove_hostfwd(int fd, int is_udp)
{
    struct socket *head = is_udp ? &the_slirp->udb : &the_slirp->tcb;
    for (struct socket *so = head->so_next; so != head; so = so->so_next) {
        if (so->s == fd && (so->so_state & SS_HOSTFWD)) {
            close(fd);
            sofree(so);
            return 0;
        }
    }
    return -ENOENT;
}

static slirp_ssize_t guestfwd_write(const void *bytes, size_t length, void *opaque)
{
    host_guestfwd_data((int)(intptr_t)opaque, bytes, length);
    return length;
}

/* A guest forward whose data goes to JavaScript as host_guestfwd_data(id, …). address is in network order. */
int api_add_guestfwd(int id, uint32_t address, int port)
{
    struct in_addr guest = { .s_addr = address };
    return slirp_add_guestfwd(the_slirp, guestfwd_write, (void *)(intptr_t)id, &guest, port);
}

/* A guest forward that connects to what JavaScript knows under `name` (host_connect with a unix address of that path). */
int api_add_guestfwd_connect(const char *name, uint32_t address, int port)
{
    struct in_addr guest = { .s_addr = address };
    return slirp_add_unix(the_slirp, name, &guest, port);
}

int api_add_guestfwd_command(const char *command_line, uint32_t address, int port)
{
    struct in_addr guest = { .s_addr = address };
    return slirp_add_exec(the_slirp, command_line, &guest, port);
}

struct socket *slirp_find_ctl_socket(Slirp *slirp, struct in_addr guest_addr, int guest_port);

/* Room for data towards the guest on a guest forward of api_add_guestfwd. The ring grows first: it is empty until used. */
size_t api_guestfwd_room(uint32_t address, int port)
{
    struct in_addr guest = { .s_addr = address };
    struct socket *so = slirp_find_ctl_socket(the_slirp, guest, port);
    if (!so) {
        return 0;
    }
    sb_grow(&so->so_snd, so->so_snd.sb_limit);
    return slirp_socket_can_recv(the_slirp, guest, port);
}

void api_guestfwd_send(uint32_t address, int port, const uint8_t *bytes, int length)
{
    struct in_addr guest = { .s_addr = address };
    if (length > 0 && (size_t)length <= api_guestfwd_room(address, port)) {
        slirp_socket_recv(the_slirp, guest, port, bytes, length);
    }
}

/* A saved state, as slirp_state_save writes it and slirp_state_load reads it. */
struct state_text {
    uint8_t *bytes;
    size_t length;
    size_t position; /* of reading */
};

static slirp_ssize_t state_write(const void *bytes, size_t length, void *opaque)
{
    struct state_text *text = opaque;
    text->bytes = g_realloc(text->bytes, text->length + length);
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    return length;
}

static slirp_ssize_t state_read(void *bytes, size_t length, void *opaque)
{
    struct state_text *text = opaque;
    size_t left = text->length - text->position;
    length = MIN(length, left);
    memcpy(bytes, text->bytes + text->position, length);
    text->position += length;
    return length;
}

/* Answers the address of {pointer, length}; free both with free(). NULL where it fails. */
uint32_t *api_state_save(void)
{
    struct state_text text = { 0 };
    /* The format stores a ring's size and offsets inside it; an offset inside nothing would not load. */
    for (struct socket *so = the_slirp->tcb.so_next; so != &the_slirp->tcb; so = so->so_next) {
        sb_grow(&so->so_snd, 1);
        sb_grow(&so->so_rcv, 1);
    }
    if (slirp_state_save(the_slirp, state_write, &text) < 0) {
        free(text.bytes);
        return NULL;
    }
    uint32_t *answer = g_malloc(2 * sizeof(*answer));
    answer[0] = (uint32_t)(uintptr_t)text.bytes;
    answer[1] = text.length;
    return answer;
}

int api_state_load(uint8_t *bytes, size_t length, int version)
{
    struct state_text text = { .bytes = bytes, .length = length };
    int answer = slirp_state_load(the_slirp, version, state_read, &text);
    lookup_rebuild(the_slirp);
    stack_loaded();
    return answer;
}

