#include "service/queue/looking.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include "service/queue/job_table.hpp"
#include "service/queue/message_check.hpp"

namespace hardstop::storage {
namespace {

constexpr std::array every_state{queued_state::queued, queued_state::leased,
                                 queued_state::done,   queued_state::cancelled,
                                 queued_state::dead,   queued_state::refused};

// What is delayed is queued, for those who look. A state that nobody knows is a stranger's.
queued_state state_called(std::string_view name) {
  const auto* const found =
      std::find_if(every_state.begin(), every_state.end(),
                   [&](queued_state each) { return to_string(each) == name; });
  if (found != every_state.end()) return *found;
  return name == "delayed" ? queued_state::queued : queued_state::refused;
}

unsigned to_count(std::int64_t stored) {
  return static_cast<unsigned>(
      std::clamp<std::int64_t>(stored, 0, std::numeric_limits<unsigned>::max()));
}

int to_priority(std::int64_t stored) {
  return static_cast<int>(std::clamp<std::int64_t>(stored, std::numeric_limits<int>::min(),
                                                   std::numeric_limits<int>::max()));
}

queued_job read_job(const rows& row) {
  queued_job job{.id = to_id(row.integer(0)), .state = state_called(row.text(4))};
  job.message = {.name = row.text(1),
                 .format = format_called(row.text(2)).value_or(argument_format::json),
                 .arguments = row.blob(3)};
  job.priority = to_priority(row.integer(5));
  job.unique = row.text(6);
  job.attempts = to_count(row.integer(7));
  job.max_attempts = to_count(row.integer(8));
  job.enqueued_at = from_stored(row.integer(9));
  job.due_at = from_stored(row.integer(10));
  const auto until = row.optional_integer(11);
  if (until && job.state == queued_state::leased) job.lease_until = from_stored(*until);
  job.cancel_requested = row.integer(12) != 0;
  job.reason = row.text(13);
  return job;
}

#define HARDSTOP_JOB_COLUMNS                                                                  \
  "SELECT id, name, format, arguments, state, priority, coalesce(unique_key, ''), attempts, " \
  "max_attempts, enqueued_at, due_at, lease_until, cancel_requested, reason FROM jobs WHERE "

// Each state by the index that has it, see schema.hpp; SQLite uses a partial index only where a
// statement says what the index does, word for word.
const char* listing_of(const std::optional<queued_state>& state) {
  constexpr const char* all = HARDSTOP_JOB_COLUMNS "?1 IN (name, '') ORDER BY id LIMIT ?2";
  if (!state) return all;
  switch (*state) {
    case queued_state::queued:
      return HARDSTOP_JOB_COLUMNS
          "state IN ('queued', 'delayed') AND ?1 IN (name, '') ORDER BY id LIMIT ?2";
    case queued_state::leased:
      return HARDSTOP_JOB_COLUMNS "state = 'leased' AND ?1 IN (name, '') ORDER BY id LIMIT ?2";
    default:
      return HARDSTOP_JOB_COLUMNS
          "state IN ('done', 'cancelled', 'dead', 'refused') AND state = ?3 "
          "AND ?1 IN (name, '') ORDER BY id LIMIT ?2";
  }
}

bool has_ended(queued_state state) {
  return state != queued_state::queued && state != queued_state::leased;
}

rows ask_for(connection& db, const queued_filter& filter) {
  const auto* const sql = listing_of(filter.state);
  const auto most = static_cast<std::int64_t>(
      std::min<std::size_t>(filter.at_most, std::numeric_limits<std::int64_t>::max()));
  const std::string_view name{filter.name};
  if (filter.state && has_ended(*filter.state)) {
    return db.ask(sql, name, most, to_string(*filter.state));
  }
  return db.ask(sql, name, most);
}

}  // namespace

std::optional<queued_job> find(connection& db, std::string_view id) {
  const auto row = to_row(id);
  if (!row) return std::nullopt;
  auto answer = db.ask(HARDSTOP_JOB_COLUMNS "id = ?", *row);
  if (!answer.next()) return std::nullopt;
  return read_job(answer);
}

std::vector<queued_job> list(connection& db, const queued_filter& filter) {
  std::vector<queued_job> found;
  auto row = ask_for(db, filter);
  while (row.next())
    found.push_back(read_job(row));
  return found;
}

std::size_t count(connection& db, queued_state state) {
  const auto number = [&]() -> std::optional<std::int64_t> {
    switch (state) {
      case queued_state::queued:
        return db.number(R"sql(SELECT (SELECT count(*) FROM jobs WHERE state = 'queued')
          + (SELECT count(*) FROM jobs WHERE state = 'delayed'))sql");
      case queued_state::leased:
        return db.number("SELECT count(*) FROM jobs WHERE state = 'leased'");
      default:
        return db.number(R"sql(SELECT count(*) FROM jobs
          WHERE state IN ('done', 'cancelled', 'dead', 'refused') AND state = ?)sql",
                         to_string(state));
    }
  };
  return static_cast<std::size_t>(number().value_or(0));
}

#undef HARDSTOP_JOB_COLUMNS

}  // namespace hardstop::storage
