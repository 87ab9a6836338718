// Times, sizes and signals as people write them on a command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "os/clock.hpp"

namespace hardstop::cli {

// "30s", "1.5m", "250ms", "2h", "1d", or "30": seconds, as timeout(1) reads them. Rounded up, so
// that nothing but zero is zero; what is too long to matter ("infinity" too) is duration::max().
[[nodiscard]] std::optional<os::duration> parse_duration(std::string_view text);

// "2G", "512M", "64K", "1.5T" or bytes; also "GiB" and "Gi". Powers of 1024.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);

// "TERM", "SIGTERM", "term", "15", "RTMIN+3".
[[nodiscard]] std::optional<int> parse_signal(std::string_view text);

// "SIGTERM", "SIGRTMIN+3".
[[nodiscard]] std::string signal_name(int signal);

// "1.5 GiB".
[[nodiscard]] std::string describe_size(std::uint64_t bytes);

}  // namespace hardstop::cli
