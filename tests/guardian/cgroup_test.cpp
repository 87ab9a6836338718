// Containment by cgroup v2 leaves, where this machine has a hierarchy that the test may write to.
#include "guardian/cgroup.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "guardian/containment.hpp"
#include "guardian/test_pool.hpp"
#include "support/cgroup.hpp"
#include "support/survivors.hpp"

namespace hardstop::test {
namespace {

using guardian::start_method;
using testing::IsEmpty;

class cgroup : public testing::Test {
 protected:
  void SetUp() override {
    if (subtree().empty()) GTEST_SKIP() << own_.why_not();
  }

  void TearDown() override { EXPECT_TRUE(own_.remove()) << "somebody is left in " << subtree(); }

  [[nodiscard]] const std::string& subtree() const { return own_.path(); }

  [[nodiscard]] std::size_t leaves() const {
    const std::filesystem::directory_iterator entries{subtree()};
    return static_cast<std::size_t>(std::count_if(
        begin(entries), end(entries), [](const auto& entry) { return entry.is_directory(); }));
  }

 private:
  support::own_cgroup own_;
};

TEST_F(cgroup, kills_trees_whole_G2) {
  const marker mark;
  for (const auto start : {start_method::fork, start_method::spawn}) {
    test_pool pool{start, subtree()};
    EXPECT_EQ(pool.link().facts.kill, wire::kill_containment::cgroup);
    for (const auto* name : {"daemon", "hopping_bomb", "fork_bomb", "stops_its_group", "orphans"}) {
      EXPECT_EQ(pool.kill_and_wait(pool.spawn(name)).unconfirmed.reason, wire::survival::none);
      EXPECT_THAT(mark.survivors({pool.link().warden.pid(), pool.link().guardian.pid()}),
                  IsEmpty());
    }
    EXPECT_EQ(pool.gone(pool.spawn("exits_with_children")).status.code, 3);
  }
}

TEST_F(cgroup, holds_one_leaf_for_each_worker) {
  test_pool pool{start_method::fork, subtree()};
  const auto one = pool.spawn("idle");
  const auto other = pool.spawn("idle");
  EXPECT_EQ(leaves(), 2U);
  (void)pool.kill_and_wait(one);
  EXPECT_EQ(leaves(), 1U);
  EXPECT_FALSE(other.handle.ended());
}

TEST_F(cgroup, is_cleaned_up_after_a_killed_guardian_G5) {
  const marker mark;
  test_pool pool{start_method::fork, subtree()};
  (void)pool.spawn("daemon");
  (void)pool.link().guardian.send_signal(SIGKILL);
  EXPECT_TRUE(pool.both_end());
  EXPECT_THAT(mark.survivors(), IsEmpty());
}

TEST_F(cgroup, is_reported_as_containment) {
  const auto report = guardian::probe_containment(subtree());
  EXPECT_EQ(report.kill, wire::kill_containment::cgroup);
  EXPECT_EQ(report.kill_advice, "");
}

TEST_F(cgroup, kills_a_tree_that_exceeds_its_memory) {
  const auto opened = guardian::cgroup_subtree::open(subtree());
  ASSERT_TRUE(opened);
  if (!opened->limits_memory()) GTEST_SKIP() << "no memory controller in cgroup v2 here";
  test_pool pool{start_method::fork, subtree()};
  pool.set_memory_limit(16U << 20U);
  const auto account = pool.gone(pool.spawn_unready("uses_memory"));
  EXPECT_EQ(account.status.signal, SIGKILL);
  EXPECT_GE(account.oom_kills, 1);
}

}  // namespace
}  // namespace hardstop::test
