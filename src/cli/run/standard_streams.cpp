#include "cli/run/standard_streams.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "os/descriptor.hpp"

namespace hardstop::cli {

void occupy_standard_streams() {
  for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // The lowest that is free, so this one.
    if (::fcntl(number, F_GETFD) < 0) (void)::open("/dev/null", O_RDWR | O_CLOEXEC);
  }
}

std::vector<int> inherited_descriptors() {
  std::vector<int> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory{::opendir("/proc/self/fd"), &::closedir};
  while (const dirent* const entry = directory ? ::readdir(directory.get()) : nullptr) {
    const auto number = static_cast<int>(std::strtol(entry->d_name, nullptr, 10));
    if (number > STDERR_FILENO && number != ::dirfd(directory.get())) found.push_back(number);
  }
  return found;
}

void leave_to_command(std::span<const int> inherited) {
  for (const int number : inherited)
    ::close(number);
  const os::descriptor nowhere{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  if (!nowhere) return;
  for (const int number : {STDIN_FILENO, STDOUT_FILENO})
    ::dup2(nowhere.get(), number);
}

}  // namespace hardstop::cli
