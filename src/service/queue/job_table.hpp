// What can happen to the jobs of a queue's file, each as statements within somebody's transaction.
//
// No clock: whoever calls says what time it is. No lock: the transaction is one.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "service/connection.hpp"
#include <hardstop/message.hpp>
#include <hardstop/queue.hpp>
#include <hardstop/source.hpp>

namespace hardstop::storage {

using wall_time = std::chrono::system_clock::time_point;

// Ids are the table's row numbers, never used again (AUTOINCREMENT). Nothing: it is none.
[[nodiscard]] std::optional<std::int64_t> to_row(std::string_view id);
[[nodiscard]] std::string to_id(std::int64_t row);

[[nodiscard]] std::int64_t to_stored(wall_time time);
[[nodiscard]] wall_time from_stored(std::int64_t time);

// --- for those who have work

// Returns its id, or that of the one with the same unique key that is queued or leased.
[[nodiscard]] std::string insert(connection& db, const job_message& message,
                                 const enqueue_options& options, wall_time now);

enum class cancelling : std::uint8_t { nothing, cancelled, asked_its_service };

[[nodiscard]] cancelling cancel(connection& db, std::string_view id, wall_time now);

// False: there is none to put back, or its unique key is another job's by now.
[[nodiscard]] bool requeue(connection& db, std::string_view id, wall_time now);

// --- for services

// Whether take_due() would find something to do, and if not, when it will at the earliest.
struct outlook {
  bool something = false;
  std::optional<wall_time> next{};
};

[[nodiscard]] outlook look_ahead(connection& db, wall_time now);

// Sweeps leases that have run out, makes ready what has become due, and leases at most so many
// jobs, of the highest priority first, then of the lowest id. Rows that make no sense become
// refused on the way.
[[nodiscard]] std::vector<taken_job> take_due(connection& db, std::size_t at_most,
                                              std::chrono::nanoseconds lease, wall_time now);

// Each false if the receipt is not of the job's last lease, or has been settled.
[[nodiscard]] bool extend(connection& db, const receipt& which, wall_time until);
[[nodiscard]] bool acknowledge(connection& db, const receipt& which, wall_time now);

struct put_back {
  bool accepted = false;
  bool again = false;  // somebody can take it: now, or when its pause is over
};

[[nodiscard]] put_back give_back(connection& db, const nacked_job& job, wall_time now);

// Leased jobs that somebody wants stopped.
[[nodiscard]] std::vector<receipt> to_be_stopped(connection& db);

// Forgets jobs that were done or cancelled before `until`, some of the oldest.
void forget(connection& db, wall_time until);

}  // namespace hardstop::storage
