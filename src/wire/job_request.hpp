// What a job that runs asks of its client: the payload of a report of kind query, and the two
// numbers of its answer. Permits, and sections that are not to be interrupted.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace hardstop::wire {

enum class job_request_kind : std::uint64_t {
  acquire = 1,      // answered when it is granted, or never will be
  try_acquire = 2,  // answered at once
  give_back = 3,    // what a request got, or waits for; not answered, but the request it ends is
  needs = 4,        // what the attempt was dispatched with; answered at once
  shield = 5,       // not answered
  unshield = 6,     // not answered
};

struct wanted_permits {
  std::uint64_t semaphore = 0;
  std::uint64_t count = 0;

  friend bool operator==(const wanted_permits&, const wanted_permits&) = default;
};

struct job_request {
  job_request_kind kind{};
  std::uint64_t id = 0;       // the worker's own; give_back: of the request it is about
  std::uint64_t context = 0;  // which thread or task of the job asks; 0: its first thread
  std::vector<wanted_permits> wants{};
  std::chrono::nanoseconds longest{0};  // of a shield
  std::string reason{};                 // of a shield
};

inline constexpr std::size_t most_wanted = 16;
inline constexpr std::size_t longest_reason = 200;

// A longer reason is cut.
std::vector<std::byte> encode(const job_request&);

// Copies, then checks: the bytes may be in memory that a worker still writes to. Nothing if they
// cannot be a request.
std::optional<job_request> decode_job_request(std::span<const std::byte> bytes);

enum class job_answer_kind : std::uint8_t {
  granted,
  unavailable,
  impossible,  // more than the semaphore has
  unknown,     // no such semaphore in this client
  over,        // of an attempt that is ended or being killed, or given back meanwhile
};

// How an answer fills the first number; the second is the fence.
struct job_answer {
  job_answer_kind kind{};
  bool abandoned = false;
  std::uint64_t fence = 0;

  std::uint64_t first() const {
    return static_cast<std::uint64_t>(kind) | (abandoned ? std::uint64_t{1} << 8 : 0);
  }

  static job_answer from(std::uint64_t first, std::uint64_t second) {
    return {.kind = static_cast<job_answer_kind>(first & 0xffU),
            .abandoned = (first >> 8 & 1U) != 0,
            .fence = second};
  }
};

}  // namespace hardstop::wire
