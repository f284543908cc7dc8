#include "socket-poller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "socket-calls.h"
#include "socket-datagrams.h"
#include "throw.h"

/* Events of a batch; after them others on the event loop have their turn. */
#define MAX_EVENTS 256

/* An id is a slot's number and, above it, how often the slot was used. */
#define SLOT_BITS 20
#define MAX_SLOTS (1u << SLOT_BITS)
#define SLOT_MASK (MAX_SLOTS - 1)
#define NO_SLOT UINT32_MAX
#define FIRST_SLOTS 16

struct socket_slot *find_socket(struct poller *poller, int32_t id)
{
    uint32_t number = (uint32_t)id & SLOT_MASK;
    if (id <= 0 || number >= poller->slot_count || poller->slots[number].id != id)
        return NULL;
    return &poller->slots[number];
}

/* `next_free` of a free slot leads on; its `fd` keeps the last id, from which the next follows. */
static bool grow_slots(struct poller *poller)
{
    uint32_t count = poller->slot_count == 0 ? FIRST_SLOTS : poller->slot_count * 2;
    if (count > MAX_SLOTS)
        return false;
    struct socket_slot *slots = realloc(poller->slots, count * sizeof *slots);
    if (slots == NULL)
        return false;
    for (uint32_t i = poller->slot_count; i < count; i++)
        slots[i] = (struct socket_slot){.id = 0, .fd = (int)i, .next_free = i + 1 < count ? i + 1 : NO_SLOT};
    poller->slots = slots;
    poller->first_free = poller->slot_count;
    poller->slot_count = count;
    return true;
}

static int32_t next_id(const struct socket_slot *slot)
{
    uint32_t id = (uint32_t)slot->fd + MAX_SLOTS;
    return (int32_t)(id > INT32_MAX ? (id & SLOT_MASK) + MAX_SLOTS : id);
}

int32_t add_socket(struct poller *poller, int fd, enum socket_kind kind)
{
    if (poller->closed || (poller->first_free == NO_SLOT && !grow_slots(poller))) {
        close(fd);
        return answer_of(poller->closed ? EBADF : ENOMEM);
    }
    struct socket_slot *slot = &poller->slots[poller->first_free];
    int32_t id = next_id(slot);
    struct epoll_event event = {
        .events = EPOLLET | EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI,
        .data.u64 = (uint64_t)id,
    };
    if (epoll_ctl(poller->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        int error = errno;
        close(fd);
        return answer_of(error);
    }
    poller->first_free = slot->next_free;
    *slot = (struct socket_slot){.id = id, .fd = fd, .kind = kind};
    return id;
}

void remove_socket(struct poller *poller, struct socket_slot *slot)
{
    if (poller->staged != NULL && poller->staged->id == slot->id)
        poller->staged->id = 0;
    /* The kernel takes a closed descriptor out of the epoll set by itself; EINTR says that it is closed, too (close(2)). */
    close(slot->fd);
    *slot = (struct socket_slot){.id = 0, .fd = slot->id, .next_free = poller->first_free};
    poller->first_free = (uint32_t)(slot - poller->slots);
}

static void release(struct poller *poller)
{
    if (--poller->references > 0)
        return;
    free(poller->slots);
    free(poller->staged);
    free(poller);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct poller *poller = handle->data;
    if (--poller->handles == 0)
        napi_remove_async_cleanup_hook(poller->hook);
    release(poller);
}

void close_poller(struct poller *poller)
{
    if (poller->closed)
        return;
    for (uint32_t i = 0; i < poller->slot_count; i++)
        if (poller->slots[i].id != 0)
            remove_socket(poller, &poller->slots[i]);
    poller->closed = true;
    uv_poll_stop(&poller->poll);
    uv_close((uv_handle_t *)&poller->poll, on_handle_closed);
    if (poller->handles > 1)
        uv_close((uv_handle_t *)&poller->busy.prepare, on_handle_closed);
    close(poller->epoll_fd);
    poller->epoll_fd = -1;
    napi_async_destroy(poller->env, poller->context);
    napi_delete_reference(poller->env, poller->callback);
    napi_delete_reference(poller->env, poller->events);
    napi_delete_reference(poller->env, poller->resource);
}

static void on_environment_end(napi_async_cleanup_hook_handle hook, void *data)
{
    (void)hook;
    close_poller(data);
}

static void on_collected(napi_env env, void *data, void *hint)
{
    (void)env;
    (void)hint;
    release(data);
}

/* Calls JavaScript from the event loop. */
static void emit(struct poller *poller, int32_t count)
{
    napi_env env = poller->env;
    napi_value callback, resource, argument;
    if (napi_get_reference_value(env, poller->callback, &callback) != napi_ok ||
        napi_get_reference_value(env, poller->resource, &resource) != napi_ok ||
        napi_create_int32(env, count, &argument) != napi_ok)
        return;
    if (napi_make_callback(env, poller->context, resource, callback, 1, &argument, NULL) == napi_ok)
        return;
    /* It threw: as for any other callback of Node, that is an uncaught exception. A worker being terminated throws nothing. */
    bool pending = false;
    napi_value error;
    if (napi_is_exception_pending(env, &pending) == napi_ok && pending &&
        napi_get_and_clear_last_exception(env, &error) == napi_ok)
        napi_fatal_exception(env, error);
}

/* Puts what is to be told into JavaScript's array; answers how many. */
static int32_t list_events(struct poller *poller, const struct epoll_event *found, int count)
{
    napi_value value;
    struct view view;
    int32_t listed = 0;
    if (napi_get_reference_value(poller->env, poller->events, &value) != napi_ok || value == NULL ||
        !view_of(poller->env, value, napi_int32_array, &view) || view.length < 2 * MAX_EVENTS)
        return 0;
    int32_t *events = view.data;
    for (int i = 0; i < count; i++) {
        int32_t id = (int32_t)found[i].data.u64;
        uint32_t bits = found[i].events;
        struct socket_slot *slot = find_socket(poller, id);
        if (slot == NULL)
            continue;
        bool failed = keeps_error(slot, bits & EPOLLERR);
        bits = failed ? bits | EPOLLERR : bits & ~(uint32_t)EPOLLERR;
        if (bits == 0)
            continue;
        events[2 * listed] = id;
        events[2 * listed + 1] = (int32_t)bits;
        listed++;
    }
    return listed;
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct poller *poller = handle->data;
    struct epoll_event found[MAX_EVENTS];
    napi_handle_scope scope;
    (void)status;
    (void)events;
    if (poller->closed)
        return;
    int count = epoll_wait(poller->epoll_fd, found, MAX_EVENTS, 0);
    if (count <= 0 || napi_open_handle_scope(poller->env, &scope) != napi_ok)
        return;
    int32_t listed = list_events(poller, found, count);
    /* JavaScript may close the poller, which keeps its memory for as long as the handle closes. */
    if (listed > 0)
        emit(poller, listed);
    napi_close_handle_scope(poller->env, scope);
}

/* The references and the context that a poller holds while it is open, and the object of its calls. */
static napi_value hold(struct poller *poller, napi_value events, napi_value callback)
{
    napi_env env = poller->env;
    napi_value name, calls, resource;
    if (napi_create_object(env, &resource) != napi_ok ||
        napi_create_reference(env, resource, 1, &poller->resource) != napi_ok ||
        napi_create_reference(env, events, 1, &poller->events) != napi_ok ||
        napi_create_reference(env, callback, 1, &poller->callback) != napi_ok ||
        napi_create_string_utf8(env, "slirp-wasm:sockets", NAPI_AUTO_LENGTH, &name) != napi_ok ||
        napi_async_init(env, resource, name, &poller->context) != napi_ok ||
        napi_create_object(env, &calls) != napi_ok)
        return NULL;
    for (size_t i = 0; i < socket_call_count; i++) {
        napi_value function;
        if (napi_create_function(env, socket_calls[i].name, NAPI_AUTO_LENGTH, socket_calls[i].function, poller,
                                 &function) != napi_ok ||
            napi_add_finalizer(env, function, poller, on_collected, NULL, NULL) != napi_ok)
            return NULL;
        poller->references++;
        if (napi_set_named_property(env, calls, socket_calls[i].name, function) != napi_ok)
            return NULL;
    }
    return calls;
}

napi_value create_poller(napi_env env, napi_callback_info info)
{
    napi_value arguments[3], calls;
    napi_valuetype callback_type;
    uint32_t busy_poll_us;
    struct view view;
    uv_loop_t *loop;
    if (!read_arguments(env, info, 3, arguments, NULL) || !read_uint32(env, arguments[2], &busy_poll_us))
        return NULL;
    if (busy_poll_us > MAX_BUSY_POLL_US)
        return throw_type(env, "at most 1000 us of busy polling are expected");
    if (!view_of(env, arguments[0], napi_int32_array, &view) || view.length < 2 * MAX_EVENTS ||
        napi_typeof(env, arguments[1], &callback_type) != napi_ok || callback_type != napi_function)
        return throw_type(env, "an Int32Array of 512 and a callback are expected");
    if (napi_get_uv_event_loop(env, &loop) != napi_ok)
        return throw_type(env, "this environment has no event loop");
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        return throw_errno(env, errno, "epoll_create1");
    struct poller *poller = calloc(1, sizeof *poller);
    int error = poller == NULL ? -ENOMEM : uv_poll_init(loop, &poller->poll, epoll_fd);
    if (error != 0) {
        close(epoll_fd);
        free(poller);
        return throw_errno(env, -error, "uv_poll_init");
    }
    poller->env = env;
    poller->epoll_fd = epoll_fd;
    poller->references = 1;
    poller->handles = 1;
    poller->first_free = NO_SLOT;
    poller->poll.data = poller;
    /* From here on the handle is in the event loop: every failure goes through its closing, as the environment's end does. */
    if (napi_add_async_cleanup_hook(env, on_environment_end, poller, &poller->hook) != napi_ok ||
        (calls = hold(poller, arguments[0], arguments[1])) == NULL ||
        uv_poll_start(&poller->poll, UV_READABLE, on_poll) != 0)
        napi_fatal_error("createPoller", NAPI_AUTO_LENGTH, "out of memory", NAPI_AUTO_LENGTH);
    /* Nothing is open yet. */
    uv_unref((uv_handle_t *)&poller->poll);
    if (busy_poll_us > 0 && start_busy_poll(&poller->busy, loop, busy_poll_us) == 0) {
        poller->busy.prepare.data = poller;
        poller->handles++;
        poller->references++;
    }
    return calls;
}
