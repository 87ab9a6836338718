#include "os/futex.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "os/clock.hpp"
#include "os/mapping.hpp"

namespace hardstop::os {
namespace {

using namespace std::chrono_literals;

// Wakes again and again, since nobody can see whether the other sleeps already.
class persistent_waker {
 public:
  persistent_waker(futex_word& word, futex_scope scope)
      : thread_([&word, scope](const std::stop_token& over) {
          word.fetch_add(1);
          while (!over.stop_requested())
            futex_wake(word, scope);
        }) {}

 private:
  std::jthread thread_;
};

TEST(Futex, ReturnsAtOnceWhenTheWordHasChanged) {
  const futex_word word{1};
  EXPECT_EQ(futex_wait(word, 0, futex_scope::process), wait_end::woken);
  EXPECT_EQ(futex_wait(word, 0, futex_scope::shared), wait_end::woken);
}

TEST(Futex, TimesOutAtTheDeadlineAndNotBefore) {
  const futex_word word{0};
  const auto deadline = now() + 5ms;
  while (futex_wait(word, 0, futex_scope::process, deadline) != wait_end::timed_out) {
  }
  EXPECT_GE(now(), deadline);
}

TEST(Futex, IsWoken) {
  for (const futex_scope scope : {futex_scope::process, futex_scope::shared}) {
    futex_word word{0};
    const persistent_waker waker{word, scope};
    while (word.load() == 0)
      EXPECT_EQ(futex_wait(word, 0, scope, now() + 20s), wait_end::woken);
  }
}

TEST(Futex, WorksOnMemoryThatIsReadOnlyHere) {
  const auto file = make_memory_file("test", 4096, allocation::up_front);
  const auto ours = mapping::map(*file, 4096, access::read_write, on_fork::kept);
  const auto theirs = mapping::map(*file, 4096, access::read_only, on_fork::kept);
  ASSERT_TRUE(ours && theirs);
  auto& word = *new (ours->data()) futex_word{0};
  const auto& seen = *reinterpret_cast<const futex_word*>(theirs->data());
  EXPECT_EQ(futex_wait(seen, 0, futex_scope::shared, now() + 1ms), wait_end::timed_out);
  const persistent_waker waker{word, futex_scope::shared};
  while (seen.load() == 0)
    futex_wait(seen, 0, futex_scope::shared, now() + 20s);
}

TEST(Futex, ASignalHandlerEndsTheWait) {
  struct sigaction action {};

  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;

  struct sigaction before {};

  sigaction(SIGUSR1, &action, &before);
  futex_word word{0};
  const pthread_t sleeper = pthread_self();
  std::jthread pest([sleeper](const std::stop_token& over) {
    while (!over.stop_requested()) {
      pthread_kill(sleeper, SIGUSR1);
      std::this_thread::sleep_for(1ms);
    }
  });
  EXPECT_EQ(futex_wait(word, 0, futex_scope::process, now() + 20s), wait_end::interrupted);
  pest.request_stop();
  pest.join();
  sigaction(SIGUSR1, &before, nullptr);
}

class WaitAny : public testing::TestWithParam<std::size_t> {
 protected:
  std::vector<awaited_word> awaited() const {
    std::vector<awaited_word> words;
    words.reserve(all.size());
    for (const futex_word& word : all) {
      words.push_back({.word = &word, .expected = 0, .scope = scope(words.size())});
    }
    return words;
  }

  static futex_scope scope(std::size_t index) {
    return index % 2 == 0 ? futex_scope::shared : futex_scope::process;
  }

  std::vector<futex_word> all = std::vector<futex_word>(GetParam());
};

TEST_P(WaitAny, IsWokenByEachOfThem) {
  for (std::size_t i = 0; i < all.size(); i += 1 + all.size() / 8) {
    const auto words = awaited();
    {
      const persistent_waker waker{all[i], scope(i)};
      while (all[i].load() == 0) {
        EXPECT_EQ(wait_any(words, now() + 20s), wait_end::woken) << "word " << i;
      }
    }
    all[i] = 0;
  }
}

TEST_P(WaitAny, TimesOut) {
  const auto words = awaited();
  const auto deadline = now() + 5ms;
  while (wait_any(words, deadline) != wait_end::timed_out)
    ASSERT_LT(now(), deadline + 10s);
  EXPECT_GE(now(), deadline);
}

TEST_P(WaitAny, ReturnsAtOnceWhenOneHasChanged) {
  all.back() = 1;
  EXPECT_EQ(wait_any(awaited()), wait_end::woken);
}

// One is a plain wait, most_awaited what the kernel takes, and more are polled.
INSTANTIATE_TEST_SUITE_P(Words, WaitAny,
                         testing::Values(1, 2, 9, most_awaited, most_awaited + 1, 500));

}  // namespace
}  // namespace hardstop::os
