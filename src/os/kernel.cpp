#include "os/kernel.hpp"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "os/pidfd.hpp"
#include "os/shared_child.hpp"
#include "os/signals.hpp"

namespace hardstop::os {
namespace {

constexpr int probe_status = 42;

// Runs in the child, which shares our memory: leaves its own pidfd behind and ends.
int leave_pidfd(void* argument) noexcept {
  auto own = pidfd::open(::getpid());
  if (own) *static_cast<pidfd*>(argument) = std::move(*own);
  return probe_status;
}

void probe_invisible_clone(kernel_features& features) {
  pidfd child;
  const signals_blocked quiet;
  const auto pid = run_shared_child(&leave_pidfd, &child, share_descriptors::yes);
  if (!pid) return;
  features.invisible_clone = true;
  reap_shared_child(*pid);
  if (!child) return;
  const auto told = child.exit_info();
  features.pidfd_exit_info = told && told->code == probe_status;
}

}  // namespace

kernel_features probe_kernel() {
  kernel_features features;
  if (const auto own = pidfd::open(::getpid())) {
    features.pidfd = own->send_signal(0).has_value();
    siginfo_t info{};
    // Not our child, so ECHILD is the answer of a kernel that knows the question.
    ::waitid(static_cast<idtype_t>(3), static_cast<id_t>(own->handle().get()), &info,
             WEXITED | WNOHANG);
    features.pidfd_wait = errno == ECHILD;
  }
  const descriptor memory{
      static_cast<int>(::memfd_create("hardstop-probe", MFD_CLOEXEC | MFD_ALLOW_SEALING))};
  features.memfd_sealing = static_cast<bool>(memory);
  probe_invisible_clone(features);
  return features;
}

}  // namespace hardstop::os
