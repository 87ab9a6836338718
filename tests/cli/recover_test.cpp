// `hardstop recover`, after services that were killed and services that left their jobs.
#include <csignal>
#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/command.hpp"
#include "service/stage.hpp"
#include <hardstop/journal.hpp>
#include <hardstop/memory_queue.hpp>
#include <hardstop/queue.hpp>

namespace hardstop::test {
namespace {

using service_stage::folder;
using service_stage::log_book;
using service_stage::running;
using testing::HasSubstr;

class recover_command : public testing::Test {
 protected:
  // Four jobs are taken, two of which run; then the service stops and leaves the others.
  void leave_two() {
    log_book log;
    auto options = service_stage::usual(log);
    options.journal = place / "journal";
    service it{options};
    service_stage::register_jobs(it);
    memory_queue jobs;
    for (int number = 0; number < 4; ++number)
      jobs.enqueue("gate", {service_stage::words_of(board), number, 1});
    running run(it, jobs);
    ASSERT_TRUE(board->begun.wait_for(2));
    while (it.stats().waiting != 2)
      std::this_thread::yield();
    it.stop();
    log.wait_for("drain_progress");
    board->open.set(1);
    ASSERT_EQ(run.end(), 0) << log.text();
  }

  folder place;
  support::board<scenario::gates> board{"gates"};
};

TEST_F(recover_command, shows_what_is_left_and_changes_nothing) {
  leave_two();
  for (int times = 0; times < 2; ++times) {
    const auto shown = test::run({"recover", place / "journal"});
    EXPECT_EQ(shown.shell_status(), 1) << shown.errors;
    EXPECT_THAT(shown.output, HasSubstr("2 unfinished in "));
    EXPECT_THAT(shown.output, HasSubstr("exit status 0"));
    EXPECT_THAT(shown.output, HasSubstr("left "));
  }
}

TEST_F(recover_command, puts_them_into_a_queue) {
  leave_two();
  const auto moved = test::run({"recover", place / "journal", "--into", place / "jobs.db"});
  EXPECT_EQ(moved.shell_status(), 0) << moved.errors;
  EXPECT_THAT(moved.output, HasSubstr("2 put into "));
  EXPECT_EQ(queue{place / "jobs.db"}.count(queued_state::queued), 2);
  EXPECT_EQ(test::run({"recover", place / "journal"}).shell_status(), 0);
}

TEST_F(recover_command, says_in_json_what_is_left) {
  leave_two();
  const auto shown = test::run({"recover", place / "journal", "--json"});
  EXPECT_THAT(shown.output, HasSubstr(R"("name":"gate","state":"left")"));
}

TEST_F(recover_command, keeps_off_what_a_service_uses) {
  log_book log;
  auto options = service_stage::usual(log);
  options.journal = place / "journal";
  service it{options};
  memory_queue jobs;
  running run(it, jobs);
  log.wait_for("ready");
  const auto refused = test::run({"recover", place / "journal"});
  EXPECT_EQ(refused.shell_status(), 125);
  EXPECT_THAT(refused.errors, HasSubstr("is in use by process " + std::to_string(::getpid())));
}

TEST_F(recover_command, makes_no_journal) {
  const auto refused = test::run({"recover", place / "nowhere"});
  EXPECT_EQ(refused.shell_status(), 125);
  EXPECT_THAT(refused.errors, HasSubstr("no journal"));
  EXPECT_FALSE(std::filesystem::exists(place / "nowhere-lock"));
}

}  // namespace
}  // namespace hardstop::test
