// Services: phases, what becomes of jobs, and the exit status (G9).
#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "service/stage.hpp"
#include <hardstop/journal.hpp>
#include <hardstop/memory_queue.hpp>
#include <hardstop/queue.hpp>
#include <hardstop/service.hpp>

namespace {

using hardstop::disposal;
using hardstop::memory_queue;
using hardstop::queue;
using hardstop::queued_state;
using hardstop::service;
using nlohmann::json;
using service_stage::folder;
using service_stage::log_book;
using service_stage::running;
using service_stage::usual;
using service_stage::words_of;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

constexpr int success = 0;
constexpr int failure = 70;
constexpr int cut_short = 75;

TEST(Service, RunsAllThereIsAndEnds) {
  log_book log;
  service it{usual(log)};
  service_stage::register_jobs(it);
  memory_queue jobs;
  for (int number = 0; number < 100; ++number)
    jobs.enqueue("add", {number, 1});
  jobs.close();
  EXPECT_EQ(it.run(jobs), success) << log.text();
  EXPECT_EQ(it.stats().finished, 100);
  EXPECT_EQ(jobs.size(), 0);
  EXPECT_EQ(log.count("ready"), 1);
}

TEST(Service, G9_DrainsFinishesWhatWasStartedAndHandsBackTheRest) {
  log_book log;
  folder place;
  support::board<scenario::gates> board{"gates"};
  service it{usual(log)};
  service_stage::register_jobs(it);
  queue jobs{place / "jobs.db"};
  for (int number = 0; number < 10; ++number)
    jobs.enqueue("gate", {words_of(board), number, 1});
  running run(it, jobs);
  ASSERT_TRUE(board->begun.wait_for(2));
  it.stop();
  log.wait_for("drain_progress", "2 running");
  EXPECT_FALSE(it.ready());
  board->open.set(1);
  EXPECT_EQ(run.end(), success) << log.text();
  EXPECT_EQ(jobs.count(queued_state::done), 2);
  EXPECT_EQ(jobs.count(queued_state::queued), 8);
  for (const auto& job : jobs.jobs({.state = queued_state::queued}))
    EXPECT_EQ(job.attempts, 0) << "what had not begun does not count";
}

TEST(Service, G9_KillsWhatOutlivesTheDrainAndSaysSo) {
  log_book log;
  folder place;
  support::board<scenario::gates> board{"gates"};
  auto options = usual(log);
  options.drain_time = milliseconds(50);
  service it{options};
  service_stage::register_jobs(it);
  queue jobs{place / "jobs.db"};
  const std::string id = jobs.enqueue("stay", json::array({words_of(board)}));
  running run(it, jobs);
  ASSERT_TRUE(board->begun.wait_for(1));
  it.stop();
  EXPECT_EQ(run.end(), cut_short) << log.text();
  EXPECT_EQ(it.stats().killed, 1);
  const auto job = jobs.find(id);
  ASSERT_TRUE(job);
  EXPECT_EQ(job->state, queued_state::queued);
  EXPECT_EQ(job->attempts, 1) << "an attempt that was killed counts";
}

TEST(Service, AThirdStopKillsAtOnce) {
  log_book log;
  support::board<scenario::gates> board{"gates"};
  service it{usual(log)};
  service_stage::register_jobs(it);
  memory_queue jobs;
  jobs.enqueue("stay", json::array({words_of(board)}));
  running run(it, jobs);
  ASSERT_TRUE(board->begun.wait_for(1));
  it.stop();
  it.stop();
  it.stop();
  EXPECT_EQ(run.end(), cut_short) << log.text();
}

TEST(Service, AStopBeforeItRunsIsHeard) {
  log_book log;
  service it{usual(log)};
  service_stage::register_jobs(it);
  memory_queue jobs;
  jobs.enqueue("add", {1, 2});
  it.stop();
  EXPECT_EQ(it.run(jobs), success) << log.text();
  EXPECT_EQ(it.stats().taken, 0);
}

TEST(Service, FailedJobsAreTriedAgainAndThenKeptAsDead) {
  log_book log;
  folder place;
  service it{usual(log)};
  service_stage::register_jobs(it);
  queue jobs{place / "jobs.db"};
  const std::string id =
      jobs.enqueue("fail", {"no disk"}, {.max_attempts = 2, .back_off = milliseconds(1)});
  running run(it, jobs);
  log.wait_for("job_failed", "no disk");
  while (jobs.find(id)->state != queued_state::dead)
    std::this_thread::yield();
  it.stop();
  EXPECT_EQ(run.end(), success) << log.text();
  EXPECT_THAT(jobs.find(id)->reason, HasSubstr("no disk"));
  EXPECT_EQ(it.stats().failed, 2);
}

TEST(Service, RefusesWhatNoJobCanBeMadeOf) {
  log_book log;
  folder place;
  service it{usual(log)};
  service_stage::register_jobs(it);
  queue jobs{place / "jobs.db"};
  const auto unknown = jobs.enqueue("erase", {"/"});
  const auto few = jobs.enqueue("add", {1});
  const auto wrong = jobs.enqueue("add", {"one", 2});
  jobs.enqueue("add", {1, 2});
  running run(it, jobs);
  while (jobs.count(queued_state::refused) != 3 || jobs.count(queued_state::done) != 1)
    std::this_thread::yield();
  it.stop();
  EXPECT_EQ(run.end(), success) << log.text();
  EXPECT_THAT(jobs.find(unknown)->reason, HasSubstr("no job is named 'erase'"));
  EXPECT_THAT(jobs.find(few)->reason, HasSubstr("takes 2 arguments, and the message has 1"));
  EXPECT_THAT(jobs.find(wrong)->reason, HasSubstr("argument 1 does not fit"));
}

TEST(Service, StopsARunningJobThatIsCancelledElsewhere) {
  log_book log;
  folder place;
  support::board<scenario::gates> board{"gates"};
  service it{usual(log)};
  service_stage::register_jobs(it);
  queue jobs{place / "jobs.db"};
  const auto id = jobs.enqueue("stay", json::array({words_of(board)}));
  running run(it, jobs);
  ASSERT_TRUE(board->begun.wait_for(1));
  queue another{place / "jobs.db"};
  EXPECT_TRUE(another.cancel(id));
  log.wait_for("job_cancelled");
  while (another.find(id)->state != queued_state::cancelled)
    std::this_thread::yield();
  it.stop();
  EXPECT_EQ(run.end(), success) << log.text();
}

// --- disposing

class Disposing : public testing::Test {
 protected:
  // Two jobs run, and others wait; then the service is told to stop.
  int stop_with_some_waiting(hardstop::service_options options) {
    service it{options};
    service_stage::register_jobs(it);
    for (int number = 0; number < 6; ++number)
      jobs.enqueue("gate", {words_of(board), number, 1});
    running run(it, jobs);
    EXPECT_TRUE(board->begun.wait_for(2));
    while (it.stats().waiting != 2)
      std::this_thread::yield();
    it.stop();
    log.wait_for("drain_progress");
    board->open.set(1);
    const int status = run.end();
    seen = it.stats();
    return status;
  }

  log_book log;
  folder place;
  support::board<scenario::gates> board{"gates"};
  memory_queue jobs;
  hardstop::service_stats seen;
};

TEST_F(Disposing, G9_LeavesThemInTheJournal) {
  auto options = usual(log);
  options.journal = place / "journal";
  EXPECT_EQ(stop_with_some_waiting(options), success) << log.text();
  EXPECT_EQ(seen.journaled, 2);
  hardstop::journal journal{place / "journal"};
  const auto left = journal.unfinished();
  ASSERT_EQ(left.size(), 2);
  EXPECT_EQ(left.front().state, hardstop::journal_state::left);
  queue into{place / "jobs.db"};
  EXPECT_EQ(journal.requeue(into).requeued, 2);
  EXPECT_EQ(into.count(queued_state::queued), 2);
  EXPECT_TRUE(journal.unfinished().empty());
}

TEST_F(Disposing, RunsThemWhenThereIsNowhereElseToPutThem) {
  EXPECT_EQ(stop_with_some_waiting(usual(log)), success) << log.text();
  EXPECT_EQ(seen.finished, 4);
}

TEST_F(Disposing, GivesThemToACallback) {
  auto options = usual(log);
  std::vector<std::string> given;
  options.dispose = disposal::callback;
  options.hooks.dispose_job = [&](const hardstop::taken_job& job) {
    given.push_back(job.receipt.job);
  };
  EXPECT_EQ(stop_with_some_waiting(options), success) << log.text();
  EXPECT_EQ(given.size(), 2);
}

TEST_F(Disposing, ThrowsThem) {
  auto options = usual(log);
  options.dispose = disposal::raise;
  try {
    stop_with_some_waiting(options);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const hardstop::jobs_left& left) {
    ASSERT_EQ(left.jobs().size(), 2);
    EXPECT_EQ(left.jobs().front().message.name, "gate");
  }
}

TEST_F(Disposing, DoesNotPromiseWhatASourceCannotKeep) {
  auto options = usual(log);
  options.dispose = disposal::requeue;
  service it{options};
  EXPECT_THROW(it.run(jobs), hardstop::bad_options);
}

// --- sources that fail

// A queue whose acks do not arrive.
class deaf_source final : public hardstop::source {
 public:
  hardstop::taking take(std::size_t at_most, std::chrono::nanoseconds patience) override {
    return inner.take(at_most, patience);
  }

  void interrupt() noexcept override { inner.interrupt(); }

  std::vector<hardstop::receipt> extend(std::span<const hardstop::receipt> leases) override {
    return inner.extend(leases);
  }

  std::vector<hardstop::receipt> ack(std::span<const hardstop::receipt> /*done*/) override {
    throw std::runtime_error("connection refused");
  }

  std::vector<hardstop::receipt> nack(std::span<const hardstop::nacked_job> /*jobs*/) override {
    throw std::runtime_error("connection refused");
  }

  void on_cancel(std::function<void(const hardstop::receipt&)> tell) override {
    inner.on_cancel(std::move(tell));
  }

  [[nodiscard]] std::string describe() const override { return "a deaf source"; }

  memory_queue inner;
};

class Outage : public testing::Test {
 protected:
  int run(hardstop::service_options options) {
    options.dispose_time = milliseconds(100);
    service it{options};
    service_stage::register_jobs(it);
    for (int number = 0; number < 6; ++number)
      jobs.inner.enqueue("gate", {words_of(board), number, 1});
    running run(it, jobs);
    EXPECT_TRUE(board->begun.wait_for(2));
    it.stop();
    log.wait_for("drain_progress");
    board->open.set(1);
    return run.end();
  }

  log_book log;
  folder place;
  support::board<scenario::gates> board{"gates"};
  deaf_source jobs;
};

TEST_F(Outage, G9_EndsInTimeAndTheLeasesBringTheJobsBack) {
  EXPECT_EQ(run(usual(log)), cut_short);
  log.wait_for("job_left", "it comes back when its lease runs out");
}

TEST_F(Outage, G9_TheJournalKnowsWhatTheSourceDoesNot) {
  auto options = usual(log);
  options.journal = place / "journal";
  EXPECT_EQ(run(options), cut_short);
  hardstop::journal journal{place / "journal"};
  std::size_t ended = 0;
  for (const auto& each : journal.unfinished())
    ended += each.finished ? 1 : 0;
  EXPECT_EQ(ended, 2) << log.text();

  // When the source is there again.
  struct all_ears final : hardstop::source {
    hardstop::taking take(std::size_t, std::chrono::nanoseconds) override { return {}; }

    std::vector<hardstop::receipt> extend(std::span<const hardstop::receipt>) override {
      return {};
    }

    std::vector<hardstop::receipt> ack(std::span<const hardstop::receipt> done) override {
      acked += done.size();
      return {};
    }

    std::vector<hardstop::receipt> nack(std::span<const hardstop::nacked_job> jobs) override {
      nacked += jobs.size();
      return {};
    }

    void on_cancel(std::function<void(const hardstop::receipt&)>) override {}

    [[nodiscard]] std::string describe() const override { return "a deaf source"; }

    std::size_t acked = 0;
    std::size_t nacked = 0;
  } back;

  const auto recovered = journal.recover(back);
  EXPECT_EQ(back.acked, 2);
  EXPECT_EQ(recovered.acked, 2);
  EXPECT_GE(back.nacked, 2);
  EXPECT_TRUE(journal.unfinished().empty());
}

// --- hooks

TEST(Hooks, AreCalledInOrderInTheThreadOfRun) {
  log_book log;
  auto options = usual(log);
  std::vector<std::string> calls;
  const auto caller = std::this_thread::get_id();
  const auto hook = [&](const char* name) {
    return [&calls, name, caller] {
      EXPECT_EQ(std::this_thread::get_id(), caller);
      calls.emplace_back(name);
    };
  };
  options.hooks = {.setup = hook("setup"),
                   .accept = hook("accept"),
                   .drain = hook("drain"),
                   .dispose = hook("dispose"),
                   .shutdown = hook("shutdown"),
                   .dispose_job = {}};
  service it{options};
  memory_queue jobs;
  jobs.close();
  EXPECT_EQ(it.run(jobs), success);
  EXPECT_THAT(calls, testing::ElementsAre("setup", "accept", "drain", "dispose", "shutdown"));
}

TEST(Hooks, ThatThrowFailTheServiceInGoodOrder) {
  log_book log;
  auto options = usual(log);
  options.hooks.setup = [] { throw std::runtime_error("no configuration"); };
  service it{options};
  memory_queue jobs;
  EXPECT_EQ(it.run(jobs), failure);
  log.wait_for("service_failed", "no configuration");
  EXPECT_EQ(it.stats().taken, 0);
}

// --- others

TEST(Service, GivesEachAttemptADirectoryOfItsOwn) {
  log_book log;
  folder place;
  auto options = usual(log);
  options.private_tmpdir = true;
  service it{options};
  service_stage::register_jobs(it);
  memory_queue jobs;
  jobs.enqueue("tmpdir", {place / "one"});
  jobs.enqueue("tmpdir", {place / "two"});
  jobs.close();
  EXPECT_EQ(it.run(jobs), success) << log.text();
  const auto read = [&](const std::string& name) {
    std::string line;
    std::ifstream(place / name) >> line;
    return line;
  };
  EXPECT_NE(read("one"), read("two"));
  EXPECT_FALSE(read("one").empty());
  EXPECT_FALSE(std::filesystem::exists(read("one")));
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(read("one")).parent_path()));
}

TEST(Service, AJournalBelongsToOneAtATime) {
  log_book log;
  folder place;
  auto options = usual(log);
  options.journal = place / "journal";
  service first{options};
  memory_queue jobs;
  running run(first, jobs);
  log.wait_for("ready");
  EXPECT_THROW(hardstop::journal(place / "journal", milliseconds(10)), hardstop::queue_failure);
  first.stop();
  EXPECT_EQ(run.end(), success);
  hardstop::journal journal{place / "journal"};
  ASSERT_EQ(journal.runs().size(), 1);
  EXPECT_EQ(journal.runs().front().status, 0);
}

TEST(Service, SaysWhatMakesNoSense) {
  service it{{}};
  it.job<&service_stage::add>("add");
  EXPECT_THROW(it.job<&service_stage::add>("add"), hardstop::bad_options);
  EXPECT_THROW(it.job<&service_stage::add>(""), hardstop::bad_options);
  memory_queue jobs;
  jobs.close();
  hardstop::service_options hasty;
  hasty.grace = seconds(1);
  service too_short{hasty};
  EXPECT_THROW(too_short.run(jobs), hardstop::bad_options);
  hardstop::service_options nowhere;
  nowhere.dispose = disposal::journal;
  service without{nowhere};
  EXPECT_THROW(without.run(jobs), hardstop::bad_options);
}

TEST(Service, TellsItsNumbersInPrometheusFormat) {
  log_book log;
  service it{usual(log)};
  service_stage::register_jobs(it);
  memory_queue jobs;
  jobs.enqueue("add", {1, 2});
  jobs.close();
  EXPECT_EQ(it.run(jobs), success);
  const std::string text = it.metrics();
  EXPECT_THAT(text, HasSubstr("# TYPE hardstop_service_taken_total counter\n"));
  EXPECT_THAT(text,
              HasSubstr("hardstop_service_ended_total{service=\"service\",end=\"finished\"} 1\n"));
}

}  // namespace
