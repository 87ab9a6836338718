// Permits and those who hold them, in real processes (G7).
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "support/board.hpp"
#include "support/pools.hpp"
#include <hardstop/pool.hpp>
#include <hardstop/semaphore.hpp>

namespace {

using hardstop::cancel_mode;
using hardstop::outcome_kind;
using namespace std::chrono_literals;

struct scene {
  support::counter inside;
  support::counter most;
  support::counter go;
};

using scene_ref = support::board_ref<scene>;

[[noreturn]] void stay() {
  for (;;)
    ::pause();
}

std::uint64_t hold_until_told(hardstop::semaphore db, scene_ref ref) {
  const hardstop::permit mine = db.acquire();
  const auto seen = ref.visit();
  seen->inside.add();
  static_cast<void>(seen->go.wait_for(1));
  return mine.fence();
}

void hold_for_ever(hardstop::semaphore db, scene_ref ref) {
  const hardstop::permit mine = db.acquire();
  ref.visit()->inside.add();
  stay();
}

std::uint64_t acquire_and_tell(hardstop::semaphore db) {
  const hardstop::permit mine = db.acquire();
  return mine.abandoned() ? 0 : mine.fence();
}

int with_needs(scene_ref ref) {
  const auto seen = ref.visit();
  const std::uint32_t others = seen->inside.add();
  if (others + 1 > seen->most.get()) seen->most.set(others + 1);
  std::this_thread::sleep_for(1ms);
  seen->inside.add(static_cast<std::uint32_t>(-1));
  return 1;
}

bool told_of_needs(hardstop::semaphore needed, hardstop::semaphore other) {
  const auto held = needed.needed();
  return held && held->fence() != 0 && !held->abandoned() && !other.needed();
}

class permits : public testing::Test {
 protected:
  support::board<scene> seen_{"permits"};
  support::event_log news_;
  hardstop::process_pool pool_{{.workers = 4, .on_event = news_.sink()}};
};

TEST_F(permits, of_the_client_are_guards) {
  hardstop::semaphore db(2, "db");
  {
    hardstop::permit first = db.acquire();
    const hardstop::permit second = db.acquire();
    EXPECT_LT(first.fence(), second.fence());
    EXPECT_FALSE(db.try_acquire());
    EXPECT_FALSE(db.try_acquire_for(5ms));
    first.release();
    EXPECT_TRUE(db.try_acquire());
    EXPECT_THROW(first.release(), hardstop::error);
  }
  EXPECT_EQ(db.stats().available, 2U);
  EXPECT_THROW(static_cast<void>(db.acquire(3)), hardstop::bad_options);
  EXPECT_THROW(hardstop::semaphore(0), hardstop::bad_options);
}

TEST_F(permits, are_waited_for_in_jobs_and_threads_alike) {
  hardstop::lock file("file");
  auto job = pool_.submit<&hold_until_told>(file, seen_.ref());
  ASSERT_TRUE(seen_->inside.wait_for(1));
  const auto stats = file.stats();
  ASSERT_EQ(stats.holders.size(), 1U);
  EXPECT_NE(stats.holders.front().who.find("hold_until_told"), std::string::npos);
  std::atomic<bool> got = false;
  std::thread waiter([&] {
    const hardstop::permit mine = file.acquire();
    got = true;
  });
  while (file.stats().waiters.empty())
    std::this_thread::yield();
  EXPECT_FALSE(got);
  seen_->go.set(1);
  const std::uint64_t fence = job.get();
  waiter.join();
  EXPECT_GT(pool_.submit<&acquire_and_tell>(file).get(), fence);
  EXPECT_EQ(file.stats().available, 1U);
}

TEST_F(permits, that_jobs_need_let_no_more_run) {
  hardstop::semaphore db(2, "db");
  std::vector<hardstop::future<int>> all;
  for (int at = 0; at < 200; ++at)
    all.push_back(pool_.submit<&with_needs>({.needs = {db}}, seen_.ref()));
  for (auto& each : all)
    EXPECT_EQ(each.get(), 1);
  EXPECT_LE(seen_->most.get(), 2U);
  EXPECT_EQ(db.stats().available, 2U);
  EXPECT_EQ(db.stats().grants, 200U);
}

TEST_F(permits, that_jobs_need_are_told_in_the_job) {
  hardstop::semaphore db(2, "db");
  hardstop::semaphore other(1, "other");
  EXPECT_TRUE(pool_.submit<&told_of_needs>({.needs = {{db, 2}}}, db, other).get());
}

TEST_F(permits, that_never_are_cannot_be_needed) {
  hardstop::semaphore db(2, "db");
  EXPECT_THROW(pool_.submit<&with_needs>({.needs = {{db, 3}}}, seen_.ref()), hardstop::bad_options);
  EXPECT_THROW(pool_.submit<&with_needs>({.needs = {db, db}}, seen_.ref()), hardstop::bad_options);
  EXPECT_EQ(db.stats().available, 2U);
}

TEST_F(permits, of_a_killed_job_come_back_and_say_so) {
  hardstop::lock file("file");
  auto job = pool_.submit<&hold_for_ever>(file, seen_.ref());
  ASSERT_TRUE(seen_->inside.wait_for(1));
  job.cancel(cancel_mode::kill);
  EXPECT_EQ(job.outcome().kind(), outcome_kind::cancelled);
  EXPECT_EQ(file.stats().available, 1U) << "it comes back before anybody hears of the end";
  EXPECT_TRUE(file.acquire().abandoned());
  EXPECT_FALSE(file.acquire().abandoned());
}

TEST_F(permits, serve_the_jobs_of_several_pools) {
  hardstop::process_pool other{{.workers = 2}};
  hardstop::semaphore db(1, "db");
  std::vector<hardstop::future<std::uint64_t>> all;
  for (int at = 0; at < 50; ++at) {
    all.push_back(pool_.submit<&acquire_and_tell>(db));
    all.push_back(other.submit<&acquire_and_tell>(db));
  }
  for (auto& each : all)
    EXPECT_NE(each.get(), 0U);
  EXPECT_EQ(db.stats().grants, 100U);
}

// A task that is cancelled before its first step loses no permit.
TEST_F(permits, of_jobs_cancelled_at_any_moment_are_not_lost) {
  hardstop::semaphore db(1, "db");
  for (int at = 0; at < 500; ++at) {
    auto job = pool_.submit<&with_needs>({.needs = {db}}, seen_.ref());
    if (at % 3 == 0) std::this_thread::yield();
    job.cancel(at % 2 == 0 ? cancel_mode::kill : cancel_mode::ask);
    job.wait();
  }
  EXPECT_EQ(db.stats().available, 1U);
}

TEST_F(permits, granted_to_a_waiter_that_gives_up_in_that_moment_are_not_lost) {
  hardstop::lock file("file");
  for (int at = 0; at < 2000; ++at) {
    hardstop::permit held = file.acquire();
    std::thread waiter([&] { static_cast<void>(file.try_acquire_for(20us)); });
    std::this_thread::sleep_for(std::chrono::microseconds(at % 60));
    held.release();
    waiter.join();
    ASSERT_EQ(file.stats().available, 1U);
  }
}

// The coroutine that starts at once and is not waited for.
struct detached {
  struct promise_type {
    detached get_return_object() { return {}; }

    std::suspend_never initial_suspend() noexcept { return {}; }

    std::suspend_never final_suspend() noexcept { return {}; }

    void return_void() {}

    void unhandled_exception() { std::abort(); }
  };
};

detached take(const hardstop::semaphore& from, std::atomic<int>& taken) {
  const hardstop::permit mine = co_await from.acquire_async();
  ++taken;
}

TEST_F(permits, can_be_awaited) {
  hardstop::semaphore db(1, "db");
  std::atomic<int> taken = 0;
  {
    const hardstop::permit mine = db.acquire();
    take(db, taken);
    take(db, taken);
    EXPECT_EQ(taken, 0);
  }
  while (taken != 2)
    std::this_thread::yield();
  while (db.stats().available != 1)
    std::this_thread::yield();
}

void take_both(hardstop::lock first, hardstop::lock second, scene_ref ref) {
  const hardstop::permit one = first.acquire();
  ref.visit()->inside.add();
  static_cast<void>(ref.visit()->inside.wait_for(2));
  const hardstop::permit two = second.acquire();
}

TEST_F(permits, of_a_circle_are_reported_by_name) {
  hardstop::lock left("left");
  hardstop::lock right("right");
  auto one = pool_.submit<&take_both>({.name = "one"}, left, right, seen_.ref());
  auto two = pool_.submit<&take_both>({.name = "two"}, right, left, seen_.ref());
  ASSERT_TRUE(news_.wait_for(hardstop::event_kind::deadlock));
  const auto circle = left.stats().deadlock;
  ASSERT_EQ(circle.size(), 2U);
  EXPECT_NE((circle[0] + circle[1]).find("job 'one'"), std::string::npos);
  EXPECT_NE((circle[0] + circle[1]).find("waits for 'right'"), std::string::npos);
  one.cancel(cancel_mode::kill);
  EXPECT_TRUE(two.outcome().is_value());
}

// Independent witnesses of who holds: flock() is kept by whatever inherits the descriptor, until
// the last process of the tree is gone.
class witnesses {
 public:
  explicit witnesses(int count) {
    std::string pattern = (std::filesystem::temp_directory_path() / "permits-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    folder_ = pattern;
    for (int at = 0; at < count; ++at)
      ::close(::open((folder_ + "/" + std::to_string(at)).c_str(), O_CREAT | O_RDWR, 0600));
  }

  ~witnesses() { std::filesystem::remove_all(folder_); }

  const std::string& folder() const { return folder_; }

 private:
  std::string folder_;
};

// Throws if more than `count` trees are inside. The descriptor stays open.
int be_witnessed(const std::string& folder, int count) {
  for (int at = 0; at < count; ++at) {
    const int file = ::open((folder + "/" + std::to_string(at)).c_str(), O_RDWR | O_CLOEXEC);
    if (::flock(file, LOCK_EX | LOCK_NB) == 0) return file;
    ::close(file);
  }
  throw std::runtime_error("one holder too many");
}

enum class then : std::uint8_t { finish, stay, leave_a_grandchild };

void storm_job(hardstop::semaphore db, std::string folder, int count, then what) {
  hardstop::permit mine = db.acquire();
  const int file = be_witnessed(folder, count);
  if (what == then::leave_a_grandchild && ::fork() == 0) {
    ::setsid();
    if (::fork() == 0) stay();
    ::_exit(0);
  }
  if (what != then::finish) stay();
  ::close(file);
}

int kills_wanted() {
  const char* const text = std::getenv("HARDSTOP_PERMIT_KILLS");
  return text != nullptr ? std::atoi(text) : 100;
}

// G7: whoever is killed when, the count is right afterwards and was never one too many.
TEST_F(permits, are_counted_right_whoever_is_killed) {
  constexpr int count = 2;
  hardstop::semaphore db(count, "db");
  const witnesses here(count);
  std::mt19937 random(7);
  int kills = 0;
  while (kills < kills_wanted()) {
    std::vector<hardstop::future<void>> victims;
    std::vector<hardstop::future<void>> others;
    for (int at = 0; at < 3; ++at) {
      victims.push_back(pool_.submit<&storm_job>(
          db, here.folder(), count, random() % 2 == 0 ? then::stay : then::leave_a_grandchild));
      others.push_back(pool_.submit<&storm_job>(db, here.folder(), count, then::finish));
    }
    for (auto& victim : victims) {
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 1500));
      // From outside where it runs, else by its future.
      const int pid = victim.pid();
      if (pid == 0 || random() % 2 == 0 || ::kill(pid, SIGKILL) != 0)
        victim.cancel(cancel_mode::kill);
      const auto kind = victim.outcome().kind();
      if (kind == outcome_kind::exception) FAIL() << victim.outcome().describe();
      ++kills;
    }
    for (auto& other : others) {
      const auto end = other.outcome();
      // A SIGKILL from outside may hit the worker's next job.
      ASSERT_TRUE(end.is_value() || end.kind() == outcome_kind::worker_died) << end.describe();
    }
  }
  const auto stats = db.stats();
  EXPECT_EQ(stats.available, 2U);
  EXPECT_TRUE(stats.holders.empty() && stats.waiters.empty());
  EXPECT_GT(stats.returned_by_death, 0U);
  const hardstop::permit both = db.acquire(2);
  EXPECT_FALSE(db.try_acquire());
}

}  // namespace
