// A service as a process: its signals, its exit status, and what it leaves behind.
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "service/stage.hpp"
#include "support/contents.hpp"
#include <hardstop/journal.hpp>
#include <hardstop/memory_queue.hpp>
#include <hardstop/queue.hpp>

namespace {

using hardstop::queue;
using hardstop::queued_state;
using hardstop::service;
using nlohmann::json;
using service_stage::folder;
using service_stage::words_of;
using std::chrono::milliseconds;
using std::chrono::seconds;
using support::board;
using testing::HasSubstr;

constexpr int cut_short = 75;

// The service's own process: <folder> [how…].
int serve(const std::vector<std::string>& arguments) {
  const std::string& place = arguments.at(0);
  const auto told = [&](const char* word) {
    return std::find(arguments.begin() + 1, arguments.end(), word) != arguments.end();
  };
  std::freopen((place + "/stderr").c_str(), "a", stderr);
  hardstop::service_options options;
  options.pool.workers = 2;
  options.grace = seconds(60);
  options.journal = place + "/journal";
  options.private_tmpdir = true;
  options.exit_if_stuck = true;
  if (told("hurried")) options.hurried_drain = milliseconds(20);
  if (told("short")) options.grace = milliseconds(300);
  if (told("short")) options.dispose_time = options.shutdown_time = milliseconds(100);
  if (told("stuck-hook")) {
    options.hooks.drain = [] {
      for (;;)
        ::pause();
    };
  }
  options.on_log = [place](const hardstop::log_record& record) {
    std::ofstream(place + "/log", std::ios::app) << record.event << ' ' << record.text << std::endl;
  };
  service it{options};
  service_stage::register_jobs(it);
  queue jobs{place + "/jobs.db"};
  return it.run(jobs);
}

const support::part serve_part{"serve", &serve};

class ServiceProcess : public testing::Test {
 protected:
  // Where attempts' directories go, too: whatever is left there afterwards is seen.
  void SetUp() override {
    std::filesystem::create_directory(place / "tmp");
    ::setenv("TMPDIR", (place / "tmp").c_str(), 1);
  }

  void TearDown() override { ::unsetenv("TMPDIR"); }

  support::other_process start(std::vector<std::string> how = {}) {
    how.insert(how.begin(), place.path().string());
    return support::start_part("serve", std::move(how));
  }

  void wait_for_log(const std::string& line) const {
    const auto give_up = std::chrono::steady_clock::now() + support::patience;
    while (support::contents(place / "log").find(line) == std::string::npos) {
      ASSERT_LT(std::chrono::steady_clock::now(), give_up) << "no " << line << " in\n"
                                                           << support::contents(place / "log");
      std::this_thread::sleep_for(milliseconds(1));
    }
  }

  [[nodiscard]] bool tmp_is_empty() const { return std::filesystem::is_empty(place / "tmp"); }

  static void expect_exit(int status, int wanted) {
    ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), wanted);
  }

  folder place;
  board<scenario::gates> gates{"gates"};
};

TEST_F(ServiceProcess, G9_SigtermDrains) {
  queue jobs{place / "jobs.db"};
  for (int number = 0; number < 4; ++number)
    jobs.enqueue("gate", {words_of(gates), number, 1});
  auto process = start();
  ASSERT_TRUE(gates->begun.wait_for(2));
  ::kill(process.pid(), SIGTERM);
  wait_for_log("phase phase: drain");
  gates->open.set(1);
  expect_exit(process.wait(), 0);
  EXPECT_EQ(jobs.count(queued_state::done), 2);
  EXPECT_EQ(jobs.count(queued_state::queued), 2);
  EXPECT_TRUE(tmp_is_empty());
}

TEST_F(ServiceProcess, G9_ASecondSigtermLeavesNothingBehind) {
  queue jobs{place / "jobs.db"};
  jobs.enqueue("stay", json::array({words_of(gates)}));
  auto process = start({"hurried"});
  ASSERT_TRUE(gates->begun.wait_for(1));
  ::kill(process.pid(), SIGTERM);
  wait_for_log("phase phase: drain");
  ::kill(process.pid(), SIGINT);
  expect_exit(process.wait(), cut_short);
  EXPECT_TRUE(tmp_is_empty());
  EXPECT_EQ(jobs.count(queued_state::leased), 0);
  hardstop::journal journal{place / "journal"};
  EXPECT_TRUE(journal.unfinished().empty());
  EXPECT_EQ(journal.runs().back().status, cut_short);
}

TEST_F(ServiceProcess, AHookThatNeverReturnsDoesNotKeepItAlive) {
  auto process = start({"stuck-hook", "short"});
  wait_for_log("ready");
  ::kill(process.pid(), SIGTERM);
  expect_exit(process.wait(), cut_short);
  EXPECT_THAT(support::contents(place / "log"), HasSubstr("stuck"));
}

TEST_F(ServiceProcess, Sigusr1ShowsWhatItIsDoing) {
  queue jobs{place / "jobs.db"};
  jobs.enqueue("gate", {words_of(gates), 7, 1});
  auto process = start();
  ASSERT_TRUE(gates->begun.wait_for(1));
  ::kill(process.pid(), SIGUSR1);
  while (support::contents(place / "stderr").find("gate, attempt 1: running for") ==
         std::string::npos) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_THAT(support::contents(place / "stderr"), HasSubstr("accept, 1 running"));
  ::kill(process.pid(), SIGTERM);
  gates->open.set(1);
  expect_exit(process.wait(), 0);
}

TEST_F(ServiceProcess, G9_WhatACrashLeftIsInTheJournalAndTheNextRunGivesItBack) {
  queue jobs{place / "jobs.db"};
  const auto id = jobs.enqueue("gate", {words_of(gates), 1, 1});
  {
    auto process = start();
    ASSERT_TRUE(gates->begun.wait_for(1));
    process.end();
  }
  {
    hardstop::journal journal{place / "journal"};
    const auto left = journal.unfinished();
    ASSERT_EQ(left.size(), 1);
    EXPECT_EQ(left.front().state, hardstop::journal_state::started);
    EXPECT_EQ(left.front().receipt.job, id);
  }
  gates->open.set(1);
  auto process = start();
  while (jobs.count(queued_state::done) != 1)
    std::this_thread::sleep_for(milliseconds(1));
  ::kill(process.pid(), SIGTERM);
  expect_exit(process.wait(), 0);
  EXPECT_EQ(jobs.find(id)->attempts, 2);
  EXPECT_TRUE(tmp_is_empty()) << "the second run removes what the first one has left";
}

TEST_F(ServiceProcess, TellsSystemd) {
  const int receiver = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (place / "notify").copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(::bind(receiver, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  const timeval patience{.tv_sec = support::patience.count(), .tv_usec = 0};
  ::setsockopt(receiver, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  const auto next = [&] {
    std::array<char, 1024> text{};
    const auto size = ::recv(receiver, text.data(), text.size(), 0);
    return size < 0 ? std::string("nothing")
                    : std::string(text.data(), static_cast<std::size_t>(size));
  };
  ::setenv("NOTIFY_SOCKET", (place / "notify").c_str(), 1);
  ::setenv("WATCHDOG_USEC", "200000", 1);
  auto process = start();
  ::unsetenv("NOTIFY_SOCKET");
  ::unsetenv("WATCHDOG_USEC");
  std::string all;
  while (all.find("WATCHDOG=1") == std::string::npos) {
    all += next() + "\n";
    ASSERT_THAT(all, testing::Not(HasSubstr("nothing")));
  }
  EXPECT_THAT(all, HasSubstr("READY=1"));
  ::kill(process.pid(), SIGTERM);
  while (all.find("STOPPING=1") == std::string::npos)
    all += next() + "\n";
  EXPECT_THAT(all, HasSubstr("EXTEND_TIMEOUT_USEC="));
  expect_exit(process.wait(), 0);
  ::close(receiver);
}

// --- signals of this process

TEST(Signals, HandlersAreBackAfterwards) {
  struct sigaction before {};

  struct sigaction mine {};

  mine.sa_handler = [](int) {};
  ::sigaction(SIGTERM, &mine, &before);
  hardstop::service_options options;
  options.on_log = [](const hardstop::log_record&) {};
  service it{options};
  hardstop::memory_queue jobs;
  jobs.close();
  EXPECT_EQ(it.run(jobs), 0);

  struct sigaction after {};

  ::sigaction(SIGTERM, &before, &after);
  EXPECT_EQ(after.sa_handler, mine.sa_handler);
}

TEST(Signals, NoneIsLostAndNoneInterrupts) {
  service_stage::log_book log;
  auto options = service_stage::usual(log);
  options.handle_signals = true;
  service it{options};
  service_stage::register_jobs(it);
  board<scenario::gates> gates{"gates"};
  hardstop::memory_queue jobs;
  jobs.enqueue("stay", json::array({words_of(gates)}));
  service_stage::running run(it, jobs);
  ASSERT_TRUE(gates->begun.wait_for(1));
  for (int count = 0; count < 3; ++count)
    ::kill(::getpid(), SIGTERM);
  EXPECT_EQ(run.end(), cut_short) << log.text();
}

}  // namespace
