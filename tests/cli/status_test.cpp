// The exit status is timeout's: both are run side by side.
#include <signal.h>
#include <sys/wait.h>

#include <ostream>
#include <string>

#include <gtest/gtest.h>

#include "cli/command.hpp"

namespace hardstop::test {
namespace {

struct shared_case {
  const char* name;
  words timeout;   // options of timeout, the time included
  words hardstop;  // the same, for hardstop run
  words command;
  // timeout sends SIGKILL to its own group, itself included; hardstop exits with what a shell makes
  // of that.
  bool dies_alike = true;

  friend std::ostream& operator<<(std::ostream& out, const shared_case& shown) {
    return out << shown.name;
  }
};

words shell(const std::string& script) {
  return {"sh", "-c", script};
}

const words in_time{"60"};
const words in_our_time{"--timeout", "60"};
const words out_of_time{"0.05"};
const words out_of_our_time{"--timeout", "0.05"};
const words deaf = shell("trap '' TERM; while :; do sleep 0.01; done");
const words tidy = shell("trap 'exit 3' TERM; while :; do sleep 0.01; done");

class exit_status : public testing::TestWithParam<shared_case> {};

TEST_P(exit_status, is_timeouts) {
  const auto& shared = GetParam();
  const auto theirs = run_other(words{"timeout"} + shared.timeout + shared.command);
  const auto ours = run(words{"run"} + shared.hardstop + words{"--"} + shared.command);
  EXPECT_EQ(ours.shell_status(), theirs.shell_status());
  if (shared.dies_alike) {
    EXPECT_EQ(WIFSIGNALED(ours.wait_status), WIFSIGNALED(theirs.wait_status));
  }
  EXPECT_EQ(ours.output, theirs.output);
  EXPECT_EQ(ours.left_behind, "");  // G2
}

const shared_case cases[] = {
    {"success", in_time, in_our_time, {"true"}},
    {"failure", in_time, in_our_time, {"false"}},
    {"a_code", in_time, in_our_time, shell("exit 42")},
    {"output", in_time, in_our_time, shell("echo out; echo err >&2")},
    {"no_limit", {"0"}, {"--timeout", "0"}, shell("exit 5")},
    {"ended_by_term", in_time, in_our_time, shell("kill -TERM $$")},
    {"ended_by_kill", in_time, in_our_time, shell("kill -KILL $$")},
    {"ended_by_segv", in_time, in_our_time, shell("ulimit -c 0; kill -SEGV $$")},
    {"not_there", in_time, in_our_time, {"./there-is-no-such-program"}},
    {"not_in_path", in_time, in_our_time, {"there-is-no-such-program"}},
    {"not_executable", in_time, in_our_time, {"/etc/passwd"}},
    {"a_directory", in_time, in_our_time, {"/"}},
    {"timed_out", out_of_time, out_of_our_time, {"sleep", "60"}},
    {"timed_out_with_a_code", out_of_time, out_of_our_time, tidy},
    {"timed_out_preserved",
     words{"--preserve-status"} + out_of_time,
     words{"--preserve-status"} + out_of_our_time,
     {"sleep", "60"}},
    {"timed_out_with_a_code_preserved", words{"--preserve-status"} + out_of_time,
     words{"--preserve-status"} + out_of_our_time, tidy},
    {"killed_after_its_grace", words{"-k", "0.05"} + out_of_time,
     words{"-k", "0.05"} + out_of_our_time, deaf, false},
    {"killed_after_its_grace_in_the_foreground", words{"--foreground", "-k", "0.05"} + out_of_time,
     words{"--foreground", "-k", "0.05"} + out_of_our_time, deaf},
    {"asked_otherwise",
     words{"-s", "INT"} + out_of_time,
     words{"-s", "INT"} + out_of_our_time,
     {"sleep", "60"}},
    {"killed_at_once",
     words{"-s", "KILL"} + out_of_time,
     words{"-s", "KILL"} + out_of_our_time,
     {"sleep", "60"},
     false},
    {"stopped_and_timed_out", out_of_time, out_of_our_time, shell("kill -STOP $$")},
    {"a_bad_time", {"5x"}, {"--timeout", "5x"}, {"true"}},
    {"a_bad_signal", {"-s", "FROB", "1"}, {"-s", "FROB"}, {"true"}},
    {"a_bad_option", {"--frob", "1"}, {"--frob"}, {"true"}},
    {"no_command", in_time, in_our_time, {}},
};

INSTANTIATE_TEST_SUITE_P(beside, exit_status, testing::ValuesIn(cases),
                         [](const auto& each) { return std::string{each.param.name}; });

TEST(words_of_a_command, are_its_own) {
  // Not a word of them is taken for ours, with and without a separator.
  const words command{"printf", "<%s>", "[a,b]", "", "--json", "--", "-x", "run", "++", "{}"};
  const std::string expected = "<[a,b]><><--json><--><-x><run><++><{}>";
  EXPECT_EQ(run(words{"run", "--timeout", "60", "--"} + command).output, expected);
  EXPECT_EQ(run(words{"run", "--timeout", "60"} + command).output, expected);
}

TEST(wrong_use, is_told_with_where_to_learn) {
  for (const auto& arguments : {words{"run", "--memory", "lots", "true"}, words{"run"}, words{},
                                words{"frob"}, words{"run", "--leftovers", "eat", "true"}}) {
    const auto ended = run(arguments);
    EXPECT_EQ(ended.shell_status(), 125);
    EXPECT_NE(ended.errors.find("--help"), std::string::npos) << ended.errors;
    EXPECT_EQ(ended.output, "");
  }
}

TEST(help, teaches) {
  const auto ended = run({"run", "--help"});
  EXPECT_EQ(ended.shell_status(), 0);
  for (const char* const taught : {"Examples:", "Exit status", "124", "125", "126", "127", "137",
                                   "--timeout", "--grace", "--memory", "--foreground", "--json"}) {
    EXPECT_NE(ended.output.find(taught), std::string::npos) << taught;
  }
  EXPECT_EQ(run({"--help"}).shell_status(), 0);
  EXPECT_EQ(run({"--version"}).output.rfind("hardstop ", 0), 0U);
}

}  // namespace
}  // namespace hardstop::test
