#include "cli/run/tree_memory.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include "cli/run/tree_walk.hpp"
#include "os/proc.hpp"
#include "os/read_file.hpp"

namespace hardstop::cli {
namespace {

constexpr std::uint64_t kibi = 1024;

std::uint64_t resident(pid_t pid) {
  return os::read_resident_memory(pid).value_or(0);
}

// A process's fair share of what it uses. Not readable for set-uid programs: then all of it.
std::uint64_t fair_share(pid_t pid) {
  constexpr std::string_view key = "\nPss:";
  const auto path = "/proc/" + std::to_string(pid) + "/smaps_rollup";
  const auto text = os::read_file(path.c_str());
  const auto at = text ? text->find(key) : std::string::npos;
  if (at == std::string::npos) return resident(pid);
  const auto digits = text->find_first_not_of(' ', at + key.size());
  std::uint64_t kilobytes = 0;
  if (digits == std::string::npos) return resident(pid);
  std::from_chars(text->data() + digits, text->data() + text->size(), kilobytes);
  return kilobytes * kibi;
}

}  // namespace

bool tree_memory::exceeded() {
  const auto began = os::now();
  const auto tree = descendants_of(::getpid());
  const auto sum = [&](auto measure) {
    std::uint64_t total = 0;
    for (const auto& member : tree)
      total += measure(member.pid);
    return total;
  };
  auto used = sum(resident);
  if (used > limit_) used = sum(fair_share);
  peak_ = std::max(peak_, used);
  const auto ended = os::now();
  next_ = ended + std::max<os::duration>(period, (ended - began) * most_expensive);
  return used > limit_;
}

}  // namespace hardstop::cli
