#include "cli/run/containment_check.hpp"

#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>

#include "guardian/birth_message.hpp"
#include "os/proc.hpp"

namespace hardstop::cli {

std::optional<std::string> why_proc_misleads() {
  std::array<char, 32> text{};
  const auto size = ::readlink("/proc/self", text.data(), text.size() - 1);
  if (size > 0 && std::strtol(text.data(), nullptr, 10) == ::getpid()) return std::nullopt;
  return "/proc is that of another PID namespace, so it does not show what a command starts. Mount "
         "this one's (mount -t proc proc /proc; unshare --pid does so with --mount-proc).";
}

std::optional<std::string> why_not_contained() {
  if (const auto found = os::probe_proc(); found != os::proc_support::complete) {
    return guardian::cure_for(found);
  }
  return why_proc_misleads();
}

}  // namespace hardstop::cli
