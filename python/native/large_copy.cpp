#include "large_copy.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace hardstop::python {

namespace {

constexpr std::size_t batch = 256 << 10;  // stays in the cache between being cleared and written
constexpr std::uintptr_t page = 4096;
constexpr int populate_for_writing = 23;  // MADV_POPULATE_WRITE, Linux 5.14

}  // namespace

void copy_large(void* to, const void* from, std::size_t size) noexcept {
  auto* target = static_cast<char*>(to);
  const auto* source = static_cast<const char*>(from);
  bool asked = size > batch;
  for (std::size_t done = 0; done < size;) {
    const std::size_t part = std::min(batch, size - done);
    if (asked) {
      // Whole pages of ours only; what is there already stays as it is.
      const auto begin = (reinterpret_cast<std::uintptr_t>(target + done) + page - 1) & ~(page - 1);
      const auto end = reinterpret_cast<std::uintptr_t>(target + done + part) & ~(page - 1);
      asked = begin >= end ||
              ::madvise(reinterpret_cast<void*>(begin), end - begin, populate_for_writing) == 0;
    }
    std::memcpy(target + done, source + done, part);
    done += part;
  }
}

}  // namespace hardstop::python
