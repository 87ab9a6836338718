// The engine's two threads: born with the first pool, gone with the last, and in nobody's way.
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <hardstop/detail/engine.hpp>
#include <hardstop/pool.hpp>

namespace {

int twice(int value) {
  return 2 * value;
}

// Threads of ours in this process, by name.
int threads_of_ours() {
  int count = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name(15, '\0');
    if (FILE* file = std::fopen((task.path() / "comm").c_str(), "r"); file != nullptr) {
      name.resize(std::fread(name.data(), 1, name.size(), file));
      std::fclose(file);
    }
    if (name.starts_with("hs-")) ++count;
  }
  return count;
}

TEST(threads, live_as_long_as_some_pool_does) {
  EXPECT_EQ(threads_of_ours(), 0);
  {
    hardstop::process_pool first{{.workers = 1}};
    EXPECT_EQ(threads_of_ours(), 0) << "a pool is born when it is first used";
    EXPECT_EQ(first.submit<&twice>(1).get(), 2);
    EXPECT_EQ(threads_of_ours(), 2);
    hardstop::process_pool second{{.workers = 1}};
    EXPECT_EQ(second.submit<&twice>(2).get(), 4);
    EXPECT_EQ(threads_of_ours(), 2) << "one engine serves all pools";
  }
  EXPECT_EQ(threads_of_ours(), 0);
}

// A continuation that makes a pool of its own, in the delivery thread.
class makes_a_pool final : public hardstop::detail::continuation {
 public:
  void run() noexcept override {
    auto pool = std::make_shared<hardstop::process_pool>(hardstop::pool_options{.workers = 1});
    auto job = pool->submit<&twice>(21);
    // Not kept here: the last reference ends the pool, and in this thread that does not wait.
    made.set_value({std::move(pool), std::move(job)});
  }

  using made_pool = std::pair<std::shared_ptr<hardstop::process_pool>, hardstop::future<int>>;
  std::promise<made_pool> made;
};

// The race that lifecycle.cpp argues about: the last pool ends here while user code in the delivery
// thread begins another one.
TEST(threads, agree_when_the_last_pool_ends_and_a_continuation_makes_another) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "g++ 12's ASan cannot fork while another thread allocates";
#endif
  for (int round = 0; round < 60; ++round) {
    makes_a_pool then;
    auto made = then.made.get_future();
    {
      hardstop::process_pool other{{.workers = 1}};
      auto job = other.submit<&twice>(round);
      hardstop::detail::future_access::job(job).on_done(then);
      job.wait();
    }
    auto [pool, job] = made.get();
    EXPECT_EQ(job.get(), 42);
  }
  EXPECT_EQ(threads_of_ours(), 0);
}

// One of many waiting threads reads lanes for all; whoever it is may leave at any moment.
TEST(threads, that_wait_at_once_all_hear_of_their_own_job) {
  hardstop::process_pool pool{{.workers = 2}};
  std::atomic<int> right{0};
  constexpr int each = 1'500;
  std::vector<std::thread> waiting;
  for (int thread = 0; thread < 4; ++thread) {
    waiting.emplace_back([&, thread] {
      for (int i = 0; i < each; ++i) {
        const int value = thread * each + i;
        if (pool.submit<&twice>(value).get() == 2 * value) ++right;
      }
    });
  }
  for (std::thread& thread : waiting)
    thread.join();
  EXPECT_EQ(right, 4 * each);
}

}  // namespace
