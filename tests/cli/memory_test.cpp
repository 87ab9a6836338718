// --memory counts the whole tree, fairly.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "cli/command.hpp"
#include "support/board.hpp"
#include "support/other_process.hpp"

namespace hardstop::test {
namespace {

constexpr std::size_t mebi = std::size_t{1} << 20U;

// Memory that is there, and stays.
void take(std::size_t bytes) {
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) ::_exit(1);
  std::memset(memory, 1, bytes);
}

[[noreturn]] void linger() {
  for (;;)
    ::pause();
}

// One process that wants ever more. Bounded, should nobody stop it.
int wants_more(const words&) {
  for (std::size_t taken = 0; taken < 1024 * mebi; taken += 8 * mebi)
    take(8 * mebi);
  return 0;
}

const support::part wants_more_part{"wants_more", &wants_more};

TEST(a_tree_that_uses_too_much, is_killed) {
  const auto ended = run(words{"run", "--memory", "150M", "--json", "--"} + part("wants_more"));
  EXPECT_EQ(ended.shell_status(), 137);
  const auto report = ended.report();
  EXPECT_EQ(report["why"].text(), "memory_limit");
  EXPECT_EQ(report["memory_limited_by"].text(), "watch");
  EXPECT_GT(report["peak_memory_bytes"].number(), static_cast<double>(150 * mebi));
  EXPECT_EQ(ended.left_behind, "");
}

// Four that use 60 MiB each; none of them too much.
int wants_it_in_pieces(const words&) {
  for (int child = 0; child < 4; ++child) {
    if (::fork() == 0) {
      ::setsid();
      take(60 * mebi);
      linger();
    }
  }
  linger();
}

const support::part wants_it_in_pieces_part{"wants_it_in_pieces", &wants_it_in_pieces};

TEST(a_tree_that_uses_too_much, need_not_have_a_process_that_does) {
  const auto ended =
      run(words{"run", "--memory", "200M", "--timeout", "60", "--"} + part("wants_it_in_pieces"));
  EXPECT_EQ(ended.shell_status(), 137);
  EXPECT_NE(ended.errors.find("more memory than --memory allows (200.0 MiB)"), std::string::npos);
  EXPECT_EQ(ended.left_behind, "");
}

// Four that share 80 MiB; some looks long.
int shares(const words&) {
  take(80 * mebi);
  for (int child = 0; child < 4; ++child) {
    if (::fork() == 0) linger();
  }
  std::this_thread::sleep_for(std::chrono::milliseconds{200});
  return 0;
}

const support::part shares_part{"shares", &shares};

TEST(memory_that_is_shared, counts_once) {
  const auto ended = run(words{"run", "--memory", "250M", "--json", "--"} + part("shares"));
  EXPECT_EQ(ended.shell_status(), 0);
  const auto report = ended.report();
  EXPECT_EQ(report["why"].text(), "exited");
  EXPECT_EQ(report["peak_memory_of"].text(), "tree");
  EXPECT_GT(report["peak_memory_bytes"].number(), static_cast<double>(80 * mebi))
      << "nobody looked";
  EXPECT_EQ(ended.left_behind, "");
}

}  // namespace
}  // namespace hardstop::test
