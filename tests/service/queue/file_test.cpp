// The file of a queue: whose it is, what it may be, and what is said when it is not.
#include <SQLiteCpp/Database.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "service/queue/folder.hpp"
#include "service/queue/jobs.hpp"
#include "support/contents.hpp"
#include "support/in_child.hpp"
#include <hardstop/errors.hpp>
#include <hardstop/queue.hpp>

namespace hardstop::test {
namespace {

using namespace std::chrono_literals;

unsigned rights_of(const std::string& path) {
  struct stat found {};

  return ::stat(path.c_str(), &found) == 0 ? found.st_mode & 07777U : 0U;
}

class file_of_a_queue : public testing::Test {
 protected:
  // Opens it, and wants it refused in these words.
  void expect_refused(std::initializer_list<const char*> words) const {
    expect_failure<queue_failure>([this] { queue{path, quick}; }, words);
  }

  void execute(const std::string& sql) const {
    SQLite::Database{path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE}.exec(sql);
    ::chmod(path.c_str(), 0600);
  }

  folder home;
  std::string path = home / "jobs.db";
};

TEST_F(file_of_a_queue, is_its_owners_alone_whatever_the_umask) {
  for (const mode_t mask : {0000U, 0022U, 0777U}) {
    const auto own = path + std::to_string(mask);
    EXPECT_EQ(in_child([&] {
                ::umask(mask);
                queue jobs{own, quick};
                jobs.enqueue("one");
                HARDSTOP_CHECK(rights_of(own) == 0600);
                HARDSTOP_CHECK(rights_of(own + "-wal") == 0600);
                HARDSTOP_CHECK(rights_of(own + "-shm") == 0600);
              }),
              0);
  }
}

TEST_F(file_of_a_queue, is_refused_where_others_may_write) {
  { queue{path, quick}; }
  for (const mode_t rights : {0620U, 0602U, 0666U}) {
    ::chmod(path.c_str(), rights);
    expect_refused({"jobs.db", "others", "chmod go-w"});
  }
  ::chmod(path.c_str(), 0640);
  EXPECT_EQ((queue{path, quick}.count(queued_state::queued)), 0U);
}

TEST_F(file_of_a_queue, may_be_empty) {
  std::ofstream{path}.close();
  ::chmod(path.c_str(), 0600);
  queue jobs{path, quick};
  EXPECT_EQ(jobs.enqueue("one"), "1");
}

TEST_F(file_of_a_queue, is_refused_when_it_is_something_else) {
  std::ofstream{path} << std::string(5000, '#');
  ::chmod(path.c_str(), 0600);
  const auto before = support::contents(path);
  expect_refused({"jobs.db", "not a database", "choose another path"});
  EXPECT_EQ(support::contents(path), before);
}

TEST_F(file_of_a_queue, is_refused_when_it_is_another_programs_database) {
  execute("CREATE TABLE accounts (balance)");
  expect_refused({"no queue of hardstop", "another path"});
}

TEST_F(file_of_a_queue, is_refused_when_it_is_of_a_later_version) {
  { queue{path, quick}.enqueue("one"); }
  execute("PRAGMA user_version = 2");
  expect_refused({"another version", "2"});
}

TEST_F(file_of_a_queue, is_refused_when_it_cannot_be_one) {
  expect_failure<queue_failure>([this] { queue{home.path(), quick}; }, {"regular file"});
  expect_failure<queue_failure>(
      [this] {
        queue{home / "no/such/folder.db", quick};
      },
      {"No such file", "folder"});
  expect_failure<bad_options>([] { queue{"", quick}; }, {"path"});
}

TEST_F(file_of_a_queue, may_have_a_name_that_means_something_to_sqlite) {
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(home.path());
  for (const auto* const name : {":memory:", "file:jobs?mode=memory", "a b'c\".db"}) {
    {
      queue{name, quick}.enqueue("one");
    }
    EXPECT_TRUE(std::filesystem::exists(home / name)) << name;
    EXPECT_EQ((queue{home / name, quick}.count(queued_state::queued)), 1U) << name;
  }
  std::filesystem::current_path(before);
}

TEST_F(file_of_a_queue, is_told_to_be_damaged_and_no_job_is_taken) {
  {
    queue jobs{path, quick};
    for (int each = 0; each < 1000; ++each)
      jobs.enqueue("one", {std::string(100, 'x')});
  }
  {
    // All but the first page, which says what it is.
    std::fstream file{path, std::ios::in | std::ios::out | std::ios::binary};
    file.seekp(4096);
    file << std::string(static_cast<std::size_t>(std::filesystem::file_size(path)) - 4096, '\x55');
  }
  expect_failure<queue_failure>(
      [&] {
        queue jobs{path, quick};
        (void)jobs.take(1, 0s);
      },
      {"malformed", "damaged", ".recover"});
}

TEST_F(file_of_a_queue, that_is_replaced_is_used_anew) {
  queue jobs{path, quick};
  jobs.enqueue("one");
  std::filesystem::rename(path, path + ".old");
  // The first to notice says so; what was said of the old file is not done to the new one.
  try {
    jobs.enqueue("two");
  } catch (const queue_failure& error) {
    EXPECT_NE(std::string{error.what()}.find("moved"), std::string::npos) << error.what();
  }
}

TEST_F(file_of_a_queue, that_is_locked_for_long_is_told) {
  queue jobs{path, {.durability = durability::process, .busy_timeout = 1ms}};
  SQLite::Database other{path, SQLite::OPEN_READWRITE};
  other.exec("BEGIN IMMEDIATE");
  expect_failure<queue_failure>([&] { jobs.enqueue("one"); },
                                {"enqueue", "locked", "busy_timeout", "1 ms"});
  other.exec("ROLLBACK");
  EXPECT_EQ(jobs.enqueue("one"), "1");
}

}  // namespace
}  // namespace hardstop::test
