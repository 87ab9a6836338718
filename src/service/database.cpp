#include "service/database.hpp"

#include <SQLiteCpp/Exception.h>
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "os/clock.hpp"
#include "service/database_file.hpp"
#include "service/forked_sqlite.hpp"

namespace hardstop::storage {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view to_open = "open";
constexpr milliseconds between_tries{2};

milliseconds busy_timeout_of(const file_options& options) {
  return std::chrono::ceil<milliseconds>(options.busy_timeout);
}

std::int64_t header_field(connection& db, const char* pragma) {
  return db.number(pragma).value_or(0);
}

bool is_empty(connection& db) {
  return db.number("SELECT count(*) FROM sqlite_schema").value_or(0) == 0 &&
         header_field(db, "PRAGMA application_id") == 0;
}

void refuse_others(connection& db, const std::string& path, const file_kind& kind) {
  if (header_field(db, "PRAGMA application_id") != kind.application_id) {
    throw failure(to_open, path,
                  "it is a SQLite file, but no " + std::string{kind.what} +
                      " of hardstop. Choose another path");
  }
  const auto version = header_field(db, "PRAGMA user_version");
  if (version == kind.version) return;
  throw failure(to_open, path,
                "it was made by another version of hardstop (its format is " +
                    std::to_string(version) + ", this version's is " +
                    std::to_string(kind.version) +
                    "). Use that version, or a later one, for all who use the file");
}

// Two that find the file empty at once: the second waits in BEGIN IMMEDIATE until the first has
// committed, and then sees that there is nothing left to do. One that is killed in between has
// changed nothing: the transaction holds the header, too.
void make_if_empty(connection& db, const file_kind& kind) {
  if (!is_empty(db)) return;
  db.run("BEGIN IMMEDIATE");
  if (is_empty(db)) {
    db.execute(kind.schema);
    db.execute("PRAGMA application_id = " + std::to_string(kind.application_id));
    db.execute("PRAGMA user_version = " + std::to_string(kind.version));
  }
  db.run("COMMIT");
}

// Changing to the log needs the file for a moment alone, and SQLite does not wait for that: two
// that open a fresh file at once refuse each other. A file that has been changed stays so.
void write_ahead(connection& db, const std::string& path, milliseconds patience) {
  const auto deadline = os::now() + patience;
  for (;;) {
    try {
      auto answer = db.ask("PRAGMA journal_mode = WAL");
      if (answer.next() && answer.text(0) == "wal") return;
      throw failure(to_open, path,
                    "its file system cannot share memory between processes, as those over a "
                    "network cannot. Choose a path on a disk of this machine");
    } catch (const SQLite::Exception& error) {
      if (error.getErrorCode() != SQLITE_BUSY || os::now() >= deadline) throw;
    }
    std::this_thread::sleep_for(between_tries);
  }
}

}  // namespace

struct database::opened {
  std::mutex mutex;
  std::unique_ptr<connection> db;
};

database::database(const std::string& path, const file_kind& kind, const file_options& options)
    : path_(absolute(path)),
      kind_(kind),
      options_(options),
      opened_([] { return std::make_unique<opened>(); }) {
  if (options.opening == opening::at_once) (void)acquire(to_open);
}

database::~database() = default;

std::unique_ptr<connection> database::open() const {
  const auto patience = busy_timeout_of(options_);
  make_file(path_);
  prepare_sqlite(path_);
  auto db = std::make_unique<connection>(path_, patience);
  try {
    make_if_empty(*db, kind_);
    refuse_others(*db, path_, kind_);
    write_ahead(*db, path_, patience);
    db->execute(options_.durability == durability::power ? "PRAGMA synchronous = FULL"
                                                         : "PRAGMA synchronous = NORMAL");
    db->execute("PRAGMA wal_autocheckpoint = " + std::to_string(options_.checkpoint_pages));
  } catch (...) {
    db->roll_back();
    throw;
  }
  return db;
}

database::in_use database::acquire(std::string_view operation) {
  opened& here = opened_.get();
  std::unique_lock lock{here.mutex};
  try {
    if (!here.db) here.db = open();
  } catch (const SQLite::Exception& error) {
    throw failure(operation, path_, explain(error, path_, busy_timeout_of(options_)));
  }
  return {.lock = std::move(lock), .db = here.db.get()};
}

void database::give_up(const SQLite::Exception& error, std::string_view operation) {
  opened& here = opened_.get();
  here.db->roll_back();
  // After anything but a lock the connection may know less than the file: opened anew, it sees what
  // has become of that. Nobody else has it: the caller holds its lock.
  const bool waited = error.getErrorCode() == SQLITE_BUSY;
  auto told = failure(operation, path_, explain(error, path_, busy_timeout_of(options_)));
  if (!waited) here.db.reset();
  throw std::move(told);
}

}  // namespace hardstop::storage
