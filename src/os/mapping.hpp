// Mapped memory with an owner, and the sealed memory files that lanes and arenas are made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "os/descriptor.hpp"
#include "os/error.hpp"

namespace hardstop::os {

enum class access : std::uint8_t { read_only, read_write };

// Whether a child made by fork() has the mapping too.
enum class on_fork : std::uint8_t { kept, dropped };

// A shared mapping of a memory file, unmapped by its destructor. Thread-safety: as a pointer's.
class mapping {
 public:
  mapping() = default;

  mapping(mapping&& other) noexcept
      : bytes_(std::exchange(other.bytes_, {})), generation_(other.generation_) {}

  mapping& operator=(mapping&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(generation_, other.generation_);
    return *this;
  }

  ~mapping();

  // Maps `length` bytes of the file from `offset` on. Never part of a core dump: a core of 64 GiB
  // of holes helps nobody, and arguments may be secret.
  static result<mapping> map(const descriptor& file, std::size_t length, access, on_fork,
                             std::size_t offset = 0);

  std::byte* data() const { return bytes_.data(); }

  std::size_t size() const { return bytes_.size(); }

  std::span<std::byte> bytes() const { return bytes_; }

  // Makes part of the mapping (whole pages) read-only for this process.
  result<void> protect(std::size_t offset, std::size_t length) const;

  // Makes pages present and writable in one go, which is cheaper than a fault for each and tells
  // of lacking memory where a fault would kill. Does nothing on kernels before 5.14.
  result<void> populate(std::size_t offset, std::size_t length) const;

  // Gives the pages' memory back to the system; they read as zeros from then on, in every process.
  void punch(std::size_t offset, std::size_t length) const;

  // Asks for huge pages. Takes effect only where /sys/kernel/mm/transparent_hugepage/shmem_enabled
  // lets it; there is nothing to do where it does not.
  void prefer_huge_pages() const;

 private:
  mapping(std::span<std::byte> bytes, on_fork fork);

  std::span<std::byte> bytes_;
  std::uint64_t generation_ = 0;  // of the process that alone has the mapping; 0: it is inherited
};

// Whether a memory file's pages are allocated at once, or when first touched.
enum class allocation : std::uint8_t { up_front, on_touch };

// A memory file of a size that can never change again, by anybody: a peer that could shrink it
// would kill whoever reads it by SIGBUS. Close-on-exec. The name shows in /proc.
result<descriptor> make_memory_file(const char* name, std::size_t size, allocation);

// The size of a memory file that was sealed so, or an error: for the receiving side.
result<std::size_t> sealed_size(const descriptor& file);

// What mapping::punch() does, for one who has the file and need not be able to write to its
// mapping.
void punch(const descriptor& file, std::size_t offset, std::size_t length);

// A second descriptor of the file that can only be mapped for reading. The same one again where
// /proc is missing.
result<descriptor> read_only_twin(const descriptor& file);

std::size_t page_size();

constexpr std::size_t round_up(std::size_t value, std::size_t unit) {
  return (value + unit - 1) / unit * unit;
}

}  // namespace hardstop::os
