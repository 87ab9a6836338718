#include "cli/queue_rendering.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>

#include "service/queue/message_check.hpp"

namespace hardstop::cli {
namespace {

using json = nlohmann::ordered_json;
using seconds = std::chrono::duration<double>;

constexpr std::size_t longest_arguments = 60;

// Discarded if they cannot be shown as a value: a pickle, or what makes no sense, which may be
// nested deeper than the JSON library can bear.
json value_of(const job_message& message) {
  const bool readable = message.format != argument_format::signed_pickle &&
                        !storage::why_no_job("any", message.format, message.arguments);
  if (json nothing(json::value_t::discarded); !readable) return nothing;
  const auto* const first = reinterpret_cast<const std::uint8_t*>(message.arguments.data());
  const auto* const last = first + message.arguments.size();
  return message.format == argument_format::json ? json::parse(first, last, nullptr, false)
                                                 : json::from_msgpack(first, last, true, false);
}

std::string text_of(const json& value) {
  // In ASCII, so that nothing in it is the terminal's, and cutting it cuts no character.
  return value.dump(-1, ' ', true, json::error_handler_t::replace);
}

std::string shown_arguments(const job_message& message) {
  const auto value = value_of(message);
  if (value.is_discarded()) {
    return "(" + std::to_string(message.arguments.size()) + " bytes of " +
           std::string{to_string(message.format)} + ")";
  }
  auto text = text_of(value);
  if (text.size() > longest_arguments)
    text.replace(longest_arguments - 3, std::string::npos, "...");
  return text;
}

// "in 5 s", "3 min ago".
std::string from_now(std::chrono::system_clock::time_point time,
                     std::chrono::system_clock::time_point now) {
  const double distance = seconds{time - now}.count();
  const double size = std::fabs(distance);
  std::array<char, 32> text{};
  if (size < 120) {
    std::snprintf(text.data(), text.size(), "%.0f s", size);
  } else if (size < 7200) {
    std::snprintf(text.data(), text.size(), "%.0f min", size / 60);
  } else {
    std::snprintf(text.data(), text.size(), "%.0f h", size / 3600);
  }
  return distance > 0 ? "in " + std::string{text.data()} : std::string{text.data()} + " ago";
}

std::string shown_time(const queued_job& job, std::chrono::system_clock::time_point now) {
  if (job.cancel_requested) return "to be stopped";
  if (job.lease_until) return "lease ends " + from_now(*job.lease_until, now);
  if (job.state == queued_state::queued && job.due_at > now)
    return "due " + from_now(job.due_at, now);
  return "enqueued " + from_now(job.enqueued_at, now);
}

using row = std::array<std::string, 6>;

row row_of(const queued_job& job, std::chrono::system_clock::time_point now) {
  return {job.id,
          std::string{to_string(job.state)},
          std::to_string(job.attempts) + " of " + std::to_string(job.max_attempts),
          shown_time(job, now),
          printable(job.message.name),
          shown_arguments(job.message)};
}

std::string line_of(const row& cells, const std::array<std::size_t, 6>& widths) {
  std::string line;
  for (std::size_t at = 0; at < cells.size(); ++at) {
    line += cells[at];
    if (at + 1 < cells.size()) line.append(widths[at] - cells[at].size() + 2, ' ');
  }
  return line + '\n';
}

double to_seconds(std::chrono::system_clock::time_point time) {
  return seconds{time.time_since_epoch()}.count();
}

json to_object(const queued_job& job) {
  json object{{"id", job.id},
              {"name", job.message.name},
              {"state", to_string(job.state)},
              {"format", to_string(job.message.format)}};
  auto arguments = value_of(job.message);
  object["arguments"] = arguments.is_discarded() ? json(nullptr) : std::move(arguments);
  object["priority"] = job.priority;
  object["unique"] = job.unique;
  object["attempts"] = job.attempts;
  object["max_attempts"] = job.max_attempts;
  object["enqueued_at"] = to_seconds(job.enqueued_at);
  object["due_at"] = to_seconds(job.due_at);
  object["lease_until"] = job.lease_until ? json(to_seconds(*job.lease_until)) : json(nullptr);
  object["cancel_requested"] = job.cancel_requested;
  object["reason"] = job.reason;
  return object;
}

}  // namespace

std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(),
      [](char each) { return static_cast<unsigned char>(each) < ' ' || each == '\x7f'; }, '?');
  return text;
}

std::string to_text(const queue_view& view) {
  std::string out;
  for (const auto& [state, count] : view.counts) {
    out += (out.empty() ? "" : ", ") + std::to_string(count) + ' ' + std::string{to_string(state)};
  }
  out += '\n';
  if (view.jobs.empty()) return out;
  std::vector<row> rows{{"ID", "STATE", "ATTEMPTS", "WHEN", "NAME", "ARGUMENTS"}};
  for (const auto& each : view.jobs)
    rows.push_back(row_of(each, view.now));
  std::array<std::size_t, 6> widths{};
  for (const auto& each : rows) {
    for (std::size_t at = 0; at < each.size(); ++at)
      widths[at] = std::max(widths[at], each[at].size());
  }
  out += '\n' + line_of(rows.front(), widths);
  for (std::size_t at = 0; at < view.jobs.size(); ++at) {
    out += line_of(rows[at + 1], widths);
    const auto& reason = view.jobs[at].reason;
    if (!reason.empty()) out += std::string(widths[0] + 2, ' ') + printable(reason) + '\n';
  }
  if (view.of > view.jobs.size()) {
    out += "(the " + std::to_string(view.jobs.size()) + " oldest of " + std::to_string(view.of) +
           "; see --limit)\n";
  }
  return out;
}

std::string to_json(const queue_view& view) {
  json counts = json::object();
  for (const auto& [state, count] : view.counts)
    counts[std::string{to_string(state)}] = count;
  json jobs = json::array();
  for (const auto& each : view.jobs)
    jobs.push_back(to_object(each));
  return text_of(json{{"counts", std::move(counts)}, {"jobs", std::move(jobs)}});
}

}  // namespace hardstop::cli
