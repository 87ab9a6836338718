#include "service/queue/job_table.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include "service/queue/message_check.hpp"

namespace hardstop::storage {
namespace {

using std::chrono::nanoseconds;

constexpr std::int64_t most_leases = std::numeric_limits<std::uint32_t>::max();
constexpr std::int64_t most_to_forget = 500;

std::optional<std::int64_t> to_stored(const std::optional<nanoseconds>& span) {
  return span ? std::optional<std::int64_t>{span->count()} : std::nullopt;
}

std::optional<nanoseconds> from_stored(const std::optional<std::int64_t>& span) {
  return span ? std::optional{nanoseconds{*span}} : std::nullopt;
}

// The same, but never beyond what a file can hold.
std::int64_t later(wall_time time, nanoseconds by) {
  const auto start = storage::to_stored(time);
  const auto most = std::numeric_limits<std::int64_t>::max() - std::max<std::int64_t>(start, 0);
  return start + std::min<std::int64_t>(by.count(), most);
}

// Twice as long after each attempt.
nanoseconds pause_after(std::int64_t attempts, nanoseconds first, nanoseconds most) {
  auto pause = first;
  for (std::int64_t at = 1; at < attempts && pause < most; ++at) {
    pause = pause > most / 2 ? most : pause * 2;
  }
  return std::min(pause, most);
}

bool changed_one(std::size_t changed) {
  return changed != 0;
}

void sweep_leases(connection& db, std::int64_t now) {
  db.run(R"sql(UPDATE jobs SET state = 'cancelled', ended_at = ?1, lease_until = NULL,
      cancel_requested = 0, reason = 'cancelled; the service that had it said nothing more'
    WHERE state = 'leased' AND lease_until <= ?1 AND cancel_requested = 1)sql",
         now);
  db.run(R"sql(UPDATE jobs SET state = 'dead', ended_at = ?1, lease_until = NULL,
      reason = 'the service that had it said nothing until its lease ran out'
    WHERE state = 'leased' AND lease_until <= ?1 AND attempts >= max_attempts)sql",
         now);
  // lease_until stays: see schema.hpp.
  db.run(R"sql(UPDATE jobs SET state = 'queued',
      reason = 'the service that had it said nothing until its lease ran out'
    WHERE state = 'leased' AND lease_until <= ?1)sql",
         now);
}

void make_ready(connection& db, std::int64_t now) {
  db.run("UPDATE jobs SET state = 'queued' WHERE state = 'delayed' AND due_at <= ?", now);
}

// A row of `candidates`, below. Of what is too long only so much is read that it is seen to be.
enum column : std::uint8_t {
  column_id,
  column_name,
  column_format,
  column_arguments,
  column_size,
  column_attempts,
  column_max_attempts,
  column_lease,
  column_timeout,
  column_grace,
};

constexpr const char* candidates = R"sql(
  SELECT id, substr(name, 1, ?2), format,
    CASE WHEN length(arguments) <= ?3 THEN arguments ELSE x'' END, length(arguments),
    attempts, max_attempts, lease, timeout, grace
  FROM jobs WHERE state = 'queued' ORDER BY priority DESC, id LIMIT ?1)sql";

struct candidate {
  std::int64_t row = 0;
  taken_job job{};
  std::optional<std::string> why_not{};
};

std::optional<std::string> why_not_numbers(const rows& row) {
  const auto negative = [&](int column) { return row.optional_integer(column).value_or(0) < 0; };
  if (negative(column_attempts) || row.integer(column_max_attempts) < 1) {
    return "its attempts are no numbers of attempts";
  }
  if (negative(column_timeout) || negative(column_grace)) return "its time limits are negative";
  const auto lease = row.integer(column_lease);
  if (lease < 0 || lease >= most_leases) return "it has been leased more often than can be counted";
  return std::nullopt;
}

candidate read_candidate(const rows& row) {
  candidate found{.row = row.integer(column_id)};
  auto& message = found.job.message;
  message.name = row.text(column_name);
  message.arguments = row.blob(column_arguments);
  found.why_not = why_not_numbers(row);
  const auto format = format_called(row.text(column_format));
  if (!format) {
    found.why_not = "its arguments are in an unknown format";
    return found;
  }
  message.format = *format;
  if (row.integer(column_size) > static_cast<std::int64_t>(largest_arguments)) {
    found.why_not = "its arguments have " + std::to_string(row.integer(column_size)) + " bytes";
  } else if (!found.why_not) {
    found.why_not = why_no_job(message.name, message.format, message.arguments);
  }
  found.job.receipt = {.job = to_id(found.row),
                       .attempt = static_cast<unsigned>(row.integer(column_lease) + 1)};
  found.job.timeout = from_stored(row.optional_integer(column_timeout));
  found.job.grace = from_stored(row.optional_integer(column_grace));
  return found;
}

std::vector<candidate> read_candidates(connection& db, std::size_t at_most) {
  std::vector<candidate> found;
  auto row = db.ask(candidates, static_cast<std::int64_t>(at_most),
                    static_cast<std::int64_t>(longest_name + 1),
                    static_cast<std::int64_t>(largest_arguments));
  while (row.next())
    found.push_back(read_candidate(row));
  return found;
}

void refuse(connection& db, std::int64_t row, const std::string& why, std::int64_t now) {
  db.run(R"sql(UPDATE jobs SET state = 'refused', ended_at = ?, lease_until = NULL, reason = ?
    WHERE id = ?)sql",
         now, why, row);
}

// What a settlement needs to know of the job; see schema.hpp for which leases can be settled.
constexpr const char* settled = R"sql(
  SELECT attempts, max_attempts, back_off, max_back_off, cancel_requested
  FROM jobs WHERE id = ? AND lease = ? AND lease_until IS NOT NULL
    AND state IN ('queued', 'leased'))sql";

struct leased_job {
  std::int64_t attempts = 0;
  std::int64_t max_attempts = 0;
  nanoseconds back_off{};
  nanoseconds max_back_off{};
  bool to_be_stopped = false;
};

std::optional<leased_job> leased(connection& db, std::int64_t row, const receipt& which) {
  auto answer = db.ask(settled, row, static_cast<std::int64_t>(which.attempt));
  if (!answer.next()) return std::nullopt;
  return leased_job{.attempts = answer.integer(0),
                    .max_attempts = answer.integer(1),
                    .back_off = nanoseconds{answer.integer(2)},
                    .max_back_off = nanoseconds{answer.integer(3)},
                    .to_be_stopped = answer.integer(4) != 0};
}

// How a job goes on that came back.
struct sequel {
  const char* state = "queued";
  std::int64_t attempts = 0;
  std::optional<std::int64_t> due{};  // unset: as it was
};

sequel after(const leased_job& job, nack_reason reason, wall_time now) {
  const bool ends_here = reason == nack_reason::cancelled || job.to_be_stopped;
  if (reason == nack_reason::refused) return {.state = "refused", .attempts = job.attempts};
  if (ends_here) return {.state = "cancelled", .attempts = job.attempts};
  if (reason == nack_reason::returned) {
    return {.state = "queued", .attempts = std::max<std::int64_t>(job.attempts - 1, 0)};
  }
  if (job.attempts >= job.max_attempts) return {.state = "dead", .attempts = job.attempts};
  const auto pause = pause_after(job.attempts, job.back_off, job.max_back_off);
  return {.state = pause.count() > 0 ? "delayed" : "queued",
          .attempts = job.attempts,
          .due = later(now, pause)};
}

bool is_active(std::string_view state) {
  return state == "queued" || state == "delayed";
}

}  // namespace

std::optional<std::int64_t> to_row(std::string_view id) {
  std::int64_t row = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), row);
  // "007" and "-0" are nobody's.
  if (error != std::errc{} || row < 1 || to_id(row) != id) return std::nullopt;
  return row;
}

std::string to_id(std::int64_t row) {
  return std::to_string(row);
}

std::int64_t to_stored(wall_time time) {
  return std::chrono::duration_cast<nanoseconds>(time.time_since_epoch()).count();
}

wall_time from_stored(std::int64_t time) {
  return wall_time{std::chrono::duration_cast<wall_time::duration>(nanoseconds{time})};
}

std::string insert(connection& db, const job_message& message, const enqueue_options& options,
                   wall_time now) {
  const auto key =
      options.unique.empty() ? std::nullopt : std::optional{std::string_view{options.unique}};
  const bool ready = options.delay <= nanoseconds::zero();
  const auto inserted = db.run(
      R"sql(INSERT INTO jobs (name, format, arguments, state, priority, unique_key, max_attempts,
          back_off, max_back_off, timeout, grace, enqueued_at, due_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL
          AND state IN ('delayed', 'queued', 'leased') DO NOTHING)sql",
      std::string_view{message.name}, to_string(message.format),
      std::span<const std::byte>{message.arguments}, std::string_view{ready ? "queued" : "delayed"},
      std::int64_t{options.priority}, key, std::int64_t{options.max_attempts},
      options.back_off.count(), options.max_back_off.count(), to_stored(options.timeout),
      to_stored(options.grace), storage::to_stored(now), later(now, options.delay));
  if (changed_one(inserted)) return to_id(db.last_inserted());
  const auto present = db.number(
      R"sql(SELECT id FROM jobs WHERE unique_key = ?
        AND unique_key IS NOT NULL AND state IN ('delayed', 'queued', 'leased'))sql",
      std::string_view{options.unique});
  return to_id(present.value_or(0));
}

cancelling cancel(connection& db, std::string_view id, wall_time now) {
  const auto row = to_row(id);
  if (!row) return cancelling::nothing;
  if (changed_one(db.run(
          R"sql(UPDATE jobs SET state = 'cancelled', ended_at = ?, lease_until = NULL,
              reason = 'cancelled before it ran'
            WHERE id = ? AND state IN ('queued', 'delayed'))sql",
          storage::to_stored(now), *row))) {
    return cancelling::cancelled;
  }
  return changed_one(
             db.run("UPDATE jobs SET cancel_requested = 1 WHERE id = ? AND state = 'leased'", *row))
             ? cancelling::asked_its_service
             : cancelling::nothing;
}

bool requeue(connection& db, std::string_view id, wall_time now) {
  const auto row = to_row(id);
  if (!row) return false;
  return changed_one(
      db.run(R"sql(UPDATE OR IGNORE jobs SET state = 'queued', attempts = 0, due_at = ?,
          ended_at = NULL, lease_until = NULL, cancel_requested = 0, reason = ''
        WHERE id = ? AND state IN ('dead', 'refused', 'cancelled'))sql",
             storage::to_stored(now), *row));
}

outlook look_ahead(connection& db, wall_time now) {
  auto answer = db.ask(R"sql(SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 'queued'),
    (SELECT min(due_at) FROM jobs WHERE state = 'delayed'),
    (SELECT min(lease_until) FROM jobs WHERE state = 'leased'))sql");
  if (!answer.next()) return {};
  outlook seen{.something = answer.integer(0) != 0};
  for (const int column : {1, 2}) {
    const auto time = answer.optional_integer(column);
    if (!time) continue;
    if (*time <= storage::to_stored(now)) seen.something = true;
    const auto at = storage::from_stored(*time);
    seen.next = seen.next ? std::min(*seen.next, at) : at;
  }
  return seen;
}

std::vector<taken_job> take_due(connection& db, std::size_t at_most, nanoseconds lease,
                                wall_time now) {
  const auto time = storage::to_stored(now);
  const auto until = later(now, lease);
  sweep_leases(db, time);
  make_ready(db, time);
  std::vector<taken_job> taken;
  while (taken.size() < at_most) {
    auto found = read_candidates(db, at_most - taken.size());
    if (found.empty()) break;
    for (auto& each : found) {
      if (each.why_not) {
        refuse(db, each.row, *each.why_not, time);
        continue;
      }
      db.run(R"sql(UPDATE jobs SET state = 'leased', lease = lease + 1, attempts = attempts + 1,
          lease_until = ? WHERE id = ?)sql",
             until, each.row);
      each.job.lease_until = storage::from_stored(until);
      taken.push_back(std::move(each.job));
    }
  }
  return taken;
}

bool extend(connection& db, const receipt& which, wall_time until) {
  const auto row = to_row(which.job);
  return row && changed_one(db.run(
                    R"sql(UPDATE jobs SET state = 'leased', lease_until = ?
                      WHERE id = ? AND lease = ? AND lease_until IS NOT NULL
                        AND state IN ('queued', 'leased'))sql",
                    storage::to_stored(until), *row, std::int64_t{which.attempt}));
}

bool acknowledge(connection& db, const receipt& which, wall_time now) {
  const auto row = to_row(which.job);
  return row && changed_one(db.run(
                    R"sql(UPDATE jobs SET state = 'done', ended_at = ?, lease_until = NULL,
                        cancel_requested = 0, reason = ''
                      WHERE id = ? AND lease = ? AND lease_until IS NOT NULL
                        AND state IN ('queued', 'leased'))sql",
                    storage::to_stored(now), *row, std::int64_t{which.attempt}));
}

put_back give_back(connection& db, const nacked_job& job, wall_time now) {
  const auto row = to_row(job.receipt.job);
  const auto found = row ? leased(db, *row, job.receipt) : std::nullopt;
  if (!found) return {};
  const auto next = after(*found, job.reason, now);
  const bool again = is_active(next.state);
  std::optional<std::int64_t> ended;
  if (!again) ended = storage::to_stored(now);
  db.run(R"sql(UPDATE jobs SET state = ?, attempts = ?, due_at = coalesce(?, due_at), ended_at = ?,
      lease_until = NULL, cancel_requested = 0, reason = ? WHERE id = ?)sql",
         std::string_view{next.state}, next.attempts, next.due, ended, std::string_view{job.text},
         *row);
  return {.accepted = true, .again = again};
}

std::vector<receipt> to_be_stopped(connection& db) {
  std::vector<receipt> found;
  auto row = db.ask("SELECT id, lease FROM jobs WHERE cancel_requested = 1 AND state = 'leased'");
  while (row.next()) {
    found.push_back(
        {.job = to_id(row.integer(0)), .attempt = static_cast<unsigned>(row.integer(1))});
  }
  return found;
}

void forget(connection& db, wall_time until) {
  // The oldest that were enqueued, of those the ones that ended long ago: one that ended late keeps
  // a few others a little longer, and no index by time is needed.
  db.run(R"sql(DELETE FROM jobs WHERE ended_at < ?1 AND id IN (SELECT id FROM jobs
      WHERE state IN ('done', 'cancelled', 'dead', 'refused') AND state = 'done'
      ORDER BY id LIMIT ?2))sql",
         storage::to_stored(until), most_to_forget);
  db.run(R"sql(DELETE FROM jobs WHERE ended_at < ?1 AND id IN (SELECT id FROM jobs
      WHERE state IN ('done', 'cancelled', 'dead', 'refused') AND state = 'cancelled'
      ORDER BY id LIMIT ?2))sql",
         storage::to_stored(until), most_to_forget);
}

}  // namespace hardstop::storage
