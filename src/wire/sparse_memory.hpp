// What both kinds of arena are made of: a memory file larger than any machine's memory, mostly
// holes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "os/descriptor.hpp"
#include "os/error.hpp"
#include "os/mapping.hpp"

namespace hardstop::wire {

// Whether the kernel is asked for huge pages, where it has them for shared memory.
enum class page_choice : std::uint8_t { normal, huge };

struct arena_options {
  // Address space: a bound for all that is alive at a time. Halved until the system grants it.
  std::size_t reserve = std::size_t{64} << 30;
  // Free memory kept warm for the next range.
  std::size_t keep_warm = std::size_t{256} << 20;
  page_choice pages = page_choice::normal;
};

struct sparse_memory {
  os::descriptor file;
  os::mapping mapped;  // not inherited by forked children
};

os::result<sparse_memory> reserve_sparse_memory(const char* name, const arena_options&, os::access);

// Ranges are handed out in whole pages, so that each can be given back to the system.
std::size_t in_pages(std::uint64_t length);

}  // namespace hardstop::wire
