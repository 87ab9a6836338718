// `hardstop doctor` on this machine. What it makes of others: diagnosis_test.cpp.
#include <string>

#include <gtest/gtest.h>

#include "cli/command.hpp"
#include "support/cgroup.hpp"

namespace hardstop::test {
namespace {

// The tests would not be here, could no pool start.
TEST(the_doctor, says_that_pools_can_start) {
  const auto ended = run({"doctor"});
  EXPECT_EQ(ended.shell_status(), 0);
  EXPECT_NE(ended.output.find("Pools can start here"), std::string::npos);
  for (const char* const told : {"kill", "memory", "pidfd", "PIDFD_GET_INFO", "futex_waitv",
                                 "clone3", "memfd", "shared huge pages"}) {
    EXPECT_NE(ended.output.find(told), std::string::npos) << told;
  }
  EXPECT_EQ(ended.errors, "");
  EXPECT_EQ(ended.left_behind, "");
}

TEST(the_doctor, says_so_in_json) {
  const auto ended = run({"doctor", "--json"});
  EXPECT_EQ(ended.shell_status(), 0);
  const auto read = read_json(ended.output);
  EXPECT_TRUE(read["can_start"].truth());
  EXPECT_GE(read["usable_cpus"].number(), 1);
  for (const char* const section : {"containment", "kernel_features", "settings"}) {
    for (const auto& each : read[section].elements()) {
      EXPECT_NE(each["name"].text(), "");
      EXPECT_NE(each["value"].text(), "");
      EXPECT_NE(each["grade"].text(), "missing") << each["name"].text();
      EXPECT_EQ(each["grade"].text() == "good", each["cure"].text().empty()) << each["name"].text();
    }
  }
}

TEST(the_doctor, refuses_a_subtree_that_is_none) {
  const auto ended = run({"doctor", "--cgroup", "/proc"});
  EXPECT_EQ(ended.shell_status(), 1);
  EXPECT_NE(ended.output.find("Nothing can start here."), std::string::npos);
}

TEST(the_doctor, leaves_a_subtree_as_it_was) {
  support::own_cgroup group;
  if (group.path().empty()) GTEST_SKIP() << group.why_not();
  const auto ended = run({"doctor", "--json", "--cgroup", group.path()});
  EXPECT_EQ(ended.shell_status(), 0);
  EXPECT_EQ(read_json(ended.output)["containment"].at(0)["value"].text(), "cgroup");
  EXPECT_TRUE(group.remove());
}

}  // namespace
}  // namespace hardstop::test
