// A SQLite file as queues and journals need it: for its owner alone, written ahead (WAL), shared by
// any number of processes, with errors that help.
//
//   constexpr storage::file_kind kind{.what = "queue", .application_id = …, .version = 1,
//                                     .schema = "CREATE TABLE …"};
//   storage::database file{"jobs.db", kind, {.durability = durability::power}};
//   const auto id = file.write("enqueue a job in", [&](storage::connection& db) {
//     db.run("INSERT INTO jobs (name) VALUES (?)", name);
//     return db.last_inserted();
//   });
//
// What write() has returned from is durable, as `durability` says; what it has thrown from was not
// done at all. A process that is killed leaves the file as the last commit had it: who opens it
// next reads the log.
//
// Forks. A connection must neither be used nor closed in a forked child, whose copy of it believes
// in locks that its process does not hold. So a database opens the file anew there, on its first
// use, and leaks what it has inherited. See also forked_sqlite.hpp.
//
// One connection, used by one thread at a time. Who takes while others settle has a database object
// for each.
#pragma once

#include <SQLiteCpp/Exception.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "service/connection.hpp"
#include "service/process_local.hpp"
#include <hardstop/queue.hpp>

namespace hardstop::storage {

// Whose file it is, and how it begins.
struct file_kind {
  const char* what = "";            // "queue", "journal"
  std::int32_t application_id = 0;  // in the file's header, also for file(1)
  std::int32_t version = 1;         // of the schema; a file of a later one is refused
  const char* schema = "";          // statements that make an empty file one of this kind
};

// A connection costs a tenth of a millisecond and some 100 kB: those that may never be needed are
// opened when they are.
enum class opening : std::uint8_t { at_once, on_first_use };

struct file_options {
  hardstop::durability durability = hardstop::durability::power;
  std::chrono::nanoseconds busy_timeout = std::chrono::seconds(10);
  storage::opening opening = opening::at_once;
  // Whoever commits when the log has that many pages moves them to where they belong, which takes
  // some flushes of the disk. Who must not be late has a higher number than the others, who then
  // do it for him.
  int checkpoint_pages = 1000;
};

class database {
 public:
  // Makes the file, if it is not there, and opens it, now or later. Throws queue_failure.
  database(const std::string& path, const file_kind& kind, const file_options& options);
  database(const database&) = delete;
  database& operator=(const database&) = delete;
  ~database();

  // Absolute, so that it stays true when the process changes its folder.
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  // Runs `body`, which is given the connection, in one transaction that keeps other writers out
  // from its first moment: so it never has to be begun again, as one that begins by reading has.
  // Returns what the body returns, once it is committed. When the body throws nothing is changed.
  // `operation` is for people, and goes before the path: "take jobs from". Any thread; one at a
  // time. Throws queue_failure.
  template <class Body>
  auto write(std::string_view operation, Body&& body) {
    return guarded(operation, [&](connection& db) {
      db.run("BEGIN IMMEDIATE");
      if constexpr (std::is_void_v<std::invoke_result_t<Body&, connection&>>) {
        body(db);
        db.run("COMMIT");
      } else {
        auto result = body(db);
        db.run("COMMIT");
        return result;
      }
    });
  }

  // The same without a transaction of its own: for a single statement that reads.
  template <class Body>
  auto read(std::string_view operation, Body&& body) {
    return guarded(operation, std::forward<Body>(body));
  }

 private:
  struct opened;

  // The connection of this process, and the lock that is held while it is used.
  struct in_use {
    std::unique_lock<std::mutex> lock;
    connection* db;
  };

  template <class Body>
  auto guarded(std::string_view operation, Body&& body) {
    const in_use held = acquire(operation);
    try {
      return body(*held.db);
    } catch (const SQLite::Exception& error) {
      give_up(error, operation);
    } catch (...) {
      held.db->roll_back();
      throw;
    }
  }

  [[nodiscard]] in_use acquire(std::string_view operation);
  // Rolls back; throws queue_failure.
  [[noreturn]] void give_up(const SQLite::Exception& error, std::string_view operation);
  [[nodiscard]] std::unique_ptr<connection> open() const;

  std::string path_;
  file_kind kind_;
  file_options options_;
  process_local<opened> opened_;
};

}  // namespace hardstop::storage
