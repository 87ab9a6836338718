// One connection to a SQLite file, with the statements that were prepared on it.
//
//   connection.run("UPDATE jobs SET state = ? WHERE id = ?", state, id);
//   for (auto rows = connection.ask("SELECT id, name FROM jobs WHERE state = ?", state);
//        rows.next();) {
//     rows.integer(0); rows.text(1);
//   }
//
// Not thread-safe. Throws SQLite::Exception, which storage::database translates.
#pragma once

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hardstop::storage {

// A prepared statement in use, and the row it stands on. Free for its next use when this ends: a
// statement that is not reset keeps its snapshot of the file, and the log behind it, alive.
class rows {
 public:
  explicit rows(SQLite::Statement& statement) : statement_(&statement) {}

  // To the next row; false: there is none.
  [[nodiscard]] bool next() { return statement_->executeStep(); }

  // What the row has in a column, counted from 0; SQLite converts what is of another type.
  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] std::string text(int column) const;
  [[nodiscard]] std::vector<std::byte> blob(int column) const;
  [[nodiscard]] std::optional<std::int64_t> optional_integer(int column) const;

  void bind(int place, std::int64_t value) { statement_->bind(place, value); }

  void bind(int place, std::string_view value);
  void bind(int place, std::span<const std::byte> value);

  void bind(int place, std::nullopt_t) { statement_->bind(place); }

  template <class Value>
  void bind(int place, const std::optional<Value>& value) {
    if (value) {
      bind(place, *value);
    } else {
      bind(place, std::nullopt);
    }
  }

 private:
  struct reset {
    void operator()(SQLite::Statement* statement) const noexcept;
  };

  std::unique_ptr<SQLite::Statement, reset> statement_;
};

class connection {
 public:
  connection(const std::string& path, std::chrono::milliseconds busy_timeout);
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  ~connection() = default;

  // What a statement answers. `sql` is a literal: prepared once for each, and known by its address.
  // Blobs must live as long as what is returned.
  template <class... Values>
  [[nodiscard]] rows ask(const char* sql, const Values&... values) {
    rows statement{prepared(sql)};
    int place = 0;
    (statement.bind(++place, values), ...);
    return statement;
  }

  // Returns how many rows were changed.
  template <class... Values>
  std::size_t run(const char* sql, const Values&... values) {
    auto statement = ask(sql, values...);
    while (statement.next()) {
    }
    return static_cast<std::size_t>(database_.getChanges());
  }

  // One value of one row; nothing if there is no row.
  template <class... Values>
  [[nodiscard]] std::optional<std::int64_t> number(const char* sql, const Values&... values) {
    auto answer = ask(sql, values...);
    return answer.next() ? answer.optional_integer(0) : std::nullopt;
  }

  // Any number of statements, without values.
  void execute(const std::string& sql) { database_.exec(sql); }

  // Undoes the open transaction, if there is one.
  void roll_back() noexcept { (void)database_.tryExec("ROLLBACK"); }

  [[nodiscard]] std::int64_t last_inserted() const noexcept {
    return database_.getLastInsertRowid();
  }

 private:
  [[nodiscard]] SQLite::Statement& prepared(const char* sql);
  static int wait_for_others(void* self, int times) noexcept;

  SQLite::Database database_;
  std::chrono::milliseconds busy_timeout_;
  std::chrono::steady_clock::time_point give_up_at_{};
  std::unordered_map<const char*, std::unique_ptr<SQLite::Statement>> prepared_;
};

}  // namespace hardstop::storage
