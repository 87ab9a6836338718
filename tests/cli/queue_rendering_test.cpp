// How jobs of a queue are shown, and how words become arguments.
#include "cli/queue_rendering.hpp"

#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "cli/json_reader.hpp"
#include "cli/queue_arguments.hpp"
#include "service/queue/jobs.hpp"

namespace hardstop::test {
namespace {

using namespace std::chrono_literals;

const std::chrono::system_clock::time_point now{std::chrono::hours(24 * 365 * 50)};

queued_job some_job(job_message message) {
  return {.id = "17",
          .message = std::move(message),
          .max_attempts = 3,
          .enqueued_at = now - 5s,
          .due_at = now - 5s};
}

std::string shown(const queued_job& job) {
  return cli::to_text({.jobs = {job}, .now = now});
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(a_job_in_a_table, has_a_time_that_matters) {
  auto job = some_job(message_of("resize"));
  EXPECT_TRUE(holds(shown(job), "enqueued 5 s ago"));
  job.due_at = now + 3h;
  EXPECT_TRUE(holds(shown(job), "due in 3 h"));
  job.lease_until = now + 10min;
  EXPECT_TRUE(holds(shown(job), "lease ends in 10 min"));
  job.cancel_requested = true;
  EXPECT_TRUE(holds(shown(job), "to be stopped"));
}

TEST(a_job_in_a_table, shows_its_arguments_if_they_can_be) {
  const auto line = [](job_message message) { return shown(some_job(std::move(message))); };
  EXPECT_TRUE(holds(line(message_of("a", R"([1, {"b": null}])")), R"([1,{"b":null}])"));
  EXPECT_TRUE(
      holds(line(message_of("a", "\x92\x01\xa1x", argument_format::messagepack)), R"([1,"x"])"));
  EXPECT_TRUE(
      holds(line(message_of("a", "xyz", argument_format::signed_pickle)), "(3 bytes of pickle)"));
  EXPECT_TRUE(holds(line(message_of("a", "[[")), "(2 bytes of json)"));
  EXPECT_TRUE(holds(line(message_of("a", std::string(1'000'000, '['))), "(1000000 bytes of json)"));
  EXPECT_TRUE(holds(line(message_of("a", "[\"" + std::string(500, 'x') + "\"]")), "xxx...\n"));
}

TEST(a_job_in_a_table, commands_no_terminal) {
  auto job = some_job(message_of("\x1b[2Jname", "[\"\\u001b[2J\"]"));
  job.reason = "two\nlines\x1b[0m";
  EXPECT_FALSE(holds(shown(job), "\x1b"));
  EXPECT_TRUE(holds(shown(job), "?[2Jname"));
  EXPECT_TRUE(holds(shown(job), "two?lines"));
}

TEST(a_table, says_that_there_are_more) {
  const cli::queue_view view{.counts = {{queued_state::queued, 7}},
                             .jobs = {some_job(message_of("a"))},
                             .of = 7,
                             .now = now};
  EXPECT_TRUE(holds(cli::to_text(view), "7 queued\n"));
  EXPECT_TRUE(holds(cli::to_text(view), "the 1 oldest of 7"));
}

TEST(a_queue_in_json, can_be_read_whatever_it_holds) {
  auto job = some_job(message_of("\xff", "[", argument_format::json));
  const auto read = read_json(cli::to_json({.jobs = {job}, .now = now}));
  EXPECT_EQ(read["jobs"].at(0)["id"].text(), "17");
  EXPECT_TRUE(read["jobs"].at(0)["arguments"].is_null());
}

TEST(words, become_the_values_that_they_read_as) {
  EXPECT_EQ(cli::to_arguments({"in.png", "200", "-1.5", "true", "null", "[1]", "{", "", "\"7\""}),
            nlohmann::json::parse(R"(["in.png", 200, -1.5, true, null, [1], "{", "", "7"])"));
}

}  // namespace
}  // namespace hardstop::test
