/*
 * Loads an eBPF program that picks the same queue for every frame, and sends its descriptor over the socket 3 (SCM_RIGHTS), as a helper
 * sends one. `steering-program QUEUE`
 */
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int count, char **words)
{
    /* r0 = QUEUE; exit */
    struct bpf_insn program[] = {{.code = 0xb7, .imm = count > 1 ? atoi(words[1]) : 0}, {.code = 0x95}};
    union bpf_attr request;
    memset(&request, 0, sizeof request);
    request.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    request.insns = (unsigned long)program;
    request.insn_cnt = 2;
    request.license = (unsigned long)"GPL";
    int fd = (int)syscall(__NR_bpf, BPF_PROG_LOAD, &request, sizeof request);
    if (fd < 0)
        return 2;
    char byte = 0;
    struct iovec piece = {&byte, 1};
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(part), &fd, sizeof fd);
    return sendmsg(3, &message, 0) == 1 ? 0 : 3;
}
