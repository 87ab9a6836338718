#include "service/connection.hpp"

#include <SQLiteCpp/Column.h>
#include <sqlite3.h>

namespace hardstop::storage {

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

std::size_t rows::size_in_bytes(int column) const {
  return static_cast<std::size_t>(statement_->getColumn(column).getBytes());
}

bool rows::is(int column, int type) const {
  return statement_->getColumn(column).getType() == type;
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
    : database_(path, SQLite::OPEN_READWRITE | SQLite::OPEN_NOMUTEX,
                static_cast<int>(busy_timeout.count())) {
  // The file may come from somebody who means harm: what it holds besides data is not run.
  for (const int feature : {SQLITE_DBCONFIG_ENABLE_TRIGGER, SQLITE_DBCONFIG_ENABLE_VIEW,
                            SQLITE_DBCONFIG_TRUSTED_SCHEMA}) {
    database_.check(::sqlite3_db_config(database_.getHandle(), feature, 0, nullptr));
  }
}

SQLite::Statement& connection::prepared(const char* sql) {
  auto& found = prepared_[sql];
  if (!found) found = std::make_unique<SQLite::Statement>(database_, sql);
  return *found;
}

}  // namespace hardstop::storage
