// The durable queue, in one process.
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "service/queue/file_queue.hpp"
#include "service/queue/folder.hpp"
#include "service/queue/jobs.hpp"
#include "service/queue/subject.hpp"
#include <hardstop/errors.hpp>
#include <hardstop/queue.hpp>

namespace hardstop::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class durable_queue : public testing::Test {
 protected:
  // The state of a job, and why.
  [[nodiscard]] queued_job look(const std::string& id) { return queue.find(id).value(); }

  std::string enqueue(const std::string& name, const enqueue_options& options = {}) {
    const auto message = message_of(name);
    return queue.enqueue({&message, 1}, options).front();
  }

  receipt take_one() { return queue.take(1, 0s).jobs.at(0).receipt; }

  std::vector<receipt> nack(const receipt& which, nack_reason reason,
                            const std::string& text = "so it goes") {
    const nacked_job back{.receipt = which, .reason = reason, .text = text};
    return queue.nack({&back, 1});
  }

  folder home;
  still_clock clock;
  storage::file_queue queue{home / "jobs.db",
                            {.lease = 10s, .keep_done = 1h, .durability = durability::process},
                            clock.reader()};
};

TEST_F(durable_queue, gives_what_was_enqueued) {
  const auto id = enqueue("resize", {.timeout = 5s, .grace = 1s});
  const auto taken = queue.take(10, 0s);
  ASSERT_EQ(taken.jobs.size(), 1U);
  const auto& job = taken.jobs.front();
  EXPECT_EQ(job.receipt.job, id);
  EXPECT_EQ(job.receipt.attempt, 1U);
  EXPECT_EQ(job.message, message_of("resize"));
  EXPECT_EQ(job.timeout, 5s);
  EXPECT_EQ(job.grace, 1s);
  EXPECT_EQ(job.lease_until, clock.now() + 10s);
  EXPECT_EQ(look(id).state, queued_state::leased);
  EXPECT_EQ(look(id).attempts, 1U);
  EXPECT_THAT(queue.ack({&job.receipt, 1}), IsEmpty());
  EXPECT_EQ(look(id).state, queued_state::done);
}

TEST_F(durable_queue, keeps_every_format_as_it_is) {
  const std::string bytes{"\x92\x01\xc4\x02\x00\xff", 6};  // [1, two bytes]
  const std::vector messages{message_of("a", R"({"args": [1], "kwargs": {"x": null}})"),
                             message_of("b", bytes, argument_format::messagepack),
                             message_of("c", bytes, argument_format::signed_pickle)};
  (void)queue.enqueue(messages, {});
  const auto taken = queue.take(10, 0s);
  ASSERT_EQ(taken.jobs.size(), 3U);
  for (std::size_t at = 0; at < messages.size(); ++at)
    EXPECT_EQ(taken.jobs[at].message, messages[at]);
}

TEST_F(durable_queue, gives_higher_priorities_first_and_equals_in_order) {
  enqueue("third");
  enqueue("fourth");
  enqueue("last", {.priority = -1});
  enqueue("first", {.priority = 7});
  enqueue("second", {.priority = 7});
  EXPECT_THAT(names_of(queue.take(3, 0s)), ElementsAre("first", "second", "third"));
  EXPECT_THAT(names_of(queue.take(3, 0s)), ElementsAre("fourth", "last"));
}

TEST_F(durable_queue, gives_a_delayed_job_when_its_time_has_come) {
  const auto id = enqueue("later", {.delay = 5s});
  EXPECT_EQ(look(id).state, queued_state::queued);
  EXPECT_EQ(queue.count(queued_state::queued), 1U);
  clock.advance(4999ms);
  EXPECT_THAT(queue.take(1, 0s).jobs, IsEmpty());
  clock.advance(1ms);
  EXPECT_THAT(names_of(queue.take(1, 0s)), ElementsAre("later"));
}

TEST_F(durable_queue, waits_twice_as_long_after_each_failure_and_then_gives_up) {
  const auto id = enqueue("fails", {.max_attempts = 4, .back_off = 2s, .max_back_off = 5s});
  for (const auto pause : {2s, 4s, 5s}) {
    EXPECT_THAT(nack(take_one(), nack_reason::failed), IsEmpty());
    EXPECT_EQ(look(id).reason, "so it goes");
    clock.advance(pause - 1ms);
    EXPECT_THAT(queue.take(1, 0s).jobs, IsEmpty());
    clock.advance(1ms);
  }
  EXPECT_THAT(nack(take_one(), nack_reason::failed, "the last straw"), IsEmpty());
  EXPECT_EQ(look(id).state, queued_state::dead);
  EXPECT_EQ(look(id).attempts, 4U);
  EXPECT_EQ(look(id).reason, "the last straw");
}

TEST_F(durable_queue, does_not_count_what_was_handed_back) {
  const auto id = enqueue("handed back", {.max_attempts = 1});
  const auto first = take_one();
  EXPECT_THAT(nack(first, nack_reason::returned), IsEmpty());
  EXPECT_EQ(look(id).attempts, 0U);
  const auto second = take_one();
  // The number of a receipt is never used again, so that what is stale can be told.
  EXPECT_NE(second.attempt, first.attempt);
  EXPECT_THAT(queue.ack({&first, 1}), ElementsAre(first));
  EXPECT_THAT(queue.ack({&second, 1}), IsEmpty());
}

TEST_F(durable_queue, buries_a_job_whose_services_fall_silent) {
  const auto id = enqueue("kills its service", {.max_attempts = 2});
  (void)take_one();
  clock.advance(10s);
  const auto second = take_one();
  clock.advance(10s);
  EXPECT_THAT(queue.take(1, 0s).jobs, IsEmpty());
  EXPECT_EQ(look(id).state, queued_state::dead);
  EXPECT_THAT(look(id).reason, HasSubstr("lease ran out"));
  EXPECT_THAT(queue.ack({&second, 1}), ElementsAre(second));
}

TEST_F(durable_queue, lets_who_is_late_settle_while_nobody_else_has_the_job) {
  enqueue("late");
  const auto late = take_one();
  clock.advance(1h);
  EXPECT_THAT(queue.extend({&late, 1}), IsEmpty());
  EXPECT_THAT(queue.take(1, 0s).jobs, IsEmpty());
  clock.advance(1h);
  EXPECT_THAT(queue.ack({&late, 1}), IsEmpty());
}

TEST_F(durable_queue, keeps_what_is_refused_with_the_reason) {
  const auto id = enqueue("nobody knows this name");
  EXPECT_THAT(nack(take_one(), nack_reason::refused, "no such job"), IsEmpty());
  EXPECT_EQ(look(id).state, queued_state::refused);
  EXPECT_EQ(look(id).reason, "no such job");
  EXPECT_TRUE(queue.requeue(id));
  EXPECT_EQ(look(id).state, queued_state::queued);
  EXPECT_EQ(look(id).reason, "");
  EXPECT_FALSE(queue.requeue(id));
}

TEST_F(durable_queue, gives_a_dead_job_that_is_requeued_all_its_attempts) {
  const auto id = enqueue("fails", {.max_attempts = 1});
  EXPECT_THAT(nack(take_one(), nack_reason::failed), IsEmpty());
  EXPECT_TRUE(queue.requeue(id));
  EXPECT_EQ(look(id).attempts, 0U);
  EXPECT_EQ(take_one().attempt, 2U);
  EXPECT_EQ(look(id).attempts, 1U);
}

TEST_F(durable_queue, has_one_job_for_each_unique_key) {
  const auto first = enqueue("one", {.delay = 1s, .unique = "key"});
  EXPECT_EQ(enqueue("another", {.unique = "key"}), first);
  EXPECT_NE(enqueue("other", {.unique = "other key"}), first);
  EXPECT_NE(enqueue("none"), enqueue("none"));
  clock.advance(1s);
  const auto taken = receipts_of(queue.take(1, 0s));
  EXPECT_EQ(enqueue("while it runs", {.unique = "key"}), first);
  EXPECT_THAT(queue.ack(taken), IsEmpty());
  const auto next = enqueue("after it is done", {.unique = "key"});
  EXPECT_NE(next, first);
}

TEST_F(durable_queue, does_not_requeue_a_job_whose_key_is_another_ones) {
  const auto first = enqueue("one", {.unique = "key"});
  EXPECT_TRUE(queue.cancel(first));
  const auto second = enqueue("two", {.unique = "key"});
  EXPECT_FALSE(queue.requeue(first));
  EXPECT_TRUE(queue.cancel(second));
  EXPECT_TRUE(queue.requeue(first));
}

TEST_F(durable_queue, cancels_at_once_what_waits) {
  const auto id = enqueue("unwanted");
  EXPECT_TRUE(queue.cancel(id));
  EXPECT_EQ(look(id).state, queued_state::cancelled);
  EXPECT_FALSE(queue.cancel(id));
  EXPECT_THAT(queue.take(1, 0s).jobs, IsEmpty());
}

TEST_F(durable_queue, tells_the_service_to_stop_what_runs) {
  told_log told;
  queue.on_cancel(told.ear());
  const auto id = enqueue("unwanted");
  const auto running = take_one();
  EXPECT_TRUE(queue.cancel(id));
  EXPECT_TRUE(look(id).cancel_requested);
  ASSERT_TRUE(told.wait_for(1));
  EXPECT_THAT(told.all(), ElementsAre(running));
  EXPECT_THAT(nack(running, nack_reason::cancelled, "stopped"), IsEmpty());
  EXPECT_EQ(look(id).state, queued_state::cancelled);
}

TEST_F(durable_queue, does_not_try_again_what_was_to_be_cancelled) {
  const auto id = enqueue("unwanted");
  const auto running = take_one();
  EXPECT_TRUE(queue.cancel(id));
  EXPECT_THAT(nack(running, nack_reason::failed), IsEmpty());
  EXPECT_EQ(look(id).state, queued_state::cancelled);
}

TEST_F(durable_queue, acknowledges_a_job_that_was_quicker_than_its_cancellation) {
  const auto id = enqueue("quick");
  const auto running = take_one();
  EXPECT_TRUE(queue.cancel(id));
  EXPECT_THAT(queue.ack({&running, 1}), IsEmpty());
  EXPECT_EQ(look(id).state, queued_state::done);
}

TEST_F(durable_queue, forgets_what_was_done_long_ago) {
  const auto old = enqueue("old");
  const auto taken = receipts_of(queue.take(1, 0s));
  EXPECT_THAT(queue.ack(taken), IsEmpty());
  clock.advance(1h + 1ns);
  // Now and then: at the latest after so many jobs.
  std::vector<job_message> many(300, message_of("new"));
  (void)queue.enqueue(many, {});
  for (int round = 0; round < 2; ++round)
    EXPECT_THAT(queue.ack(receipts_of(queue.take(many.size(), 0s))), IsEmpty());
  enqueue("one more");
  EXPECT_THAT(names_of(queue.take(1, 0s)), ElementsAre("one more"));
  EXPECT_FALSE(queue.find(old));
  EXPECT_EQ(queue.count(queued_state::done), 300U);
}

TEST_F(durable_queue, shows_its_jobs_oldest_first_and_by_state_and_name) {
  enqueue("a");
  enqueue("b");
  enqueue("a", {.priority = 9});
  const auto taken = receipts_of(queue.take(1, 0s));
  const auto names = [&](const queued_filter& filter) {
    std::vector<std::string> all;
    for (const auto& each : queue.jobs(filter))
      all.push_back(each.id + each.message.name);
    return all;
  };
  EXPECT_THAT(names({}), ElementsAre("1a", "2b", "3a"));
  EXPECT_THAT(names({.name = "a"}), ElementsAre("1a", "3a"));
  EXPECT_THAT(names({.state = queued_state::queued}), ElementsAre("1a", "2b"));
  EXPECT_THAT(names({.state = queued_state::leased}), ElementsAre("3a"));
  EXPECT_THAT(names({.at_most = 2}), ElementsAre("1a", "2b"));
  EXPECT_THAT(queue.ack(taken), IsEmpty());
  EXPECT_THAT(names({.state = queued_state::done, .name = "a"}), ElementsAre("3a"));
  EXPECT_EQ(queue.count(queued_state::queued), 2U);
  EXPECT_EQ(queue.count(queued_state::done), 1U);
  EXPECT_EQ(queue.count(queued_state::dead), 0U);
}

TEST_F(durable_queue, knows_no_job_by_a_strange_id) {
  enqueue("one");
  for (const auto* const id : {"", "0", "-1", "01", "1 ", "x", "99", "99999999999999999999"}) {
    EXPECT_FALSE(queue.find(id)) << id;
    EXPECT_FALSE(queue.cancel(id)) << id;
    EXPECT_FALSE(queue.requeue(id)) << id;
    const receipt strange{.job = id, .attempt = 0};
    EXPECT_THAT(queue.ack({&strange, 1}), ElementsAre(strange));
  }
}

TEST_F(durable_queue, refuses_what_makes_no_sense) {
  expect_failure<bad_options>([&] { enqueue("a", {.max_attempts = 0}); }, {"max_attempts", "0"});
  expect_failure<bad_options>([&] { enqueue("a", {.delay = -1s}); }, {"delay", "negative"});
  expect_failure<bad_options>([&] { enqueue("a", {.timeout = 0s}); }, {"timeout"});
  expect_failure<bad_options>([&] { enqueue("a", {.unique = std::string(2000, 'x')}); },
                              {"unique", "2000"});
  expect_failure<message_refused>([&] { enqueue(""); }, {"no name"});
  const std::vector large{message_of("large", std::string(65U << 20U, ' '))};
  expect_failure<message_refused>([&] { (void)queue.enqueue(large, {}); }, {"large", "file"});
  const std::vector batch{message_of("good"), message_of("bad", "{")};
  expect_failure<message_refused>([&] { (void)queue.enqueue(batch, {}); }, {"bad"});
  EXPECT_EQ(queue.count(queued_state::queued), 0U);
  expect_failure<bad_options>([&] { storage::file_queue(home / "x", {.lease = 0s}); }, {"lease"});
}

TEST_F(durable_queue, leaves_one_file_when_it_is_closed) {
  const auto path = home / "closed.db";
  {
    hardstop::queue short_lived{path, quick};
    short_lived.enqueue("one", {1, "two"});
    EXPECT_EQ(text_of(short_lived.take(1, 0s).jobs.at(0).message), R"([1,"two"])");
  }
  EXPECT_FALSE(std::filesystem::exists(path + "-wal"));
  EXPECT_FALSE(std::filesystem::exists(path + "-shm"));
  EXPECT_EQ((hardstop::queue{path, quick}.count(queued_state::leased)), 1U);
}

TEST_F(durable_queue, ends_a_wait_when_it_is_interrupted) {
  std::promise<void> began;
  auto waiter = std::async(std::launch::async, [&] {
    began.set_value();
    return queue.take(1, support::patience * 10);
  });
  began.get_future().wait();
  // Also if the other thread has not come to its wait: an interruption is not lost.
  queue.interrupt();
  ASSERT_EQ(waiter.wait_for(support::patience), std::future_status::ready);
  EXPECT_THAT(waiter.get().jobs, IsEmpty());
}

TEST_F(durable_queue, wakes_who_waits_in_another_thread) {
  hardstop::queue real{home / "real.db", quick};
  auto waiter = std::async(std::launch::async, [&] { return real.take(1, support::patience); });
  real.enqueue("wake up");
  EXPECT_THAT(names_of(waiter.get()), ElementsAre("wake up"));
}

TEST_F(durable_queue, tells_nobody_after_its_listener_is_gone) {
  told_log told;
  queue.on_cancel(told.ear());
  const auto id = enqueue("unwanted");
  (void)take_one();
  queue.on_cancel({});
  EXPECT_TRUE(queue.cancel(id));
  EXPECT_THAT(told.all(), IsEmpty());
  // Whoever listens next is told.
  queue.on_cancel(told.ear());
  EXPECT_TRUE(told.wait_for(1));
}

}  // namespace
}  // namespace hardstop::test
