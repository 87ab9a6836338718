#include "os/seqpacket.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "support/in_child.hpp"

namespace hardstop::os {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span{text.data(), text.size()});
}

class socket_pair : public testing::Test {
 protected:
  void SetUp() override {
    auto made = seqpacket::make_pair();
    ASSERT_TRUE(made);
    here_ = std::move(made->first);
    there_ = std::move(made->second);
  }

  seqpacket here_;
  seqpacket there_;
  std::array<std::byte, 64> buffer_{};
};

TEST_F(socket_pair, keeps_messages_apart) {
  ASSERT_TRUE(here_.send(bytes_of("one")));
  ASSERT_TRUE(here_.send(bytes_of("three")));
  EXPECT_EQ(there_.receive(buffer_)->size, 3U);
  EXPECT_EQ(there_.receive(buffer_)->size, 5U);
  EXPECT_EQ(there_.receive(buffer_).error().code, EAGAIN);
  EXPECT_FALSE(there_.wait_readable(std::chrono::milliseconds{1}));
}

TEST_F(socket_pair, carries_descriptors_close_on_exec) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  ASSERT_TRUE(here_.send(bytes_of("x"), pipe));
  for (const int end : pipe)
    ::close(end);
  auto message = there_.receive(buffer_);
  ASSERT_TRUE(message);
  ASSERT_EQ(message->descriptor_count, 2U);
  EXPECT_EQ(::fcntl(message->descriptors[0].get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(::write(message->descriptors[1].get(), "!", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(message->descriptors[0].get(), &byte, 1), 1);
}

TEST_F(socket_pair, tells_of_a_message_that_is_too_long_and_goes_on) {
  const std::vector<char> long_text(100, 'x');
  ASSERT_TRUE(here_.send(std::as_bytes(std::span{long_text})));
  ASSERT_TRUE(here_.send(bytes_of("short")));
  EXPECT_EQ(there_.receive(buffer_).error().code, EMSGSIZE);
  EXPECT_EQ(there_.receive(buffer_)->size, 5U);
}

TEST_F(socket_pair, tells_of_descriptors_it_had_no_room_for) {
  EXPECT_EQ(test::in_child([&] {
              const std::array sent{0, 1, 2};
              HARDSTOP_CHECK(here_.send(bytes_of("x"), sent).has_value());
              const rlimit few{.rlim_cur = 1, .rlim_max = 1};
              HARDSTOP_CHECK(::setrlimit(RLIMIT_NOFILE, &few) == 0);
              const auto message = there_.receive(buffer_);
              HARDSTOP_CHECK(message.has_value() && message->size == 1);
              HARDSTOP_CHECK(message->descriptors_lost);
            }),
            0);
}

TEST_F(socket_pair, is_closed_after_the_last_message) {
  ASSERT_TRUE(here_.send(bytes_of("last words")));
  here_ = {};
  EXPECT_EQ(there_.receive(buffer_)->size, 10U);
  EXPECT_TRUE(there_.wait_readable(std::chrono::milliseconds{0}));
  EXPECT_TRUE(there_.receive(buffer_)->closed());
  EXPECT_FALSE(there_.send(bytes_of("x")));  // and no SIGPIPE
}

TEST_F(socket_pair, delivers_the_last_message_of_a_peer_that_did_not_read_ours) {
  // The kernel says ECONNRESET first.
  ASSERT_TRUE(there_.send(bytes_of("never read")));
  ASSERT_TRUE(here_.send(bytes_of("last words")));
  here_ = {};
  EXPECT_EQ(there_.receive(buffer_)->size, 10U);
  EXPECT_TRUE(there_.receive(buffer_)->closed());
}

TEST_F(socket_pair, never_blocks) {
  result<void> sent;
  while ((sent = here_.send(bytes_of("more")))) {
  }
  EXPECT_EQ(sent.error().code, EAGAIN);
}

}  // namespace
}  // namespace hardstop::os
