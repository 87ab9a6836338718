#include "os/mapping.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <optional>

#include <gtest/gtest.h>

namespace hardstop::os {
namespace {

constexpr std::size_t size = 64 * 1024;

descriptor make_file(allocation when = allocation::up_front) {
  auto file = make_memory_file("test", size, when);
  EXPECT_TRUE(file);
  return std::move(*file);
}

mapping map(const descriptor& file, access how, on_fork fork = on_fork::dropped) {
  auto mapped = mapping::map(file, size, how, fork);
  EXPECT_TRUE(mapped);
  return std::move(*mapped);
}

// How a child that runs `body` ends.
template <class Body>
int status_of_child(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);
    body();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

TEST(MemoryFile, CannotBeResizedByAnybody) {
  const descriptor file = make_file();
  EXPECT_NE(ftruncate(file.get(), size / 2), 0);
  EXPECT_NE(ftruncate(file.get(), size * 2), 0);
  EXPECT_EQ(*sealed_size(file), size);
  EXPECT_NE(fcntl(file.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(MemoryFile, ThatCouldShrinkIsRefused) {
  const descriptor file{memfd_create("unsealed", MFD_ALLOW_SEALING | MFD_CLOEXEC)};
  EXPECT_FALSE(sealed_size(file));
  const descriptor no_memory_file{open("/dev/null", O_RDONLY | O_CLOEXEC)};
  EXPECT_FALSE(sealed_size(no_memory_file));
}

TEST(MemoryFile, IsAllocatedWhenSaid) {
  struct stat facts {};

  fstat(make_file(allocation::up_front).get(), &facts);
  EXPECT_EQ(facts.st_blocks * 512, static_cast<blkcnt_t>(size));
  fstat(make_file(allocation::on_touch).get(), &facts);
  EXPECT_EQ(facts.st_blocks, 0);
}

TEST(MemoryFile, ItsReadOnlyTwinCannotBeMappedForWriting) {
  const descriptor file = make_file();
  const auto twin = read_only_twin(file);
  ASSERT_TRUE(twin);
  EXPECT_FALSE(mapping::map(*twin, size, access::read_write, on_fork::kept));
  const mapping writable = map(file, access::read_write);
  const mapping readable = map(*twin, access::read_only);
  writable.bytes()[5] = std::byte{7};
  EXPECT_EQ(readable.bytes()[5], std::byte{7});
}

TEST(Mapping, IsKeptOrDroppedInAForkedChild) {
  const descriptor file = make_file();
  for (const on_fork fork : {on_fork::kept, on_fork::dropped}) {
    const mapping mapped = map(file, access::read_write, fork);
    const int status = status_of_child([&] { mapped.bytes()[0] = std::byte{1}; });
    EXPECT_EQ(WIFEXITED(status), fork == on_fork::kept);
  }
}

// Its addresses may be somebody else's in the child.
TEST(Mapping, ThatWasDroppedIsNotUnmappedInTheChild) {
  const descriptor file = make_file();
  std::optional<mapping> mapped{map(file, access::read_write)};
  const int status = status_of_child([&] {
    void* const other = mmap(mapped->data(), size, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (other != mapped->data()) _exit(2);
    mapped.reset();
    static_cast<char*>(other)[0] = 1;
  });
  EXPECT_EQ(status, 0);
}

TEST(Mapping, PartOfItIsMadeReadOnly) {
  const descriptor file = make_file();
  const mapping mapped = map(file, access::read_write, on_fork::kept);
  ASSERT_TRUE(mapped.protect(0, page_size()));
  EXPECT_TRUE(WIFSIGNALED(status_of_child([&] { mapped.bytes()[0] = std::byte{1}; })));
  EXPECT_EQ(status_of_child([&] { mapped.bytes()[page_size()] = std::byte{1}; }), 0);
}

TEST(Mapping, PunchedPagesGiveTheirMemoryBackAndReadAsZeros) {
  const descriptor file = make_file();
  const mapping mapped = map(file, access::read_write);
  const auto backing = [&] {
    struct stat facts {};
    fstat(file.get(), &facts);
    return static_cast<std::size_t>(facts.st_blocks) * 512;
  };
  std::memset(mapped.data(), 1, size);
  mapped.punch(0, size / 2);
  EXPECT_EQ(backing(), size / 2);
  punch(file, size / 2, size / 4);
  EXPECT_EQ(backing(), size / 4);
  EXPECT_EQ(mapped.bytes()[0], std::byte{0});
  EXPECT_EQ(mapped.bytes()[size / 2], std::byte{0});
  EXPECT_EQ(mapped.bytes()[size - 1], std::byte{1});
  ASSERT_TRUE(mapped.populate(0, size));
  EXPECT_EQ(backing(), size);
}

}  // namespace
}  // namespace hardstop::os
