#include "wire/sparse_memory.hpp"

#include <algorithm>
#include <utility>

namespace hardstop::wire {
namespace {

constexpr std::size_t smallest_reserve = std::size_t{64} << 20;

}  // namespace

os::result<sparse_memory> reserve_sparse_memory(const char* name, const arena_options& options,
                                                os::access how) {
  // RLIMIT_AS or strict overcommit may not grant all of it.
  for (std::size_t size = in_pages(options.reserve);; size = in_pages(size / 2)) {
    auto file = os::make_memory_file(name, size, os::allocation::on_touch);
    if (!file) return file.error();
    auto mapped = os::mapping::map(*file, size, how, os::on_fork::dropped);
    if (mapped) {
      if (options.pages == page_choice::huge) mapped->prefer_huge_pages();
      return sparse_memory{.file = std::move(*file), .mapped = std::move(*mapped)};
    }
    if (size <= smallest_reserve) return mapped.error();
  }
}

std::size_t in_pages(std::uint64_t length) {
  return os::round_up(std::max(length, std::uint64_t{1}), os::page_size());
}

}  // namespace hardstop::wire
