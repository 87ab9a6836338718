// The durable queue among processes: what a SIGKILL leaves, who is given what, who is woken.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "service/queue/folder.hpp"
#include "service/queue/jobs.hpp"
#include "support/board.hpp"
#include "support/in_child.hpp"
#include "support/other_process.hpp"
#include "support/sanitized.hpp"
#include <hardstop/queue.hpp>

namespace hardstop::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

constexpr std::size_t batch_size = 7;

struct shared_state {
  support::counter ready;
  support::counter go;
  support::counter told;  // ids that enqueue() has returned
  support::counter taken;
  std::array<std::atomic<std::uint32_t>, 4096> given;  // how often, by id
};

using board = support::board<shared_state>;

// Enqueues batches, one job and seven jobs in turn, until it is killed.
int enqueue_for_ever(const std::vector<std::string>& arguments) {
  auto& state = support::board_from<shared_state>(arguments, 1).join();
  queue jobs{arguments.at(0), quick};
  const std::vector<job_message> batch(batch_size, message_of("of a batch"));
  for (;;) {
    jobs.enqueue("alone");
    state.told.add();
    (void)jobs.enqueue_all(batch);
    state.told.add(batch_size);
  }
}

const support::part enqueue_for_ever_part{"enqueue_for_ever", &enqueue_for_ever};

// Takes and acknowledges until nothing is left.
int take_all(const std::vector<std::string>& arguments) {
  auto& state = support::board_from<shared_state>(arguments, 1).join();
  queue jobs{arguments.at(0), quick};
  state.ready.add();
  if (!state.go.wait_for(1)) return 1;
  for (;;) {
    const auto taken = jobs.take(3, 0s);
    if (taken.jobs.empty()) return 0;
    for (const auto& each : taken.jobs)
      state.given.at(std::stoul(each.receipt.job)).fetch_add(1);
    if (!jobs.ack(receipts_of(taken)).empty()) return 2;
  }
}

const support::part take_all_part{"take_all", &take_all};

int enqueue_one(const std::vector<std::string>& arguments) {
  auto& state = support::board_from<shared_state>(arguments, 1).join();
  queue jobs{arguments.at(0), quick};
  state.ready.add();
  if (!state.go.wait_for(1)) return 1;
  jobs.enqueue("one", nlohmann::json::array(), {.unique = arguments.at(4)});
  return 0;
}

const support::part enqueue_one_part{"enqueue_one", &enqueue_one};

int cancel_one(const std::vector<std::string>& arguments) {
  return queue{arguments.at(0), quick}.cancel(arguments.at(1)) ? 0 : 1;
}

const support::part cancel_one_part{"cancel_one", &cancel_one};

class queue_among_processes : public testing::Test {
 protected:
  [[nodiscard]] std::vector<std::string> words() {
    std::vector<std::string> all{path};
    const auto more = support::to_words(state.ref());
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  [[nodiscard]] std::vector<std::string> words(const std::string& last) {
    auto all = words();
    all.push_back(last);
    return all;
  }

  folder home;
  std::string path = home / "jobs.db";
  board state{"queue"};
};

TEST_F(queue_among_processes, keeps_what_a_killed_process_was_told_and_whole_batches_only) {
  queue jobs{path, quick};
  std::size_t found = 0;
  for (int round = 1; round <= 20; ++round) {
    const auto target = state->told.get() + static_cast<unsigned>(round * 3 % 17);
    auto other = support::start_part("enqueue_for_ever", words());
    ASSERT_TRUE(state->told.wait_for(target + 1));
    other.end();
    const auto all = jobs.jobs({.at_most = 1'000'000});
    EXPECT_GE(all.size(), state->told.get());
    const auto of_batches = std::count_if(all.begin(), all.end(), [](const queued_job& each) {
      return each.message.name == "of a batch";
    });
    EXPECT_EQ(static_cast<std::size_t>(of_batches) % batch_size, 0U);
    EXPECT_GT(all.size(), found);
    found = all.size();
  }
}

TEST_F(queue_among_processes, gives_each_job_once_to_those_who_race_for_it) {
  constexpr std::size_t count = 1000;
  queue jobs{path, quick};
  (void)jobs.enqueue_all(std::vector<job_message>(count, message_of("wanted")));
  std::vector<support::other_process> takers;
  for (int each = 0; each < 3; ++each)
    takers.push_back(support::start_part("take_all", words()));
  ASSERT_TRUE(state->ready.wait_for(3));
  state->go.add();
  for (auto& each : takers)
    EXPECT_EQ(each.wait(), 0);
  for (std::size_t id = 1; id <= count; ++id)
    EXPECT_EQ(state->given.at(id).load(), 1U) << id;
  EXPECT_EQ(jobs.count(queued_state::done), count);
}

TEST_F(queue_among_processes, has_one_job_for_a_key_that_several_race_for) {
  std::vector<support::other_process> racers;
  for (int each = 0; each < 4; ++each)
    racers.push_back(support::start_part("enqueue_one", words("key")));
  ASSERT_TRUE(state->ready.wait_for(4));  // they have raced to make the file, too
  state->go.add();
  for (auto& each : racers)
    EXPECT_EQ(each.wait(), 0);
  EXPECT_EQ((queue{path, quick}.count(queued_state::queued)), 1U);
}

TEST_F(queue_among_processes, wakes_who_waits_in_another) {
  queue jobs{path, quick};
  auto other = support::start_part("enqueue_one", words(""));
  ASSERT_TRUE(state->ready.wait_for(1));
  state->go.add();
  EXPECT_THAT(names_of(jobs.take(1, support::patience)), ElementsAre("one"));
  EXPECT_EQ(other.wait(), 0);
}

TEST_F(queue_among_processes, tells_the_service_what_another_cancels) {
  queue jobs{path, quick};
  support::counter told;
  jobs.on_cancel([&](const receipt&) { told.add(); });
  const auto id = jobs.enqueue("unwanted");
  EXPECT_EQ(jobs.take(1, 0s).jobs.size(), 1U);
  EXPECT_EQ(support::start_part("cancel_one", {path, id}).wait(), 0);
  EXPECT_TRUE(told.wait_for(1));
  jobs.on_cancel({});
}

TEST_F(queue_among_processes, is_opened_anew_in_a_forked_child) {
  queue jobs{path, quick};
  support::counter told;
  // With a thread of the queue's own, which the child does not have.
  if (!sanitized) jobs.on_cancel([&](const receipt&) { told.add(); });
  jobs.enqueue("of the parent");
  EXPECT_EQ(in_child([&] {
              const auto taken = jobs.take(1, 0s);
              HARDSTOP_CHECK(names_of(taken) == std::vector<std::string>{"of the parent"});
              HARDSTOP_CHECK(jobs.ack(receipts_of(taken)).empty());
              jobs.enqueue("of the child");
              // And in its children.
              const auto grandchild = ::fork();
              if (grandchild == 0) {
                jobs.enqueue("of the grandchild");
                ::_exit(0);
              }
              int status = -1;
              HARDSTOP_CHECK(::waitpid(grandchild, &status, 0) == grandchild && status == 0);
            }),
            0);
  EXPECT_THAT(names_of(jobs.take(10, 0s)), ElementsAre("of the child", "of the grandchild"));
}

TEST_F(queue_among_processes, loses_nothing_of_a_child_when_its_parent_closes_first) {
  auto jobs = std::make_unique<queue>(path, quick);
  jobs->enqueue("of the parent");
  const pid_t child = ::fork();
  if (child == 0) {
    if (jobs->count(queued_state::queued) != 1) ::_exit(1);
    state->ready.add();
    if (!state->go.wait_for(1)) ::_exit(2);
    jobs->enqueue("of the child");
    ::_exit(jobs->count(queued_state::queued) == 2 ? 0 : 3);
  }
  ASSERT_TRUE(state->ready.wait_for(1));
  jobs.reset();
  // The child has it open, and locked: the log is not deleted under its hands.
  EXPECT_TRUE(std::filesystem::exists(path + "-wal"));
  state->go.add();
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ((queue{path, quick}.count(queued_state::queued)), 2U);
}

TEST_F(queue_among_processes, can_be_forked_while_threads_use_it) {
  if (sanitized) GTEST_SKIP() << "a sanitizer's allocator keeps its locks in a forked child";
  queue jobs{path, quick};
  std::atomic<bool> stop{false};
  std::vector<std::thread> busy;
  for (int each = 0; each < 2; ++each) {
    busy.emplace_back([&] {
      while (!stop)
        jobs.enqueue("of a thread");
    });
  }
  for (int each = 0; each < 10; ++each)
    EXPECT_EQ(in_child([&] { jobs.enqueue("of a child"); }), 0);
  stop = true;
  for (auto& each : busy)
    each.join();
  EXPECT_EQ(jobs.jobs({.name = "of a child"}).size(), 10U);
}

}  // namespace
}  // namespace hardstop::test
