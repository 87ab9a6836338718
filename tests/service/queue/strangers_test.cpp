// Rows that we have not written: refused with the reason, kept aside, never handed out.
#include <SQLiteCpp/Database.h>

#include <ostream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "service/queue/folder.hpp"
#include "service/queue/jobs.hpp"
#include "support/other_process.hpp"
#include <hardstop/queue.hpp>

namespace hardstop::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

struct stranger {
  const char* name;
  const char* changes;  // what is different from a good row
  const char* reason;

  friend std::ostream& operator<<(std::ostream& out, const stranger& shown) {
    return out << shown.name;
  }
};

class row_of_a_stranger : public testing::TestWithParam<stranger> {};

// Somebody else's program, with SQLite's checks switched off.
int change_a_file(const std::vector<std::string>& arguments) {
  SQLite::Database file{arguments.at(0), SQLite::OPEN_READWRITE};
  file.exec("PRAGMA ignore_check_constraints = ON");
  file.exec(arguments.at(1));
  return 0;
}

const support::part change_a_file_part{"change_a_file", &change_a_file};

void change(const std::string& path, const std::string& sql) {
  ASSERT_EQ(support::start_part("change_a_file", {path, sql}).wait(), 0);
}

TEST_P(row_of_a_stranger, is_kept_aside) {
  const folder home;
  const auto path = home / "jobs.db";
  std::string id;
  {
    queue jobs{path, quick};
    id = jobs.enqueue("good");
  }
  change(path, std::string{"UPDATE jobs SET "} + GetParam().changes);
  queue jobs{path, quick};
  jobs.enqueue("next");
  EXPECT_THAT(names_of(jobs.take(10, 0s)), ElementsAre("next"));
  const auto seen = jobs.find(id).value();
  EXPECT_EQ(seen.state, queued_state::refused);
  EXPECT_THAT(seen.reason, HasSubstr(GetParam().reason));
  EXPECT_EQ(jobs.count(queued_state::refused), 1U);
  EXPECT_EQ(jobs.jobs().size(), 2U);
}

INSTANTIATE_TEST_SUITE_P(
    with, row_of_a_stranger,
    testing::Values(
        stranger{"no_name", "name = ''", "no name"},
        stranger{"a_long_name", "name = printf('%5000s', 'x')", "its name has"},
        stranger{"an_unknown_format", "format = 'yaml'", "unknown format"},
        stranger{"no_json", "arguments = CAST('[1, 2' AS BLOB)", "cannot be read"},
        stranger{"more_than_json", "arguments = CAST('[1] x' AS BLOB)", "cannot be read"},
        stranger{"nothing", "arguments = x''", "cannot be read"},
        stranger{"a_number", "arguments = CAST('7' AS BLOB)", "neither an array"},
        stranger{"another_object", "arguments = CAST('{\"args\": []}' AS BLOB)", "neither"},
        stranger{"no_messagepack", "format = 'msgpack', arguments = x'92'", "cannot be read"},
        stranger{"too_deep", "arguments = CAST(replace(printf('%200s', ''), ' ', '[') AS BLOB)",
                 "deeper"},
        stranger{"too_much", "arguments = zeroblob(70000000)", "70000000 bytes"},
        stranger{"negative_attempts", "attempts = -1", "attempts"},
        stranger{"no_attempts", "max_attempts = 0", "attempts"},
        stranger{"a_negative_limit", "timeout = -5", "negative"},
        stranger{"too_many_leases", "lease = 9000000000", "leased more often"}),
    [](const auto& each) { return std::string{each.param.name}; });

TEST(a_state_that_nobody_knows, is_shown_as_refused) {
  const folder home;
  const auto path = home / "jobs.db";
  { queue{path, quick}.enqueue("one"); }
  change(path, "UPDATE jobs SET state = 'sideways', priority = 1 << 40, attempts = -3");
  const queue jobs{path, quick};
  EXPECT_EQ(jobs.find("1").value().state, queued_state::refused);
  EXPECT_EQ(jobs.jobs().size(), 1U);
}

TEST(a_trigger_of_a_stranger, is_not_run) {
  const folder home;
  const auto path = home / "jobs.db";
  { queue{path, quick}.enqueue("one"); }
  change(path, "CREATE TRIGGER boo AFTER UPDATE ON jobs BEGIN DELETE FROM jobs; END");
  queue jobs{path, quick};
  EXPECT_EQ(jobs.take(1, 0s).jobs.size(), 1U);
  EXPECT_EQ(jobs.count(queued_state::leased), 1U);
}

TEST(a_change_by_another_tool, is_noticed) {
  // It does not ring: who waits looks once a second.
  const folder home;
  const auto path = home / "jobs.db";
  queue jobs{path, quick};
  jobs.enqueue("one", nlohmann::json::array(), {.delay = 24h});
  change(path, "UPDATE jobs SET due_at = 0");
  EXPECT_THAT(names_of(jobs.take(1, 60s)), ElementsAre("one"));
}

}  // namespace
}  // namespace hardstop::test
