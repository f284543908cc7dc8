#include "vring.h"

#include <endian.h>
#include <string.h>

/* Messages begin at multiples of this, so that neither side's copies share a line of the cache with another message. */
#define MESSAGE_ALIGNMENT 64

#define LOAD(field) le16toh(__atomic_load_n(&(field), __ATOMIC_RELAXED))
#define STORE(field, value) __atomic_store_n(&(field), htole16(value), __ATOMIC_RELAXED)

static void lay_ring(struct vring_driver *driver, uint8_t *memory, size_t offset, bool event_index)
{
    *driver = (struct vring_driver){.memory = memory, .event_index = event_index};
    vring_init(&driver->tables, RING_SIZE, memory + offset, 64);
}

/* The device is to read, or to write, `length` bytes there. */
static void set_descriptor(struct vring_driver *driver, uint16_t head, size_t offset, size_t length, uint16_t flags)
{
    driver->tables.desc[head] = (struct vring_desc){
        .addr = htole64(offset),
        .len = htole32((uint32_t)length),
        .flags = htole16(flags),
    };
}

static void make_available(struct vring_driver *driver, uint16_t head)
{
    STORE(driver->tables.avail->ring[driver->available % RING_SIZE], head);
    driver->available++;
}

void lay_rings(struct receive_ring *receive, struct transmit_ring *transmit, uint8_t *memory, bool event_index)
{
    _Static_assert(RING_SIZE * 16 + 6 + RING_SIZE * 2 + 64 + 6 + RING_SIZE * 8 <= RING_TABLES, "the tables fit");
    *receive = (struct receive_ring){.buffers = 2 * RING_TABLES};
    *transmit = (struct transmit_ring){.area = 2 * RING_TABLES + RING_SIZE * RECEIVE_BUFFER};
    lay_ring(&receive->driver, memory, 0, event_index);
    lay_ring(&transmit->driver, memory, RING_TABLES, event_index);
    for (uint16_t head = 0; head < RING_SIZE; head++) {
        size_t offset = receive->buffers + (size_t)head * RECEIVE_BUFFER;
        set_descriptor(&receive->driver, head, offset, RECEIVE_BUFFER, VRING_DESC_F_WRITE);
        make_available(&receive->driver, head);
        receive->posted[head] = true;
    }
    vring_ignore(&receive->driver);
    vring_ignore(&transmit->driver);
    vring_publish(&receive->driver);
}

/* What the device has used and we have not seen; 0 where the ring is broken. */
static uint16_t count_used(struct vring_driver *driver, uint32_t outstanding)
{
    uint16_t index = le16toh(__atomic_load_n(&driver->tables.used->idx, __ATOMIC_ACQUIRE));
    uint16_t count = index - driver->used;
    if (count > outstanding)
        driver->broken = true;
    return driver->broken ? 0 : count;
}

/* An element of the used ring, read once: the device may be writing there. */
static uint32_t read_used(const struct vring_driver *driver, uint16_t ahead, uint32_t *length)
{
    const struct vring_used_elem *element = &driver->tables.used->ring[(uint16_t)(driver->used + ahead) % RING_SIZE];
    *length = le32toh(__atomic_load_n(&element->len, __ATOMIC_RELAXED));
    return le32toh(__atomic_load_n(&element->id, __ATOMIC_RELAXED));
}

static uint8_t *buffer_of(const struct receive_ring *ring, uint16_t head)
{
    return ring->driver.memory + ring->buffers + (size_t)head * RECEIVE_BUFFER;
}

/* One more piece of the message; false where the device says what cannot be. */
static bool take_piece(struct receive_ring *ring, uint16_t ahead)
{
    uint32_t length, head = read_used(&ring->driver, ahead, &length);
    if (head >= RING_SIZE || !ring->posted[head] || length > RECEIVE_BUFFER)
        return false;
    /* Named once only, also within a message. */
    ring->posted[head] = false;
    ring->heads[ahead] = (uint16_t)head;
    ring->lengths[ahead] = length;
    ring->message_length += length;
    ring->pieces = ahead + 1;
    return true;
}

bool receive_ring_peek(struct receive_ring *ring)
{
    struct vring_driver *driver = &ring->driver;
    if (ring->pieces > 0)
        return !driver->broken;
    uint16_t used = count_used(driver, RING_SIZE), merged;
    if (used == 0)
        return false;
    ring->message_length = 0;
    if (!take_piece(ring, 0) || ring->lengths[0] < RING_HEADER) {
        driver->broken = true;
        return false;
    }
    /* num_buffers, at the end of the header. */
    memcpy(&merged, buffer_of(ring, ring->heads[0]) + RING_HEADER - sizeof merged, sizeof merged);
    merged = le16toh(merged);
    if (merged < 1 || merged > used)
        driver->broken = true;
    for (uint16_t i = 1; i < merged && !driver->broken; i++)
        if (!take_piece(ring, i))
            driver->broken = true;
    return !driver->broken;
}

void receive_ring_copy(const struct receive_ring *ring, size_t from, uint8_t *target, size_t limit)
{
    for (uint16_t i = 0; i < ring->pieces && limit > 0; i++) {
        size_t length = ring->lengths[i];
        if (from >= length) {
            from -= length;
            continue;
        }
        size_t part = length - from < limit ? length - from : limit;
        memcpy(target, buffer_of(ring, ring->heads[i]) + from, part);
        target += part;
        limit -= part;
        from = 0;
    }
}

void receive_ring_release(struct receive_ring *ring)
{
    for (uint16_t i = 0; i < ring->pieces; i++) {
        ring->posted[ring->heads[i]] = true;
        make_available(&ring->driver, ring->heads[i]);
    }
    ring->driver.used += ring->pieces;
    ring->pieces = 0;
}

static size_t align(size_t length)
{
    return (length + MESSAGE_ALIGNMENT - 1) & ~(size_t)(MESSAGE_ALIGNMENT - 1);
}

uint32_t transmit_ring_pending(const struct transmit_ring *ring)
{
    return ring->next - ring->oldest;
}

uint8_t *transmit_ring_reserve(struct transmit_ring *ring, size_t length)
{
    uint32_t pending = transmit_ring_pending(ring);
    size_t room = align(length), start = ring->head;
    if (ring->driver.broken || pending == RING_SIZE)
        return NULL;
    if (pending == 0) {
        start = 0;
    } else {
        size_t tail = ring->entries[ring->oldest % RING_SIZE].start;
        if (start <= tail) {
            /* What is pending goes round the end; where both are the same, it fills the area. */
            if (room > tail - start)
                return NULL;
        } else if (room > TRANSMIT_AREA - start) {
            if (room > tail)
                return NULL;
            start = 0;
        }
    }
    ring->head = start;
    return ring->driver.memory + ring->area + start;
}

void transmit_ring_put(struct transmit_ring *ring, const uint8_t *message, size_t length)
{
    struct vring_driver *driver = &ring->driver;
    uint16_t head = ring->next % RING_SIZE;
    size_t start = (size_t)(message - driver->memory) - ring->area;
    set_descriptor(driver, head, ring->area + start, length, 0);
    make_available(driver, head);
    ring->head = start + align(length);
    ring->entries[head] = (struct transmit_entry){.start = start};
    ring->next++;
}

void transmit_ring_reclaim(struct transmit_ring *ring)
{
    struct vring_driver *driver = &ring->driver;
    uint16_t count = count_used(driver, transmit_ring_pending(ring));
    for (; count > 0; count--) {
        uint32_t length, head = read_used(driver, 0, &length);
        /* How far behind the oldest it is: not pending where that is too far. */
        if (head >= RING_SIZE || (head - ring->oldest) % RING_SIZE >= transmit_ring_pending(ring) ||
            ring->entries[head].done) {
            driver->broken = true;
            return;
        }
        ring->entries[head].done = true;
        driver->used++;
        while (transmit_ring_pending(ring) > 0 && ring->entries[ring->oldest % RING_SIZE].done)
            ring->entries[ring->oldest++ % RING_SIZE].done = false;
    }
}

bool vring_publish(struct vring_driver *driver)
{
    uint16_t before = driver->published;
    if (before == driver->available || driver->broken)
        return false;
    __atomic_store_n(&driver->tables.avail->idx, htole16(driver->available), __ATOMIC_RELEASE);
    driver->published = driver->available;
    /* The device says that it sleeps, and then looks at the index once more: one of us sees the other. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (driver->event_index)
        return vring_need_event(LOAD(vring_avail_event(&driver->tables)), driver->available, before);
    return (LOAD(driver->tables.used->flags) & VRING_USED_F_NO_NOTIFY) == 0;
}

bool vring_listen(struct vring_driver *driver, uint16_t more)
{
    if (driver->event_index)
        STORE(vring_used_event(&driver->tables), (uint16_t)(driver->used + more - 1));
    else
        STORE(driver->tables.avail->flags, 0);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    uint16_t count = le16toh(__atomic_load_n(&driver->tables.used->idx, __ATOMIC_ACQUIRE)) - driver->used;
    return count < more;
}

void vring_ignore(struct vring_driver *driver)
{
    /* An index that the device passes only after a whole round of 65536. */
    if (driver->event_index)
        STORE(vring_used_event(&driver->tables), (uint16_t)(driver->used - 1));
    else
        STORE(driver->tables.avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
}
