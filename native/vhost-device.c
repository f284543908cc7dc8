#include "vhost-device.h"

#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* The kernel's numbers of the rings. */
enum { RECEIVE, TRANSMIT, RING_COUNT };

/* Without these there are no headers of 12 bytes in little-endian rings, nor frames that fill several buffers. */
#define REQUIRED (1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_NET_F_MRG_RXBUF)

#define TRY(name, expression)                                                                                          \
    do {                                                                                                               \
        if ((expression) < 0) {                                                                                        \
            *call = name;                                                                                              \
            return errno;                                                                                              \
        }                                                                                                              \
    } while (0)

static int agree_on_features(struct vhost_device *device, const struct vhost_settings *settings, bool *event_index,
                             const char **call)
{
    uint64_t features = 0;
    TRY("VHOST_GET_FEATURES", ioctl(device->fd, VHOST_GET_FEATURES, &features));
    if ((features & REQUIRED) != REQUIRED) {
        *call = "VHOST_GET_FEATURES";
        return EOPNOTSUPP;
    }
    features &= REQUIRED | 1ULL << VIRTIO_RING_F_EVENT_IDX;
    *event_index = (features & 1ULL << VIRTIO_RING_F_EVENT_IDX) != 0;
    /* Who has no header has vhost-net put one in front, and take it away. */
    if (!settings->tap_has_header)
        features |= 1ULL << VHOST_NET_F_VIRTIO_NET_HDR;
    TRY("VHOST_SET_FEATURES", ioctl(device->fd, VHOST_SET_FEATURES, &features));
    return 0;
}

/* The memory begins at the device's address 0. */
static int share_memory(struct vhost_device *device, const char **call)
{
    struct {
        struct vhost_memory table;
        struct vhost_memory_region region;
    } memory = {
        .table = {.nregions = 1},
        .region = {.memory_size = RINGS_MEMORY, .userspace_addr = (uintptr_t)device->memory},
    };
    TRY("VHOST_SET_MEM_TABLE", ioctl(device->fd, VHOST_SET_MEM_TABLE, &memory));
    return 0;
}

static int set_ring(struct vhost_device *device, unsigned index, const struct vring *tables, uint32_t busy_poll_us,
                    const char **call)
{
    struct vhost_vring_state size = {index, RING_SIZE}, base = {index, 0}, busy = {index, busy_poll_us};
    struct vhost_vring_file kick = {index, device->kicks[index]}, called = {index, device->call};
    struct vhost_vring_addr addresses = {
        .index = index,
        .desc_user_addr = (uintptr_t)tables->desc,
        .avail_user_addr = (uintptr_t)tables->avail,
        .used_user_addr = (uintptr_t)tables->used,
    };
    TRY("VHOST_SET_VRING_NUM", ioctl(device->fd, VHOST_SET_VRING_NUM, &size));
    TRY("VHOST_SET_VRING_BASE", ioctl(device->fd, VHOST_SET_VRING_BASE, &base));
    TRY("VHOST_SET_VRING_ADDR", ioctl(device->fd, VHOST_SET_VRING_ADDR, &addresses));
    TRY("VHOST_SET_VRING_CALL", ioctl(device->fd, VHOST_SET_VRING_CALL, &called));
    TRY("VHOST_SET_VRING_KICK", ioctl(device->fd, VHOST_SET_VRING_KICK, &kick));
    /* Kernels before 4.6 know no such thing, and need not where it is 0. */
    if (busy_poll_us > 0)
        TRY("VHOST_SET_VRING_BUSYLOOP_TIMEOUT", ioctl(device->fd, VHOST_SET_VRING_BUSYLOOP_TIMEOUT, &busy));
    return 0;
}

static int set_backend(struct vhost_device *device, unsigned index, int tap)
{
    struct vhost_vring_file backend = {index, tap};
    return ioctl(device->fd, VHOST_NET_SET_BACKEND, &backend);
}

static int open_descriptors(struct vhost_device *device, const char **call)
{
    TRY("eventfd", device->call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    for (int i = 0; i < RING_COUNT; i++)
        TRY("eventfd", device->kicks[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    /* Shared: a fork then copies nothing of it, and moves nothing away from under the kernel. */
    void *memory = mmap(NULL, RINGS_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    TRY("mmap", memory == MAP_FAILED ? -1 : 0);
    device->memory = memory;
    return 0;
}

static int start(struct vhost_device *device, const struct vhost_settings *settings, const char **call)
{
    bool event_index = false;
    /* First, as it is what tells that a descriptor is vhost's, and nobody else's already: those we leave alone. */
    TRY("VHOST_SET_OWNER", ioctl(settings->fd, VHOST_SET_OWNER));
    device->fd = settings->fd;
    int error = open_descriptors(device, call);
    if (error == 0)
        error = agree_on_features(device, settings, &event_index, call);
    if (error != 0)
        return error;
    lay_rings(&device->receive, &device->transmit, device->memory, event_index);
    const struct vring *tables[RING_COUNT] = {&device->receive.driver.tables, &device->transmit.driver.tables};
    error = share_memory(device, call);
    for (unsigned i = 0; i < RING_COUNT && error == 0; i++)
        error = set_ring(device, i, tables[i], settings->busy_poll_us, call);
    if (error != 0)
        return error;
    for (unsigned i = 0; i < RING_COUNT; i++)
        TRY("VHOST_NET_SET_BACKEND", set_backend(device, i, settings->tap));
    return 0;
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void detach_vhost(struct vhost_device *device)
{
    /* Each call waits until the kernel is done with what it has begun, also where somebody else has the descriptor as well. */
    for (unsigned i = 0; i < RING_COUNT && device->fd >= 0; i++)
        set_backend(device, i, -1);
    device->fd = -1;
}

void stop_vhost(struct vhost_device *device)
{
    int fd = device->fd;
    detach_vhost(device);
    close_one(&fd);
    close_one(&device->call);
    for (int i = 0; i < RING_COUNT; i++)
        close_one(&device->kicks[i]);
    if (device->memory != NULL)
        munmap(device->memory, RINGS_MEMORY);
    device->memory = NULL;
}

int start_vhost(struct vhost_device *device, const struct vhost_settings *settings, const char **call)
{
    *device = (struct vhost_device){.fd = -1, .call = -1, .kicks = {-1, -1}};
    int error = start(device, settings, call);
    if (error != 0) {
        detach_vhost(device);
        stop_vhost(device);
    }
    return error;
}

static void kick(struct vhost_device *device, struct vring_driver *driver, int fd)
{
    if (!vring_publish(driver))
        return;
    device->kicked++;
    /* It fails only where as many are owed that the kernel is awake anyhow. */
    eventfd_write(fd, 1);
}

void kick_receive(struct vhost_device *device)
{
    kick(device, &device->receive.driver, device->kicks[RECEIVE]);
}

void kick_transmit(struct vhost_device *device)
{
    kick(device, &device->transmit.driver, device->kicks[TRANSMIT]);
}

void take_call(struct vhost_device *device)
{
    eventfd_t value;
    if (eventfd_read(device->call, &value) == 0)
        device->called++;
}

void call_ourselves(struct vhost_device *device)
{
    eventfd_write(device->call, 1);
}
