// A short-lived child that shares our memory and descriptors and that nobody notices.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "os/error.hpp"

namespace hardstop::os {

enum class share_descriptors : std::uint8_t { no, yes };

// Runs body(argument) in a child that shares this process's memory (and descriptor table), while
// the calling thread waits, as with vfork. The child runs on the caller's stack and with its
// thread-local storage, so body may call whatever the waiting thread could have called, fork()
// included; it must not throw. What body returns is its exit status.
//
// The child raises no SIGCHLD when it ends and is invisible to waitpid(-1): only __WCLONE or __WALL
// with its pid finds it; reap_shared_child does. Call with all signals blocked, or a handler of the
// host may run in the child. ENOSYS where there is no such call for this processor; EPERM or ENOSYS
// where a sandbox refuses it. Aborts valgrind.
result<pid_t> run_shared_child(int (*body)(void*) noexcept, void* argument,
                               share_descriptors descriptors);

// For a process forked inside such a child: the kernel has dropped the thread's rseq area, so that
// sched_getcpu() would answer with the CPU of the moment of birth for ever. Registers it again.
void restore_rseq();

// Waits for the end of a child made so. Somebody else may have waited with __WALL: no error.
void reap_shared_child(pid_t child);

}  // namespace hardstop::os
