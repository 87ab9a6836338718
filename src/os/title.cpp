#include "os/title.hpp"

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "os/proc.hpp"

namespace hardstop::os {

void set_process_title(std::string_view name, std::string_view command_line) {
  std::array<char, 16> short_name{};
  name.copy(short_name.data(), short_name.size() - 1);
  ::prctl(PR_SET_NAME, short_name.data(), 0, 0, 0);

  // The kernel shows the bytes where the arguments were put at exec. The environment lies right
  // behind them and stays as it is; the last byte must stay zero, or the kernel shows that too.
  const auto stat = read_stat(::getpid());
  if (!stat || stat->arguments_end <= stat->arguments_begin) return;
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an address is what the kernel's text holds
  auto* const begin = reinterpret_cast<char*>(stat->arguments_begin);
  const auto room = static_cast<std::size_t>(stat->arguments_end - stat->arguments_begin);
  std::memset(begin, 0, room);
  std::memcpy(begin, command_line.data(), std::min(room - 1, command_line.size()));
}

}  // namespace hardstop::os
