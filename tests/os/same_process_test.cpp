#include "os/same_process.hpp"

#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include <gtest/gtest.h>

namespace hardstop::os {
namespace {

// 0 if a forked child sees what it should.
int status_of(pid_t child) {
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

TEST(ProcessGeneration, StaysWhatItIs) {
  const std::uint64_t here = process_generation();
  EXPECT_NE(here, 0U);
  EXPECT_EQ(process_generation(), here);
  std::uint64_t there = 0;
  std::thread([&] { there = process_generation(); }).join();
  EXPECT_EQ(there, here);
}

TEST(ProcessGeneration, IsAnotherInAForkedChildAndInItsChild) {
  const std::uint64_t first = process_generation();
  const pid_t child = fork();
  if (child == 0) {
    const std::uint64_t second = process_generation();
    if (second == first || second != process_generation()) _exit(1);
    const pid_t grandchild = fork();
    if (grandchild == 0) {
      const std::uint64_t third = process_generation();
      _exit(third == first || third == second ? 1 : 0);
    }
    int status = 0;
    waitpid(grandchild, &status, 0);
    _exit(status == 0 ? 0 : 1);
  }
  EXPECT_EQ(status_of(child), 0);
  EXPECT_EQ(process_generation(), first);
}

TEST(ProcessGeneration, IsAnotherAfterARawClone) {
  const std::uint64_t here = process_generation();
  const long child = syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (child == 0) _exit(process_generation() == here ? 1 : 0);
  EXPECT_EQ(status_of(static_cast<pid_t>(child)), 0);
}

TEST(ProcessGeneration, IsTheSameWhereMemoryIsShared) {
  const std::uint64_t here = process_generation();
  volatile bool same = false;
  const pid_t child = vfork();
  if (child == 0) {
    same = process_generation() == here;
    _exit(0);
  }
  EXPECT_EQ(status_of(child), 0);
  EXPECT_TRUE(same);
}

}  // namespace
}  // namespace hardstop::os
