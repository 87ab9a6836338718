#include "os/mapping.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "os/same_process.hpp"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace hardstop::os {
namespace {

constexpr int unchangeable_size = F_SEAL_SHRINK | F_SEAL_GROW;

}  // namespace

std::size_t page_size() {
  static const auto size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

result<mapping> mapping::map(const descriptor& file, std::size_t length, access how, on_fork fork,
                             std::size_t offset) {
  const int protection = how == access::read_only ? PROT_READ : PROT_READ | PROT_WRITE;
  // NORESERVE: arenas are far larger than memory and mostly holes.
  void* const address = mmap(nullptr, length, protection, MAP_SHARED | MAP_NORESERVE, file.get(),
                             static_cast<off_t>(offset));
  if (address == MAP_FAILED) return last_error("mapping shared memory");
  mapping mapped{{static_cast<std::byte*>(address), length}, fork};
  if (fork == on_fork::dropped && madvise(address, length, MADV_DONTFORK) != 0) {
    return last_error("keeping shared memory out of forked children");
  }
  // A larger core dump is no reason to fail.
  (void)madvise(address, length, MADV_DONTDUMP);
  return mapped;
}

mapping::mapping(std::span<std::byte> bytes, on_fork fork)
    : bytes_(bytes), generation_(fork == on_fork::dropped ? process_generation() : 0) {}

mapping::~mapping() {
  if (bytes_.empty()) return;
  // In a forked child that did not get the mapping, its addresses may be somebody else's by now.
  if (generation_ != 0 && generation_ != process_generation()) return;
  munmap(bytes_.data(), bytes_.size());
}

result<void> mapping::protect(std::size_t offset, std::size_t length) const {
  if (mprotect(bytes_.data() + offset, length, PROT_READ) != 0) {
    return last_error("making shared memory read-only");
  }
  return {};
}

result<void> mapping::populate(std::size_t offset, std::size_t length) const {
  if (madvise(bytes_.data() + offset, length, MADV_POPULATE_WRITE) == 0) return {};
  // EINVAL: a kernel that does not know it. Pages will be faulted in one by one.
  if (errno == EINVAL) return {};
  return last_error("allocating shared memory");
}

void mapping::punch(std::size_t offset, std::size_t length) const {
  (void)madvise(bytes_.data() + offset, length, MADV_REMOVE);
}

void mapping::prefer_huge_pages() const {
  (void)madvise(bytes_.data(), bytes_.size(), MADV_HUGEPAGE);
}

result<descriptor> make_memory_file(const char* name, std::size_t size, allocation when) {
  descriptor file{memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (!file) return last_error("creating shared memory");
  if (ftruncate(file.get(), static_cast<off_t>(size)) != 0) {
    return last_error("sizing shared memory");
  }
  if (when == allocation::up_front && fallocate(file.get(), 0, 0, static_cast<off_t>(size)) != 0) {
    return last_error("allocating shared memory");
  }
  if (fcntl(file.get(), F_ADD_SEALS, unchangeable_size | F_SEAL_SEAL) != 0) {
    return last_error("sealing shared memory");
  }
  return file;
}

result<std::size_t> sealed_size(const descriptor& file) {
  const int seals = fcntl(file.get(), F_GET_SEALS);
  if (seals < 0) return last_error("looking at the seals of shared memory");
  if ((seals & unchangeable_size) != unchangeable_size) {
    return error{.code = EPERM, .operation = "accepting shared memory that could still shrink"};
  }

  struct stat facts {};

  if (fstat(file.get(), &facts) != 0) return last_error("asking for the size of shared memory");
  return static_cast<std::size_t>(facts.st_size);
}

void punch(const descriptor& file, std::size_t offset, std::size_t length) {
  (void)fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  static_cast<off_t>(offset), static_cast<off_t>(length));
}

result<descriptor> read_only_twin(const descriptor& file) {
  const std::string path = "/proc/self/fd/" + std::to_string(file.get());
  descriptor twin{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (twin) return twin;
  return file.duplicate();
}

}  // namespace hardstop::os
