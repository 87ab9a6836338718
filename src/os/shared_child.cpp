#include "os/shared_child.hpp"

#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif

#include <algorithm>
#include <cerrno>
#include <cstddef>

namespace hardstop::os {
namespace {

// The C library's clone wants a stack of its own for the child. Here the child stays on ours, below
// everything in use (on x86-64 that includes the 128 bytes below the stack pointer), because a
// fork() inside must copy a stack that goes on making sense. The unwinder is told that no frame
// lies beyond: the forked copy lives on and may take backtraces.
//
// Not clone3: common container profiles refuse it.
#if defined(__x86_64__)

[[gnu::noinline]] long clone_and_call(unsigned long flags, int (*body)(void*) noexcept,
                                      void* argument) {
  long outcome = SYS_clone;
  register long child_tid asm("r10") = 0;
  register long thread_storage asm("r8") = 0;
  register void* kept_argument asm("r12") = argument;
  register int (*kept_body)(void*) noexcept asm("r13") = body;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      ".cfi_remember_state\n\t"
      ".cfi_undefined rip\n\t"
      "sub $128, %%rsp\n\t"
      "and $-16, %%rsp\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %%r12, %%rdi\n\t"
      "call *%%r13\n\t"
      "mov %%eax, %%edi\n\t"
      "mov %[exit], %%eax\n\t"
      "syscall\n\t"
      "hlt\n\t"
      ".cfi_restore_state\n"
      "1:"
      : "+a"(outcome)
      : "D"(flags), "S"(0L), "d"(0L), "r"(child_tid), "r"(thread_storage), "r"(kept_argument),
        "r"(kept_body), [exit] "i"(SYS_exit)
      : "rcx", "r11", "memory", "cc");
  return outcome;
}

#elif defined(__aarch64__)

[[gnu::noinline]] long clone_and_call(unsigned long flags, int (*body)(void*) noexcept,
                                      void* argument) {
  register long outcome asm("x0") = static_cast<long>(flags);
  register long stack asm("x1") = 0;
  register long parent_tid asm("x2") = 0;
  register long thread_storage asm("x3") = 0;
  register long child_tid asm("x4") = 0;
  register long number asm("x8") = SYS_clone;
  register void* kept_argument asm("x19") = argument;
  register int (*kept_body)(void*) noexcept asm("x20") = body;
  asm volatile(
      "svc #0\n\t"
      "cbnz x0, 1f\n\t"
      ".cfi_remember_state\n\t"
      ".cfi_undefined x30\n\t"
      "mov x29, xzr\n\t"
      "mov x30, xzr\n\t"
      "mov x0, x19\n\t"
      "blr x20\n\t"
      "mov x8, %[exit]\n\t"
      "svc #0\n\t"
      "brk #0\n\t"
      ".cfi_restore_state\n"
      "1:"
      : "+r"(outcome)
      : "r"(stack), "r"(parent_tid), "r"(thread_storage), "r"(child_tid), "r"(number),
        "r"(kept_argument), "r"(kept_body), [exit] "i"(SYS_exit)
      : "memory", "cc");
  return outcome;
}

#else

long clone_and_call(unsigned long, int (*)(void*) noexcept, void*) {
  return -ENOSYS;
}

#endif

}  // namespace

result<pid_t> run_shared_child(int (*body)(void*) noexcept, void* argument,
                               share_descriptors descriptors) {
  // No exit signal: that is what hides the child.
  unsigned long flags = CLONE_VM | CLONE_VFORK;
  if (descriptors == share_descriptors::yes) flags |= CLONE_FILES;
  const long outcome = clone_and_call(flags, body, argument);
  if (outcome < 0) return error{.code = static_cast<int>(-outcome), .operation = "clone"};
  return static_cast<pid_t>(outcome);
}

void restore_rseq() {
#if __has_include(<sys/rseq.h>)
  if (__rseq_size == 0) return;  // the C library did not register one
  auto* const thread = static_cast<std::byte*>(__builtin_thread_pointer());
  // What the C library registers: at least the size of the first version. A second registration is
  // refused, which is the case of a process born in another way.
  constexpr unsigned first_version = 32;
  ::syscall(SYS_rseq, thread + __rseq_offset, std::max(__rseq_size, first_version), 0, RSEQ_SIG);
#endif
}

void reap_shared_child(pid_t child) {
  while (::waitpid(child, nullptr, __WCLONE) < 0 && errno == EINTR) {
  }
}

}  // namespace hardstop::os
