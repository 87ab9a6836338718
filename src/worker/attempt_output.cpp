#include "worker/attempt_output.hpp"

#include <unistd.h>

#include <array>
#include <cstring>
#include <exception>
#include <string>

#include "os/same_process.hpp"
#include "wire/failure.hpp"
#include "worker/exit_code.hpp"

namespace hardstop::worker {
namespace {

// Memory that the next attempt need not ask for again, and what is too much to keep for it.
constexpr std::size_t first_capacity = 2 * wire::inline_limit;
constexpr std::size_t largest_kept = std::size_t{1} << 20;

}  // namespace

attempt_output::attempt_output(reporter& reports, wire::worker_lane& lane,
                               wire::worker_results& results)
    : reporter_(reports), lane_(lane), results_(results) {
  payload_.reserve(first_capacity);
}

void attempt_output::begin(wire::ticket of) {
  ticket_ = of;
  kind_ = wire::report_kind::value;
  runtime_flags_ = 0;
  payload_.clear();
  segments_.clear();
  reporter_.begin(of);
}

void attempt_output::write(std::span<const std::byte> bytes) {
  payload_.insert(payload_.end(), bytes.begin(), bytes.end());
}

std::optional<std::span<std::byte>> attempt_output::new_segment(std::size_t length) {
  // A forked child of the job has no arena to write to.
  if (generation_ != os::process_generation()) _exit(static_cast<int>(exit_code::not_the_worker));
  if (segments_.size() + 1 >= wire::max_ranges) return std::nullopt;
  const auto range = results_.allocate(length, lane_);
  if (!range) return std::nullopt;
  segments_.push_back(*range);
  return results_.at(*range);
}

void attempt_output::clear() {
  payload_.clear();
  for (const wire::byte_range& range : segments_)
    results_.give_back(range);
  segments_.clear();
}

bool attempt_output::send(wire::ticket of, wire::report_kind kind,
                          std::span<const std::byte> bytes) {
  if (wire::is_end(kind) || wire::is_of_worker(kind) || !wire::fits_inline(bytes.size(), 0)) {
    return false;
  }
  return reporter_.report_now({.kind = kind, .ticket = of, .payload = bytes});
}

std::optional<wire::byte_range> attempt_output::move_to_arena() {
  const auto range = results_.allocate(payload_.size(), lane_);
  if (range) {
    std::memcpy(results_.at(*range).data(), payload_.data(), payload_.size());
    return *range;
  }
  const std::string what = "a result of " + std::to_string(payload_.size()) +
                           " bytes does not fit into shared memory (" + range.error().message() +
                           "): return less, or raise the limits of this machine or container";
  fail(*this, "std::bad_alloc", what);
  return std::nullopt;
}

void attempt_output::publish(wire::forked forked,
                             const std::optional<wire::captured_output>& captured) {
  std::optional<wire::byte_range> large;
  if (!wire::fits_inline(payload_.size(), segments_.size())) large = move_to_arena();
  reporter_.report({.kind = kind_,
                    .ticket = ticket_,
                    .forked = forked,
                    .runtime_flags = runtime_flags_,
                    .captured = captured,
                    .payload = large ? std::span<const std::byte>{} : payload_,
                    .large_payload = large,
                    .segments = segments_});
  if (payload_.capacity() > largest_kept) {
    payload_ = {};
    payload_.reserve(first_capacity);
  }
}

void fail(job_output& output, std::string_view type, std::string_view what) noexcept {
  output.clear();
  output.set_kind(wire::report_kind::exception);
  try {
    output.write(wire::encode_failure(type, what));
  } catch (const std::exception&) {
    // No memory even for that: four bytes that say "no type, no text".
    output.clear();
    constexpr std::array<std::byte, 4> empty{};
    output.write(empty);
  }
}

}  // namespace hardstop::worker
