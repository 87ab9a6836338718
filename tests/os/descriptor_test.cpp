#include "os/descriptor.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <utility>

#include <gtest/gtest.h>

#include "support/in_child.hpp"

namespace hardstop::os {
namespace {

descriptor open_something() {
  return descriptor{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
}

bool is_open(int number) {
  return ::fcntl(number, F_GETFD) >= 0;
}

TEST(descriptor, closes_what_it_owns) {
  int number = -1;
  {
    const auto owned = open_something();
    number = owned.get();
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(descriptor, moves_and_releases) {
  auto first = open_something();
  const int number = first.get();
  descriptor second{std::move(first)};
  EXPECT_EQ(second.get(), number);
  first = std::move(second);
  EXPECT_EQ(first.release(), number);
  EXPECT_FALSE(first);
  EXPECT_TRUE(is_open(number));
  ::close(number);
}

TEST(descriptor, duplicates_close_on_exec) {
  const auto original = open_something();
  const auto copy = original.duplicate();
  ASSERT_TRUE(copy);
  EXPECT_NE(copy->get(), original.get());
  EXPECT_EQ(::fcntl(copy->get(), F_GETFD), FD_CLOEXEC);
  EXPECT_FALSE(descriptor{}.duplicate());
}

TEST(disown_inherited, closes_the_librarys_descriptors_and_no_others_in_a_fork) {
  const auto ours = open_something();
  const auto kept = open_something();
  const int hosts = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(test::in_child([&] {
              disown_inherited(std::array{kept.get()});
              HARDSTOP_CHECK(!is_open(ours.get()));
              HARDSTOP_CHECK(is_open(kept.get()));
              HARDSTOP_CHECK(is_open(hosts));
            }),
            0);
  EXPECT_TRUE(is_open(ours.get()));
  ::close(hosts);
}

TEST(disown_inherited, makes_copied_owners_harmless) {
  auto ours = open_something();
  EXPECT_EQ(test::in_child([&] {
              const int number = ours.get();
              disown_inherited({});
              const int reused = ::open("/dev/null", O_RDONLY);
              HARDSTOP_CHECK(reused == number);
              ours.reset();
              HARDSTOP_CHECK(is_open(reused));

              descriptor own{reused};
              own.reset();
              HARDSTOP_CHECK(!is_open(reused));
            }),
            0);
}

TEST(close_all_but, closes_what_anybody_opened) {
  EXPECT_EQ(test::in_child([] {
              const int low = ::dup(0);
              const int middle = ::fcntl(0, F_DUPFD, 100);
              const int high = ::fcntl(0, F_DUPFD, 200);
              close_all_but(std::array{high, low});
              HARDSTOP_CHECK(is_open(0) && is_open(1) && is_open(2));
              HARDSTOP_CHECK(is_open(low) && !is_open(middle) && is_open(high));
              HARDSTOP_CHECK(!is_open(low + 1) && !is_open(high + 1));
            }),
            0);
}

TEST(keep_only_across_exec, marks_all_others) {
  EXPECT_EQ(test::in_child([] {
              const int kept = ::fcntl(0, F_DUPFD_CLOEXEC, 100);
              const int left_open = ::fcntl(0, F_DUPFD, 101);
              keep_only_across_exec(std::array{kept});
              HARDSTOP_CHECK(::fcntl(kept, F_GETFD) == 0);
              HARDSTOP_CHECK(::fcntl(left_open, F_GETFD) == FD_CLOEXEC);
              HARDSTOP_CHECK(::fcntl(1, F_GETFD) == 0);
            }),
            0);
}

}  // namespace
}  // namespace hardstop::os
