// What `hardstop doctor` makes of machines that are not this one.
#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/doctor/findings.hpp"
#include "cli/doctor/rendering.hpp"
#include "cli/json_reader.hpp"

namespace hardstop::cli {
namespace {

using testing::HasSubstr;

machine_facts perfect() {
  machine_facts facts;
  facts.kernel = "Linux 7.0";
  facts.usable_cpus = 4;
  facts.cgroup = "/sys/fs/cgroup/mine";
  facts.containment.kill = wire::kill_containment::cgroup;
  facts.containment.memory = wire::memory_containment::cgroup;
  facts.containment.oom = wire::oom_attribution::cgroup;
  facts.containment.kernel = {.pidfd = true,
                              .pidfd_wait = true,
                              .pidfd_exit_info = true,
                              .invisible_clone = true,
                              .memfd_sealing = true};
  facts.wait_for_many_futexes = true;
  facts.clone3 = true;
  facts.huge_pages = "madvise";
  facts.shared_huge_pages = "advise";
  facts.cgroup2_mount = "/sys/fs/cgroup";
  return facts;
}

std::vector<finding> all_of(const diagnosis& found) {
  auto all = found.containment;
  all.insert(all.end(), found.kernel.begin(), found.kernel.end());
  all.insert(all.end(), found.settings.begin(), found.settings.end());
  return all;
}

finding named(const diagnosis& found, const std::string& name) {
  for (const auto& each : all_of(found)) {
    if (each.name == name) return each;
  }
  ADD_FAILURE() << "nothing is said about " << name;
  return {};
}

TEST(a_perfect_machine, has_nothing_to_change) {
  const auto found = diagnose(perfect());
  EXPECT_EQ(found.refusal, "");
  for (const auto& each : all_of(found)) {
    EXPECT_EQ(each.how, grade::good) << each.name;
    EXPECT_EQ(each.cure, "") << each.name;
    EXPECT_NE(each.meaning, "") << each.name;
  }
}

TEST(whatever_is_not_good, has_a_cure) {
  auto facts = perfect();
  facts.cgroup.clear();
  facts.containment = {};
  facts.containment.refusal = "no pidfd";
  facts.containment.kill_advice = facts.containment.memory_advice = "name a subtree";
  facts.containment.oom_advice = "guessed";
  facts.wait_for_many_futexes = false;
  facts.huge_pages.clear();
  facts.shared_huge_pages = "never";
  facts.open_files = 20;
  facts.processes = 10;
  const auto found = diagnose(facts);
  EXPECT_EQ(found.refusal, "no pidfd");
  for (const auto& each : all_of(found)) {
    if (each.how != grade::good && each.name != "kill") {
      EXPECT_NE(each.cure, "") << each.name;
    }
  }
  EXPECT_EQ(named(found, "pidfd").how, grade::missing);
  EXPECT_EQ(named(found, "futex_waitv").how, grade::limited);
  EXPECT_EQ(named(found, "open files").how, grade::limited);
  EXPECT_THAT(named(found, "shared huge pages").cure, HasSubstr("echo advise"));
}

TEST(a_machine_without_proc, is_refused_with_the_cure) {
  auto facts = perfect();
  facts.proc_trouble = "mount it";
  EXPECT_EQ(diagnose(facts).refusal, "mount it");
}

TEST(a_subtree_that_cannot_be_used, is_refused) {
  auto facts = perfect();
  facts.containment.kill = wire::kill_containment::sweep;
  facts.containment.kill_advice = "not delegated";
  EXPECT_EQ(diagnose(facts).refusal, "not delegated");
}

TEST(a_memory_controller_of_the_old_kind, is_named) {
  auto facts = perfect();
  facts.containment.memory = wire::memory_containment::watch;
  facts.memory_in_cgroup1 = true;
  EXPECT_THAT(named(diagnose(facts), "memory").cure, HasSubstr("cgroup_no_v1=memory"));
}

TEST(a_diagnosis, fits_its_lines) {
  auto facts = perfect();
  facts.containment.refusal = std::string(30, 'a') + std::string(300, ' ') + "b c d e f g";
  const auto text = to_text(diagnose(facts), facts);
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = text.find('\n', begin);
    EXPECT_LE(end - begin, 100U) << text.substr(begin, end - begin);
    begin = end + 1;
  }
  EXPECT_THAT(text, HasSubstr("Nothing can start here."));
}

TEST(a_diagnosis, says_the_same_in_json) {
  const auto facts = perfect();
  const auto read = test::read_json(to_json(diagnose(facts), facts));
  EXPECT_TRUE(read["can_start"].truth());
  EXPECT_TRUE(read["refusal"].is_null());
  EXPECT_EQ(read["containment"].at(0)["name"].text(), "kill");
  EXPECT_EQ(read["containment"].at(0)["grade"].text(), "good");
}

}  // namespace
}  // namespace hardstop::cli
