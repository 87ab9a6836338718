#include "service/forked_sqlite.hpp"

#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <ranges>

#include "os/same_process.hpp"

namespace hardstop::storage {
namespace {

// Of the process that has loaded this library. Any other number is a forked child's.
const std::uint64_t first_generation = os::process_generation();

// What is added to inode numbers: nothing, but in forked children something of their own.
std::uint64_t disguise() noexcept {
  const auto generation = os::process_generation();
  return generation == first_generation ? 0 : generation;
}

// The files to be disguised. Others are not: a host may have opened its own with SQLite before, and
// they must stay the same for it. Only ever grows, by whole nodes: a fork at any moment leaves the
// child a list that is sound.
struct disguised_file {
  dev_t device;
  ino_t inode;
  const disguised_file* next;
};

std::atomic<const disguised_file*> disguised_files{nullptr};

bool is_listed(const struct stat& file) noexcept {
  const auto* at = disguised_files.load(std::memory_order_acquire);
  while (at != nullptr && (at->device != file.st_dev || at->inode != file.st_ino))
    at = at->next;
  return at != nullptr;
}

void enlist(const struct stat& file) {
  if (is_listed(file)) return;
  auto* const fresh = new disguised_file{.device = file.st_dev,
                                         .inode = file.st_ino,
                                         .next = disguised_files.load(std::memory_order_relaxed)};
  // Two that enlist the same file do so twice, which is no harm. Release, for is_listed().
  while (!disguised_files.compare_exchange_weak(fresh->next, fresh, std::memory_order_release)) {
  }
}

void put_on(struct stat& file) noexcept {
  if (is_listed(file)) file.st_ino += disguise();
}

int disguised_stat(const char* path, struct stat* file) {
  const int answer = ::stat(path, file);
  if (answer == 0) put_on(*file);
  return answer;
}

int disguised_fstat(int descriptor, struct stat* file) {
  const int answer = ::fstat(descriptor, file);
  if (answer == 0) put_on(*file);
  return answer;
}

template <class Function>
void replace(const char* name, Function* function) {
  sqlite3_vfs* const vfs = ::sqlite3_vfs_find(nullptr);
  if (vfs == nullptr || vfs->iVersion < 3 || vfs->xSetSystemCall == nullptr) return;
  (void)vfs->xSetSystemCall(vfs, name, reinterpret_cast<sqlite3_syscall_ptr>(function));
}

// In the order in which SQLite itself takes them where it takes several: the generator of random
// numbers asks for the file system while it seeds itself, and the allocator's is last.
constexpr std::array library_locks{SQLITE_MUTEX_STATIC_PRNG, SQLITE_MUTEX_STATIC_MAIN,
                                   SQLITE_MUTEX_STATIC_VFS1, SQLITE_MUTEX_STATIC_LRU,
                                   SQLITE_MUTEX_STATIC_PMEM, SQLITE_MUTEX_STATIC_MEM};

void before_fork() noexcept {
  for (const int each : library_locks)
    ::sqlite3_mutex_enter(::sqlite3_mutex_alloc(each));
}

void after_fork() noexcept {
  for (const int each : std::views::reverse(library_locks))
    ::sqlite3_mutex_leave(::sqlite3_mutex_alloc(each));
}

bool hold_locks_around_forks() {
  // Initializes it, which nobody shall do first in the moment of a fork.
  if (::sqlite3_initialize() != SQLITE_OK) return false;
  return ::pthread_atfork(&before_fork, &after_fork, &after_fork) == 0;
}

}  // namespace

void prepare_sqlite(const std::string& path) {
  static const bool held = hold_locks_around_forks();
  (void)held;  // without memory for three pointers, what follows fails, too
  if (disguise() == 0) return;

  struct stat file {};

  if (::stat(path.c_str(), &file) != 0) return;
  enlist(file);
  replace("stat", &disguised_stat);
  replace("fstat", &disguised_fstat);
}

}  // namespace hardstop::storage
