#include "service/connection.hpp"

#include <SQLiteCpp/Column.h>
#include <sqlite3.h>

#include <algorithm>
#include <thread>

#include "os/clock.hpp"

namespace hardstop::storage {
namespace {

using std::chrono::microseconds;

constexpr microseconds shortest_pause{50};
constexpr microseconds longest_pause{1000};

}  // namespace

void rows::reset::operator()(SQLite::Statement* statement) const noexcept {
  (void)statement->tryReset();
}

std::int64_t rows::integer(int column) const {
  return statement_->getColumn(column).getInt64();
}

std::string rows::text(int column) const {
  return statement_->getColumn(column).getString();
}

std::vector<std::byte> rows::blob(int column) const {
  const auto found = statement_->getColumn(column);
  const auto* const bytes = static_cast<const std::byte*>(found.getBlob());
  return bytes == nullptr ? std::vector<std::byte>{}
                          : std::vector<std::byte>(bytes, bytes + found.getBytes());
}

std::optional<std::int64_t> rows::optional_integer(int column) const {
  const auto found = statement_->getColumn(column);
  return found.isNull() ? std::nullopt : std::optional{found.getInt64()};
}

void rows::bind(int place, std::string_view value) {
  statement_->bind(place, std::string{value});
}

void rows::bind(int place, std::span<const std::byte> value) {
  // With a null pointer SQLite would store NULL.
  static constexpr std::byte nothing{};
  statement_->bindNoCopy(place, value.empty() ? &nothing : value.data(),
                         static_cast<int>(value.size()));
}

connection::connection(const std::string& path, std::chrono::milliseconds busy_timeout)
    : database_(path, SQLite::OPEN_READWRITE | SQLite::OPEN_NOMUTEX), busy_timeout_(busy_timeout) {
  database_.check(::sqlite3_busy_handler(database_.getHandle(), &wait_for_others, this));
  // The file may come from somebody who means harm: what it holds besides data is not run.
  for (const int feature : {SQLITE_DBCONFIG_ENABLE_TRIGGER, SQLITE_DBCONFIG_ENABLE_VIEW,
                            SQLITE_DBCONFIG_TRUSTED_SCHEMA}) {
    database_.check(::sqlite3_db_config(database_.getHandle(), feature, 0, nullptr));
  }
}

// SQLite's own handler sleeps longer and longer, up to 100 ms: who waits among many that hardly
// wait is the last again and again. A transaction of ours takes some 50 µs, or one flush of the
// disk.
int connection::wait_for_others(void* self, int times) noexcept {
  auto& here = *static_cast<connection*>(self);
  const auto now = os::now();
  if (times == 0) here.give_up_at_ = now + here.busy_timeout_;
  if (now >= here.give_up_at_) return 0;
  std::this_thread::sleep_for(std::min(longest_pause, shortest_pause * (times + 1)));
  return 1;
}

SQLite::Statement& connection::prepared(const char* sql) {
  auto& found = prepared_[sql];
  if (!found) found = std::make_unique<SQLite::Statement>(database_, sql);
  return *found;
}

}  // namespace hardstop::storage
