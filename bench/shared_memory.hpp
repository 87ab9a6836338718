// Memory that the processes of one cell share: where jobs leave stamps and look for signs.
#pragma once

#include <sys/mman.h>

#include <new>
#include <system_error>

namespace bench {

// Made before the first fork, inherited by every one. Never unmapped: it lives as long as the cell.
template <class T>
T& share() {
  void* const memory =
      mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
  return *new (memory) T();
}

}  // namespace bench
