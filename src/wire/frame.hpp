// What travels through a lane, as plain values: the vocabulary of client_lane and worker_lane.
//
// The bytes of a lane are described in layout.hpp; nothing but the two lane classes needs to know
// them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <hardstop/detail/call.hpp>

namespace hardstop::wire {

// Names one attempt of one job: unique within the life of an engine, 62 bits (two more hold the
// state of its frame).
enum class ticket : std::uint64_t { none = 0 };

inline constexpr std::uint64_t largest_ticket = (std::uint64_t{1} << 62) - 1;

// What to run. For the C++ runtime the place of a thunk; another runtime may put into the two
// numbers what it likes.
using detail::function_id;

// A piece of an arena.
struct byte_range {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;

  friend bool operator==(const byte_range&, const byte_range&) = default;
};

// Who in the client waits for a lane's news. A worker tells one of them: the attendant while there
// is one, awake or not, else the resident.
enum class listener : std::uint8_t {
  resident,   // the thread whose task it is, asleep most of the time
  attendant,  // a thread that happens to wait for a result and reads lanes meanwhile
};

inline constexpr std::size_t listeners = 2;

// Frames that wait or run in one lane.
inline constexpr std::size_t lane_slots = 256;

// Where a frame stands in its lane: an index for the engine's own table of jobs by lane, always
// below lane_slots.
using slot_index = std::uint16_t;

// A payload and its ranges (16 bytes each) up to this size travel inside the lane, in both
// directions; a larger payload goes through an arena.
inline constexpr std::size_t inline_limit = 8 * 1024;

// Ranges in one frame, that of a large payload included.
inline constexpr std::size_t max_ranges = 256;

constexpr bool fits_inline(std::size_t payload, std::size_t ranges) {
  return ranges <= max_ranges && payload <= inline_limit &&
         payload + ranges * sizeof(byte_range) <= inline_limit;
}

// Whether the worker notes the time at which it claims the frame: for jobs that have a deadline.
// 20 ns a frame, so it is asked for.
enum class claim_stamp : std::uint8_t { off, on };

// client -> worker: one attempt.
struct job_frame {
  wire::ticket ticket = ticket::none;
  function_id function{};
  claim_stamp stamp = claim_stamp::off;
  std::uint8_t runtime_flags = 0;             // the runtime's own, passed through
  std::span<const std::byte> payload{};       // copied by put(); empty if large_payload is set
  std::optional<byte_range> large_payload{};  // in the argument arena
  std::span<const byte_range> segments{};     // in the argument arena, read in place by the job
};

// worker -> client.
enum class report_kind : std::uint8_t {
  // Of the worker itself; the ticket is none.
  ready = 1,         // the environment is applied, the initializer has run; sent once, first
  start_failed = 2,  // instead of ready: the payload is a wire::failure; the worker exits
  recycle = 3,       // the worker asks to be replaced when convenient (adopted zombies pile up)
  // Slots of frames that were taken back can be used again. Nothing to do but to try what did not
  // fit: while nothing runs, no end of an attempt would tell.
  slots_freed = 4,

  // The end of an attempt. Its ticket's frame is over with it.
  value = 5,
  exception = 6,  // for the C++ runtime the payload is a wire::failure

  // From within an attempt, any number of them, before its end.
  progress = 7,  // newest counts; dropped by the worker when the client does not keep up
  query = 8,     // asks the client for something (a permit); answered by client_lane::answer()
};

inline constexpr report_kind last_report_kind = report_kind::query;

constexpr bool is_end(report_kind kind) {
  return kind == report_kind::value || kind == report_kind::exception;
}

constexpr bool is_of_worker(report_kind kind) {
  return kind <= report_kind::slots_freed;
}

// Where an attempt's captured output ended in the worker's capture files, as the worker saw it.
struct captured_output {
  static constexpr std::uint64_t lost = ~std::uint64_t{0};  // the job closed or replaced it

  std::uint64_t out_end = 0;
  std::uint64_t err_end = 0;
};

// The attempt used fork(): a child of it may still read its arguments, so that their ranges may
// not be used again before the worker is gone.
enum class forked : std::uint8_t { no, yes };

// What a worker may sleep for; several at once.
enum class wait_for : std::uint32_t {
  frames = 1,    // a frame, or the request to exit
  room = 2,      // in the ring of reports
  releases = 4,  // of ranges of the result arena
};

}  // namespace hardstop::wire
