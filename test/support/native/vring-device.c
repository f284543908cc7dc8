/*
 * The device's side of native/vring.h, for tests: it works on the same memory as the kernel does, and misbehaves as a kernel never would.
 *
 *     vring-device SCENARIO event|flags
 *
 * The second word says by which means both sides say when they want to hear of the other. Ends with status 0 where all was as it should be.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "vring.h"

#define LONGEST (RING_HEADER + 65535 + 18)
#define CHECK(truth)                                                                                                   \
    do {                                                                                                               \
        if (!(truth)) {                                                                                                \
            fprintf(stderr, "line %d: not so: %s\n", __LINE__, #truth);                                                \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

struct device {
    uint8_t *memory;
    struct vring tables;
    bool event_index;
    uint16_t seen, used, told;
};

static uint8_t *memory;
static struct receive_ring receive;
static struct transmit_ring transmit;
static struct device source, sink;
static bool event_index;
static uint64_t seed = 88172645463325252u;

static uint32_t pick(uint32_t bound)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32) % bound;
}

static struct device device_of(const struct vring_driver *driver)
{
    return (struct device){.memory = memory, .tables = driver->tables, .event_index = event_index};
}

static void begin(void)
{
    free(memory);
    /* Of exactly this size, so that the sanitizer sees who goes beyond it. */
    memory = aligned_alloc(4096, RINGS_MEMORY);
    memset(memory, 0, RINGS_MEMORY);
    lay_rings(&receive, &transmit, memory, event_index);
    source = device_of(&receive.driver);
    sink = device_of(&transmit.driver);
}

static bool has_next(const struct device *device)
{
    return __atomic_load_n(&device->tables.avail->idx, __ATOMIC_ACQUIRE) != device->seen;
}

static uint16_t take_next(struct device *device)
{
    CHECK(has_next(device));
    uint16_t head = device->tables.avail->ring[device->seen++ % RING_SIZE];
    CHECK(head < RING_SIZE);
    return head;
}

static void use(struct device *device, uint32_t head, uint32_t length)
{
    device->tables.used->ring[device->used++ % RING_SIZE] = (struct vring_used_elem){head, length};
}

/* Shows what was used; whether the driver wants a call. */
static bool publish_used(struct device *device)
{
    uint16_t before = device->told;
    __atomic_store_n(&device->tables.used->idx, device->used, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    device->told = device->used;
    if (device->event_index)
        return vring_need_event(__atomic_load_n(&vring_used_event(&device->tables), __ATOMIC_RELAXED), device->used, before);
    return (__atomic_load_n(&device->tables.avail->flags, __ATOMIC_RELAXED) & VRING_AVAIL_F_NO_INTERRUPT) == 0;
}

/* Goes to sleep until it is kicked; false where there is something already. */
static bool device_sleeps(struct device *device)
{
    if (device->event_index)
        __atomic_store_n(&vring_avail_event(&device->tables), device->seen, __ATOMIC_RELAXED);
    else
        __atomic_store_n(&device->tables.used->flags, 0, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return !has_next(device);
}

static void device_wakes(struct device *device)
{
    if (!device->event_index)
        __atomic_store_n(&device->tables.used->flags, VRING_USED_F_NO_NOTIFY, __ATOMIC_RELAXED);
}

static void fill(uint8_t *bytes, size_t length, uint32_t number)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(number * 31 + i * 7 + (i >> 8));
}

/* Puts a message into as many buffers as it takes. */
static void deliver(struct device *device, const uint8_t *message, size_t length)
{
    uint16_t first = 0, merged = 0;
    for (size_t done = 0; done < length; merged++) {
        uint16_t head = take_next(device);
        const struct vring_desc *descriptor = &device->tables.desc[head];
        CHECK(descriptor->flags == VRING_DESC_F_WRITE && descriptor->addr + descriptor->len <= RINGS_MEMORY);
        size_t part = length - done < descriptor->len ? length - done : descriptor->len;
        memcpy(device->memory + descriptor->addr, message + done, part);
        use(device, head, (uint32_t)part);
        first = merged == 0 ? head : first;
        done += part;
    }
    memcpy(device->memory + device->tables.desc[first].addr + 10, &merged, sizeof merged);
}

static void take_and_compare(const uint8_t *expected, size_t length)
{
    static uint8_t got[LONGEST];
    CHECK(receive_ring_peek(&receive) && receive.message_length == length);
    receive_ring_copy(&receive, 0, got, 10);
    CHECK(memcmp(got, expected, 10) == 0);
    receive_ring_copy(&receive, RING_HEADER, got, length - RING_HEADER);
    CHECK(memcmp(got, expected + RING_HEADER, length - RING_HEADER) == 0);
    receive_ring_release(&receive);
}

/* Messages of all lengths come as they were sent, in order, for longer than the indices count. */
static void test_receive(void)
{
    static uint8_t messages[8][LONGEST];
    begin();
    for (uint32_t round = 0; round < 40000; round++) {
        uint32_t count = 1 + pick(8);
        size_t lengths[8];
        for (uint32_t i = 0; i < count; i++) {
            lengths[i] = RING_HEADER + (pick(50) == 0 ? pick(LONGEST - RING_HEADER) : pick(3000)) + 1;
            fill(messages[i], lengths[i], round + i);
            deliver(&source, messages[i], lengths[i]);
        }
        publish_used(&source);
        for (uint32_t i = 0; i < count; i++)
            take_and_compare(messages[i], lengths[i]);
        CHECK(!receive_ring_peek(&receive));
        vring_publish(&receive.driver);
    }
    CHECK(!receive.driver.broken && receive.driver.used == source.used);
}

/* What was put stands unchanged until the device has used it, in whatever order it does; a full ring says so, an empty one never. */
static void test_transmit(void)
{
    struct { uint16_t head; uint32_t number; } pending[RING_SIZE];
    uint32_t count = 0, number = 0, refused = 0;
    static uint8_t expected[LONGEST];
    begin();
    while (number < 200000) {
        size_t length = RING_HEADER + 14 + (pick(20) == 0 ? pick(65520) : pick(1500));
        uint8_t *place = transmit_ring_reserve(&transmit, length);
        CHECK(place != NULL || transmit_ring_pending(&transmit) > 0);
        if (place != NULL) {
            CHECK(place >= memory && place + length <= memory + RINGS_MEMORY);
            fill(place, length, number);
            memcpy(place, &number, sizeof number);
            transmit_ring_put(&transmit, place, length);
            number++;
            if (pick(100) > 0)
                continue;
        } else {
            refused++;
        }
        vring_publish(&transmit.driver);
        while (has_next(&sink)) {
            pending[count].head = take_next(&sink);
            memcpy(&pending[count].number, memory + sink.tables.desc[pending[count].head].addr, 4);
            count++;
        }
        for (uint32_t done = pick(count + 1); done > 0; done--) {
            uint32_t which = pick(4) > 0 ? 0 : pick(count);
            const struct vring_desc *descriptor = &sink.tables.desc[pending[which].head];
            fill(expected, descriptor->len, pending[which].number);
            memcpy(expected, &pending[which].number, 4);
            CHECK(descriptor->flags == 0 && memcmp(expected, memory + descriptor->addr, descriptor->len) == 0);
            use(&sink, pending[which].head, 0);
            memmove(&pending[which], &pending[which + 1], (--count - which) * sizeof *pending);
        }
        publish_used(&sink);
        transmit_ring_reclaim(&transmit);
        CHECK(!transmit.driver.broken);
    }
    CHECK(refused > 100);
}

static void put_short(uint32_t count)
{
    while (count-- > 0) {
        uint8_t *place = transmit_ring_reserve(&transmit, 100);
        CHECK(place != NULL);
        transmit_ring_put(&transmit, place, 100);
    }
}

/* A device that sleeps is kicked once for a batch, one that is at work not at all. */
static void test_kicks(void)
{
    begin();
    CHECK(device_sleeps(&sink));
    for (int round = 0; round < 1000; round++) {
        put_short(60);
        CHECK(vring_publish(&transmit.driver));
        device_wakes(&sink);
        put_short(60);
        CHECK(!vring_publish(&transmit.driver));
        CHECK(!vring_publish(&transmit.driver));
        while (has_next(&sink))
            use(&sink, take_next(&sink), 0);
        publish_used(&sink);
        transmit_ring_reclaim(&transmit);
        CHECK(device_sleeps(&sink));
    }
}

/* We are called when we asked to be, once, and not when there is nothing to hear that we do not know. */
static void test_calls(void)
{
    static uint8_t message[100];
    begin();
    publish_used(&source);
    for (int round = 0; round < 10000; round++) {
        CHECK(vring_listen(&receive.driver, 1));
        deliver(&source, message, sizeof message);
        CHECK(publish_used(&source));
        vring_ignore(&receive.driver);
        deliver(&source, message, sizeof message);
        CHECK(!publish_used(&source));
        CHECK(!vring_listen(&receive.driver, 1));
        while (receive_ring_peek(&receive))
            receive_ring_release(&receive);
        vring_publish(&receive.driver);
    }
    put_short(100);
    vring_publish(&transmit.driver);
    CHECK(vring_listen(&transmit.driver, 75));
    bool called = false;
    for (int i = 0; i < 74; i++) {
        use(&sink, take_next(&sink), 0);
        called = publish_used(&sink) || called;
    }
    CHECK(!called || !event_index);
    use(&sink, take_next(&sink), 0);
    CHECK(publish_used(&sink));
}

static void deliver_broken(uint32_t head, uint32_t length, uint16_t merged, uint16_t ahead)
{
    begin();
    uint16_t first = take_next(&source);
    memcpy(memory + source.tables.desc[first].addr + 10, &merged, sizeof merged);
    use(&source, head == UINT32_MAX ? first : head, length);
    source.used += ahead;
    publish_used(&source);
    CHECK(!receive_ring_peek(&receive) && receive.driver.broken);
    CHECK(!receive_ring_peek(&receive) && !vring_publish(&receive.driver));
}

static void complete_broken(uint32_t head, uint32_t times, uint16_t ahead)
{
    begin();
    put_short(3);
    vring_publish(&transmit.driver);
    for (uint32_t i = 0; i < times; i++)
        use(&sink, head, 0);
    sink.used += ahead;
    publish_used(&sink);
    transmit_ring_reclaim(&transmit);
    CHECK(transmit.driver.broken && transmit_ring_reserve(&transmit, 100) == NULL);
}

/* What cannot be is noticed, and the ring stays broken. */
static void test_broken(void)
{
    deliver_broken(UINT32_MAX, 100, 1, RING_SIZE);
    deliver_broken(RING_SIZE, 100, 1, 0);
    deliver_broken(UINT32_MAX - 1, 100, 1, 0);
    deliver_broken(UINT32_MAX, RECEIVE_BUFFER + 1, 1, 0);
    deliver_broken(UINT32_MAX, UINT32_MAX, 1, 0);
    deliver_broken(UINT32_MAX, RING_HEADER - 1, 1, 0);
    deliver_broken(UINT32_MAX, 100, 0, 0);
    deliver_broken(UINT32_MAX, 100, 2, 0);
    /* The second piece is the first once more: the entry behind is zero, as the first head was. */
    deliver_broken(UINT32_MAX, 100, 2, 1);
    complete_broken(0, 1, 3);
    complete_broken(3, 1, 0);
    complete_broken(RING_SIZE, 1, 0);
    complete_broken(UINT32_MAX, 1, 0);
    complete_broken(1, 2, 0);
}

/* Memory that is full of nonsense, and changes all the time, leads nowhere but to broken rings and messages within their bounds. */
static void test_nonsense(void)
{
    static uint8_t got[RING_SIZE * RECEIVE_BUFFER];
    for (int round = 0; round < 1000; round++) {
        begin();
        put_short(1 + pick(200));
        vring_publish(&transmit.driver);
        for (int step = 0; step < 60; step++) {
            for (int i = 0; i < 40; i++)
                memory[pick(2 * RING_TABLES)] = (uint8_t)pick(pick(2) == 0 ? 3 : 256);
            memory[2 * RING_TABLES + pick(RING_SIZE) * RECEIVE_BUFFER + 10] = (uint8_t)pick(5);
            receive.driver.tables.used->idx = (uint16_t)(receive.driver.used + pick(6));
            transmit.driver.tables.used->idx = (uint16_t)(transmit.driver.used + pick(3));
            if (receive_ring_peek(&receive)) {
                CHECK(receive.message_length >= RING_HEADER && receive.message_length <= sizeof got);
                receive_ring_copy(&receive, 0, got, receive.message_length);
                receive_ring_release(&receive);
            }
            transmit_ring_reclaim(&transmit);
            CHECK(transmit_ring_pending(&transmit) <= RING_SIZE);
            uint8_t *place = transmit_ring_reserve(&transmit, LONGEST);
            if (place != NULL) {
                memset(place, 1, LONGEST);
                transmit_ring_put(&transmit, place, LONGEST);
            }
            vring_publish(&receive.driver);
            vring_publish(&transmit.driver);
        }
    }
}

#define ECHOES 300000
static int kick, call;

/* Brings back whatever is sent. */
static void *echo(void *unused)
{
    eventfd_t value;
    for (uint32_t done = 0; done < ECHOES;) {
        bool wants_call = false;
        device_wakes(&sink);
        device_wakes(&source);
        while (has_next(&sink) && has_next(&source)) {
            uint16_t head = take_next(&sink);
            deliver(&source, memory + sink.tables.desc[head].addr, sink.tables.desc[head].len);
            use(&sink, head, 0);
            wants_call |= publish_used(&source);
            wants_call |= publish_used(&sink);
            done++;
        }
        if (wants_call)
            eventfd_write(call, 1);
        bool idle = device_sleeps(&sink), starved = device_sleeps(&source);
        if (done < ECHOES && (idle || starved))
            eventfd_read(kick, &value);
    }
    return unused;
}

/* Two that work at the same time, and sleep when there is nothing to do, never both sleep while there is. */
static void test_together(void)
{
    pthread_t thread;
    eventfd_t value;
    uint32_t sent = 0, got = 0;
    begin();
    kick = eventfd(0, 0);
    call = eventfd(0, 0);
    CHECK(pthread_create(&thread, NULL, echo, NULL) == 0);
    while (got < ECHOES) {
        bool full = false;
        transmit_ring_reclaim(&transmit);
        for (uint32_t batch = 1 + pick(64); batch > 0 && sent < ECHOES && !full; batch--) {
            uint8_t *place = transmit_ring_reserve(&transmit, 200);
            full = place == NULL;
            if (full)
                break;
            memset(place, 0, RING_HEADER);
            memcpy(place + RING_HEADER, &sent, sizeof sent);
            transmit_ring_put(&transmit, place, 200);
            sent++;
        }
        while (receive_ring_peek(&receive)) {
            uint32_t number;
            receive_ring_copy(&receive, RING_HEADER, (uint8_t *)&number, sizeof number);
            CHECK(receive.message_length == 200 && number == got);
            receive_ring_release(&receive);
            got++;
        }
        CHECK(!receive.driver.broken && !transmit.driver.broken);
        bool wants_kick = vring_publish(&transmit.driver);
        if (vring_publish(&receive.driver) || wants_kick)
            eventfd_write(kick, 1);
        /* Asleep only where there is nothing to send, or no room. */
        if (got < ECHOES && (sent == ECHOES || full) && vring_listen(&receive.driver, 1) &&
            (!full || vring_listen(&transmit.driver, 1)))
            eventfd_read(call, &value);
        vring_ignore(&receive.driver);
        vring_ignore(&transmit.driver);
    }
    pthread_join(thread, NULL);
}

static const struct { const char *name; void (*run)(void); } SCENARIOS[] = {
    {"receive", test_receive}, {"transmit", test_transmit}, {"kicks", test_kicks},       {"calls", test_calls},
    {"broken", test_broken},   {"nonsense", test_nonsense}, {"together", test_together},
};

int main(int count, char **words)
{
    if (count != 3)
        return 2;
    event_index = strcmp(words[2], "event") == 0;
    for (size_t i = 0; i < sizeof SCENARIOS / sizeof *SCENARIOS; i++) {
        if (strcmp(SCENARIOS[i].name, words[1]) != 0)
            continue;
        SCENARIOS[i].run();
        free(memory);
        puts("ok");
        return 0;
    }
    return 2;
}
