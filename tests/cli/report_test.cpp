// --json tells why a run ended and what it took.
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "cli/command.hpp"

namespace hardstop::test {
namespace {

TEST(a_report, tells_of_a_command_that_ended_by_itself) {
  const auto ended = run({"run", "--json", "--", "sh", "-c", "exit 3"});
  const auto report = ended.report();
  EXPECT_EQ(report["why"].text(), "exited");
  EXPECT_EQ(report["exit_status"].number(), 3);
  EXPECT_EQ(report["exit_code"].number(), 3);
  EXPECT_TRUE(report["signal"].is_null());
  EXPECT_FALSE(report["core_dumped"].truth());
  EXPECT_GT(report["wall_seconds"].number(), 0);
  EXPECT_GE(report["cpu_seconds"].number(), 0);
  EXPECT_GT(report["peak_memory_bytes"].number(), 0);
  EXPECT_EQ(report["peak_memory_of"].text(), "largest process");
  EXPECT_TRUE(report["memory_limited_by"].is_null());
  EXPECT_EQ(report["processes_stopped"].number(), 0);
  EXPECT_TRUE(report["unconfirmed"].elements().empty());
  EXPECT_EQ(report["contained_by"].text(), "sweep");
  EXPECT_TRUE(report["error"].is_null());
  ASSERT_EQ(report["command"].elements().size(), 3U);
  EXPECT_EQ(report["command"].at(2).text(), "exit 3");
}

TEST(a_report, tells_of_a_signal) {
  const auto report = run({"run", "--json", "--", "sh", "-c", "kill -USR1 $$"}).report();
  EXPECT_EQ(report["why"].text(), "signalled");
  EXPECT_EQ(report["exit_status"].number(), 128 + SIGUSR1);
  EXPECT_TRUE(report["exit_code"].is_null());
  EXPECT_EQ(report["signal"].number(), SIGUSR1);
  EXPECT_EQ(report["signal_name"].text(), "SIGUSR1");
}

TEST(a_report, tells_of_a_timeout_that_was_heeded) {
  const auto report = run({"run", "--json", "--timeout", "50ms", "--", "sleep", "60"}).report();
  EXPECT_EQ(report["why"].text(), "timed_out");
  EXPECT_EQ(report["exit_status"].number(), 124);
  EXPECT_EQ(report["signal"].number(), SIGTERM);
  EXPECT_EQ(report["processes_stopped"].number(), 0);
  EXPECT_GE(report["wall_seconds"].number(), 0.05);
}

TEST(a_report, tells_why_there_was_no_run) {
  const auto ended = run({"run", "--json", "--", "/there/is/no/such"});
  EXPECT_EQ(ended.report()["why"].text(), "not_started");
  EXPECT_EQ(ended.report()["exit_status"].number(), 127);
  EXPECT_NE(ended.report()["error"].text().find("/there/is/no/such"), std::string::npos);
}

TEST(a_report, counts_everybody_who_was_left) {
  // Each has told that it is there before the shell ends.
  const auto ended = run({"run", "--json", "--", "sh", "-c",
                          "for n in 1 2 3; do setsid sh -c 'echo; exec sleep 1000' & done | "
                          "head -n 3"});
  const auto report = ended.report();
  EXPECT_EQ(report["why"].text(), "exited");
  EXPECT_EQ(report["processes_stopped"].number(), 3);
  EXPECT_EQ(ended.left_behind, "");
}

TEST(a_report, adds_up_cpu_time_of_the_tree) {
  const auto ended = run({"run", "--json", "--", "sh", "-c",
                          "sh -c 'n=0; while [ $n -lt 20000 ]; do n=$((n+1)); done'"});
  EXPECT_GT(ended.report()["cpu_seconds"].number(), 0.002);
}

TEST(a_report, may_go_to_a_file) {
  const int file = ::memfd_create("report", 0);
  const auto ended =
      run({"run", "--json=/proc/self/fd/" + std::to_string(file), "--", "sh", "-c", "echo >&2 hi"});
  EXPECT_EQ(ended.errors, "hi\n");
  std::string text(4096, '\0');
  const auto size = ::pread(file, text.data(), text.size(), 0);
  ::close(file);
  ASSERT_GT(size, 0);
  text.resize(static_cast<std::size_t>(size));
  EXPECT_EQ(read_json(text)["why"].text(), "exited");
}

TEST(a_report_that_cannot_be_written, is_told_before_anything_runs) {
  const auto ended = run({"run", "--json=/there/is/no/such", "--", "echo", "ran"});
  EXPECT_EQ(ended.shell_status(), 125);
  EXPECT_EQ(ended.output, "");
  EXPECT_NE(ended.errors.find("/there/is/no/such"), std::string::npos);
}

TEST(a_report, is_json_whatever_the_command_is_called) {
  const auto report =
      run({"run", "--json", "--", "printf", "", "\"\\\n\xff\x01", "\xc3\xa9"}).report();
  EXPECT_EQ(report["command"].at(3).text(), "\xc3\xa9");
}

}  // namespace
}  // namespace hardstop::test
