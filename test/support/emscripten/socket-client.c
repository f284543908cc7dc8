/*
 * A program with POSIX sockets, as people compile them for the web: connects to argv[1]:argv[2], sends what argv[3] says over and over, argv[4]
 * bytes in all, prints the sum of the bytes that come back, and ends when it has as many. Sockets never block here, so that the
 * event loop can run.
 */
#include <arpa/inet.h>
#include <emscripten.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Each is a message of its own. */
#define SENDS_A_TURN 500

static int fd;
static const char *text;
static long text_length, total, sent, received, sum;

static void end(int status)
{
    emscripten_cancel_main_loop();
    emscripten_force_exit(status);
}

static void fail(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    end(1);
}

static void turn(void)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN | POLLOUT };
    unsigned char buffer[4096];

    if (poll(&poll_fd, 1, 0) < 0) {
        fail("poll");
    }
    for (int i = 0; i < SENDS_A_TURN && sent < total && (poll_fd.revents & POLLOUT); i++) {
        long rest = total - sent;
        ssize_t count = send(fd, text, text_length < rest ? text_length : rest, 0);

        if (count < 0 && errno == EAGAIN) {
            break;
        }
        if (count < 0) {
            fail("send");
        }
        sent += count;
    }
    for (;;) {
        ssize_t count = recv(fd, buffer, sizeof(buffer), 0);

        if (count < 0 && errno == EAGAIN) {
            break;
        }
        if (count <= 0) {
            fail(count == 0 ? "closed" : "recv");
        }
        for (ssize_t i = 0; i < count; i++) {
            sum += buffer[i];
        }
        received += count;
        if (received == total) {
            printf("received %ld bytes, sum %ld\n", received, sum);
            close(fd);
            end(0);
        }
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = { .sin_family = AF_INET };

    if (argc != 5) {
        return 2;
    }
    address.sin_port = htons(atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &address.sin_addr);
    text = argv[3];
    text_length = strlen(text);
    total = atol(argv[4]);
    fd = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 && errno != EINPROGRESS) {
        fail("connect");
    }
    emscripten_set_main_loop(turn, 100, 0);
    return 0;
}
