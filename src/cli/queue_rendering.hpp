// Jobs of a queue, for people and for programs. Whatever a queue's file holds, a terminal is shown
// nothing that it would take for a command.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <hardstop/queue.hpp>

namespace hardstop::cli {

struct queue_view {
  std::vector<std::pair<queued_state, std::size_t>> counts{};
  std::vector<queued_job> jobs{};
  std::size_t of = 0;  // so many there are, of which `jobs` are the oldest; 0: unknown
  std::chrono::system_clock::time_point now{};
};

// "2 queued, 1 leased, …", then a line for each job, and below it the reason, if it has one.
[[nodiscard]] std::string to_text(const queue_view& view);

// The text, with whatever a terminal would take for a command replaced.
[[nodiscard]] std::string printable(std::string text);

// One line. Arguments are there as values if they are JSON or MessagePack. Times are in seconds
// since 1970.
[[nodiscard]] std::string to_json(const queue_view& view);

}  // namespace hardstop::cli
