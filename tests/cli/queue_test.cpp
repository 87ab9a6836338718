// `hardstop enqueue`, `jobs`, `cancel` and `requeue`, beside a service that uses the same file.
#include <chrono>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "cli/command.hpp"
#include "service/queue/folder.hpp"
#include "service/queue/jobs.hpp"
#include <hardstop/queue.hpp>

namespace hardstop::test {
namespace {

using namespace std::chrono_literals;

class queue_commands : public testing::Test {
 protected:
  // Its output, when it has succeeded.
  std::string said(const words& arguments) {
    const auto ended = run(arguments);
    EXPECT_EQ(ended.shell_status(), 0) << ended.errors;
    EXPECT_EQ(ended.errors, "");
    return ended.output;
  }

  void fail_one(queue& jobs, nack_reason reason) {
    const nacked_job failed{
        .receipt = jobs.take(1, 0s).jobs.at(0).receipt, .reason = reason, .text = "so it goes"};
    EXPECT_TRUE(jobs.nack({&failed, 1}).empty());
  }

  folder home;
  std::string path = home / "jobs.db";
};

TEST_F(queue_commands, enqueue_what_a_service_takes) {
  EXPECT_EQ(said({"enqueue", path, "resize", "in.png", "200", "[1, 2]", "true", "\"7\""}), "1\n");
  EXPECT_EQ(said({"enqueue", path, "resize", "--priority", "5", "--", "-90", "--json"}), "2\n");
  EXPECT_EQ(said({"enqueue", path, "report", "--json", R"({"args": [], "kwargs": {"y": 1}})"}),
            "3\n");
  queue jobs{path, quick};
  const auto taken = jobs.take(10, 0s);
  ASSERT_EQ(taken.jobs.size(), 3U);
  EXPECT_EQ(text_of(taken.jobs[0].message), R"([-90,"--json"])");
  EXPECT_EQ(text_of(taken.jobs[1].message), R"(["in.png",200,[1,2],true,"7"])");
  EXPECT_EQ(text_of(taken.jobs[2].message), R"({"args":[],"kwargs":{"y":1}})");
}

TEST_F(queue_commands, enqueue_with_options) {
  EXPECT_EQ(said({"enqueue", path, "a", "--delay", "1h", "--unique", "key", "--max-attempts", "7",
                  "--timeout", "5s"}),
            "1\n");
  EXPECT_EQ(said({"enqueue", path, "b", "--unique", "key"}), "1\n");
  const auto job = queue{path, quick}.find("1").value();
  EXPECT_EQ(job.max_attempts, 7U);
  EXPECT_EQ(job.unique, "key");
  EXPECT_EQ(job.due_at - job.enqueued_at, 1h);
}

TEST_F(queue_commands, show_jobs_and_how_many_there_are) {
  queue jobs{path, quick};
  jobs.enqueue("waits", nlohmann::json::array(), {.delay = 1h});
  jobs.enqueue("fails", {1, "two"}, {.max_attempts = 1});
  fail_one(jobs, nack_reason::failed);
  const auto text = said({"jobs", path});
  EXPECT_EQ(text.substr(0, text.find('\n')),
            "1 queued, 0 leased, 0 done, 0 cancelled, 1 dead, 0 refused");
  for (const char* const told : {"waits", "due in 60 min", "fails", "[1,\"two\"]", "so it goes"}) {
    EXPECT_NE(text.find(told), std::string::npos) << text;
  }
  EXPECT_EQ(said({"jobs", path, "--state", "dead"}).find("waits"), std::string::npos);
  const auto seen = read_json(said({"jobs", path, "--json", "--name", "fails"}));
  EXPECT_EQ(seen["counts"]["queued"].number(), 1);
  EXPECT_EQ(seen["jobs"].elements().size(), 1U);
  EXPECT_EQ(seen["jobs"].at(0)["state"].text(), "dead");
  EXPECT_EQ(seen["jobs"].at(0)["arguments"].at(1).text(), "two");
}

TEST_F(queue_commands, cancel_what_is_there) {
  queue jobs{path, quick};
  jobs.enqueue("one");
  jobs.enqueue("two");
  const auto taken = jobs.take(1, 0s);
  EXPECT_EQ(said({"cancel", path, "1", "2"}), "");
  EXPECT_TRUE(jobs.find("1").value().cancel_requested);
  EXPECT_EQ(jobs.find("2").value().state, queued_state::cancelled);
  const auto again = run({"cancel", path, "2", "1", "99"});
  EXPECT_EQ(again.shell_status(), 1);
  EXPECT_NE(again.errors.find("job 2 is not there, or has ended"), std::string::npos);
  EXPECT_NE(again.errors.find("job 99"), std::string::npos);
  EXPECT_EQ(again.errors.find("job 1 "), std::string::npos);
}

TEST_F(queue_commands, requeue_by_id_and_by_state) {
  queue jobs{path, quick};
  for (int each = 0; each < 3; ++each) {
    jobs.enqueue("fails", nlohmann::json::array(), {.max_attempts = 1});
    fail_one(jobs, nack_reason::failed);
  }
  EXPECT_EQ(said({"requeue", path, "2"}), "");
  EXPECT_EQ(jobs.count(queued_state::dead), 2U);
  EXPECT_EQ(said({"requeue", path, "--state", "dead"}), "");
  EXPECT_EQ(jobs.count(queued_state::queued), 3U);
  EXPECT_EQ(run({"requeue", path, "2"}).shell_status(), 1);
}

TEST_F(queue_commands, say_what_is_wrong) {
  for (const auto& wrong :
       {words{"enqueue", path}, words{"enqueue", path, "a", "-x"},
        words{"enqueue", path, "a", "--delay", "soon"}, words{"enqueue", path, "a", "--json", "{"},
        words{"enqueue", path, "a", "1", "--json", "[]"}, words{"jobs", path, "--state", "lost"},
        words{"cancel", path}, words{"requeue", path},
        words{"requeue", path, "1", "--state", "dead"},
        words{"requeue", path, "--state", "done"}}) {
    const auto ended = run(wrong);
    EXPECT_EQ(ended.shell_status(), 125);
    EXPECT_NE(ended.errors.find("--help"), std::string::npos) << ended.errors;
  }
  EXPECT_EQ(run({"enqueue", path, "a", "--json", "7"}).shell_status(), 125);
  EXPECT_EQ(run({"enqueue", path, "a", "--max-attempts", "0"}).shell_status(), 125);
}

TEST_F(queue_commands, make_no_queue_where_there_is_none) {
  for (const char* const command : {"jobs", "cancel", "requeue"}) {
    const auto ended =
        command == std::string{"jobs"} ? run({command, path}) : run({command, path, "1"});
    EXPECT_EQ(ended.shell_status(), 125);
    EXPECT_NE(ended.errors.find("there is no queue"), std::string::npos) << ended.errors;
    EXPECT_FALSE(std::filesystem::exists(path));
  }
}

TEST_F(queue_commands, teach) {
  for (const char* const command : {"enqueue", "jobs", "cancel", "requeue"}) {
    const auto ended = run({command, "--help"});
    EXPECT_EQ(ended.shell_status(), 0);
    for (const char* const taught : {"Examples:", "Exit status:", "125", "QUEUE"})
      EXPECT_NE(ended.output.find(taught), std::string::npos) << command << taught;
  }
}

}  // namespace
}  // namespace hardstop::test
