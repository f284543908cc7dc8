/*
 * The file calls of the C library, as far as libslirp makes them (TFTP reads files), carried out by the host network. close() is
 * for all descriptors (descriptors.c).
 */
#include "slirp.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "descriptors.h"
#include "host.h"

/* Answers the size of the file, as far as an int can say it (TFTP's tsize option is no wider). */
static int open_file(const char *path, int *fd)
{
    *fd = descriptor_new(DESCRIPTOR_FILE, 0);
    if (*fd < 0) {
        return -1;
    }
    int answer = host_open_file(*fd, path, strlen(path));
    if (answer < 0) {
        close(*fd);
        return descriptor_result(answer);
    }
    descriptor_get(*fd)->open = true;
    return answer;
}

int open(const char *path, int flags, ...)
{
    (void)flags; /* TFTP only reads */
    int fd;
    return open_file(path, &fd) < 0 ? -1 : fd;
}

/* TFTP wants st_size. */
int stat(const char *restrict path, struct stat *restrict status)
{
    int fd;
    int size = open_file(path, &fd);
    if (size < 0) {
        return -1;
    }
    close(fd);
    memset(status, 0, sizeof(*status));
    status->st_size = size;
    return 0;
}

off_t lseek(int fd, off_t offset, int whence)
{
    struct descriptor *descriptor = descriptor_require(fd);
    if (!descriptor || whence != SEEK_SET) {
        return -1;
    }
    descriptor->position = offset;
    return offset;
}

ssize_t read(int fd, void *target, size_t length)
{
    struct descriptor *descriptor = descriptor_require(fd);
    if (!descriptor) {
        return -1;
    }
    int answer = host_read_file(fd, target, length, (double)descriptor->position);
    if (answer > 0) {
        descriptor->position += answer;
    }
    return descriptor_result(answer);
}
