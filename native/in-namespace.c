#include "in-namespace.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>

struct visit {
    int namespace_fd;
    namespace_work work;
    void *data;
    int result;
    const char *failed_call;
};

static void *run_visit(void *argument)
{
    struct visit *visit = argument;
    if (setns(visit->namespace_fd, CLONE_NEWNET) < 0) {
        visit->result = -errno;
        visit->failed_call = "setns";
    } else {
        visit->result = visit->work(visit->data);
    }
    return NULL;
}

int run_in_namespace(int namespace_fd, namespace_work work, void *data, const char **failed_call)
{
    if (namespace_fd < 0)
        return work(data);
    struct visit visit = {.namespace_fd = namespace_fd, .work = work, .data = data};
    /* Signals are for the threads that Node made. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    int error = pthread_create(&thread, NULL, run_visit, &visit);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        *failed_call = "pthread_create";
        return -error;
    }
    pthread_join(thread, NULL);
    if (visit.failed_call != NULL)
        *failed_call = visit.failed_call;
    return visit.result;
}
