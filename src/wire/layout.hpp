// The bytes of a lane. One memory file, two halves: pages that only the client writes (the worker
// maps them read-only) and pages that both can write.
//
//   client's half   slots      a ring of descriptors of frames, 128 bytes each
//                   words      heads, bells and requests of the client
//                   releases   a ring of page numbers of released result ranges
//                   payloads   a ring of bytes: ranges and payloads of frames too large for their
//                   slot
//   worker's half   states     one word per slot: ticket << 2 | state
//                   stamps     one per slot: when it was claimed
//                   words      tail, bell and flags of the worker
//                   reports    a ring of bytes: report_header [captured_output] [ranges] payload
//
// A frame at position p (counted from 0 for ever) lives in slot p % lane_slots. The client fills
// the slot, then sets its sequence to p + 1, which is what the worker polls: one cache line tells
// that there is a frame, and what it is. The client uses a slot again only when the worker has
// passed it.
//
// A frame's state word is set to `queued` by the client before the sequence, then changed by one
// compare-and-swap: to `running` by the worker or to `revoked` by the client. It holds the ticket,
// so that a late swap cannot hit a later frame of the same slot.
//
// A report never wraps: where the rest of the ring is too short for it, a header of kind `pad`
// fills the rest. All positions are counted in bytes from 0 for ever, in multiples of 16.
//
// Atomics in shared memory: all are lock-free, hence address-free, as the standard intends for
// memory shared between processes. Separate cache lines for what different sides write in the same
// moment.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "os/mapping.hpp"
#include "wire/client_words.hpp"
#include "wire/frame.hpp"

namespace hardstop::wire {

inline constexpr std::size_t cache_line = 64;
inline constexpr std::size_t lane_page = 4096;
inline constexpr std::size_t lane_unit = 16;  // what positions and sizes are multiples of
inline constexpr std::size_t slot_inline_bytes = 80;
inline constexpr std::size_t payload_ring_bytes = 64 * 1024;
inline constexpr std::size_t report_ring_bytes = 64 * 1024;
inline constexpr std::size_t release_ring_entries = 4096;
inline constexpr std::size_t answer_ring_entries = 64;

// Flags of a slot.
inline constexpr std::uint8_t slot_stamp = 1;          // write the claim stamp
inline constexpr std::uint8_t slot_large_payload = 2;  // the first range is the payload
inline constexpr std::uint8_t slot_in_ring = 4;        // ranges and payload are in the payload ring
inline constexpr std::uint8_t slot_known_flags = slot_stamp | slot_large_payload | slot_in_ring;

// Everything but the sequence is written before it and read after it.
struct alignas(2 * cache_line) lane_slot {
  std::atomic<std::uint64_t> sequence;
  // Atomic because a worker gone wild may look at a slot that is being filled again; relaxed.
  std::atomic<std::uint64_t> ticket;
  std::uint64_t module;
  std::uint64_t offset;
  std::uint32_t payload_length;
  std::uint16_t range_count;
  std::uint8_t flags;
  std::uint8_t runtime_flags;
  std::uint64_t ring_position;
  std::array<std::byte, slot_inline_bytes> bytes;  // ranges, then payload, unless slot_in_ring
};

static_assert(sizeof(lane_slot) == 128 && offsetof(lane_slot, bytes) % lane_unit == 0);

enum class frame_state : std::uint64_t { queued = 1, running = 2, revoked = 3 };

constexpr std::uint64_t state_word(ticket of, frame_state state) {
  return static_cast<std::uint64_t>(of) << 2 | static_cast<std::uint64_t>(state);
}

struct client_half {
  std::array<lane_slot, lane_slots> slots;

  alignas(cache_line) std::atomic<std::uint64_t> report_head;  // bytes of reports released
  alignas(cache_line) std::atomic<std::uint32_t> worker_bell;  // the worker's loop sleeps on it
  std::atomic<std::uint32_t> exit_requested;
  // By listener: sleepers now in the low 16 bits, sleeps ever begun above them. A worker rings once
  // per sleep and need not clear anything.
  alignas(cache_line) std::array<std::atomic<std::uint64_t>, listeners> client_sleep;
  std::atomic<std::uint32_t> attended;   // not 0: the attendant is told, and nobody else
  std::atomic<std::int32_t> client_cpu;  // -1: nobody spins
  alignas(cache_line) std::atomic<std::uint32_t> words_bell;  // the job's listeners sleep on it
  std::atomic<std::uint64_t> asked;
  std::atomic<std::uint64_t> answer_tail;
  std::array<client_answer, answer_ring_entries> answers;

  alignas(cache_line) std::atomic<std::uint64_t> release_tail;
  std::array<std::atomic<std::uint32_t>, release_ring_entries> releases;

  alignas(lane_page) std::array<std::byte, payload_ring_bytes> payloads;
};

struct worker_half {
  alignas(lane_page) std::array<std::atomic<std::uint64_t>, lane_slots> states;
  std::array<std::atomic<std::int64_t>, lane_slots> stamps;

  alignas(cache_line) std::atomic<std::uint64_t> report_tail;  // bytes of reports published
  alignas(cache_line) std::array<std::atomic<std::uint32_t>, listeners> client_bell;
  // What it waits for (wait_for) in the low 8 bits, 0 if it is awake; sleeps ever begun above.
  alignas(cache_line) std::atomic<std::uint64_t> worker_sleep;
  std::atomic<std::int32_t> worker_cpu;
  alignas(cache_line) std::atomic<std::uint64_t> answers_taken;

  alignas(lane_page) std::array<std::byte, report_ring_bytes> reports;
};

struct lane_layout {
  client_half client;
  worker_half worker;
};

static_assert(sizeof(client_half) % lane_page == 0 && sizeof(worker_half) % lane_page == 0);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

inline constexpr unsigned sleep_reason_bits = 8;
inline constexpr unsigned sleep_count_bits = 16;

inline constexpr std::uint8_t report_pad = 0xff;  // in place of a report_kind

// Flags of a report.
inline constexpr std::uint8_t report_forked = 1;
inline constexpr std::uint8_t report_large_payload = 2;  // the first range is the payload
inline constexpr std::uint8_t report_captured = 4;       // a captured_output follows the header
inline constexpr std::uint8_t report_known_flags =
    report_forked | report_large_payload | report_captured;

struct report_header {
  std::uint32_t total;  // of the whole report, in multiples of lane_unit
  std::uint8_t kind;
  std::uint8_t flags;
  std::uint8_t runtime_flags;
  std::uint8_t unused;
  std::uint64_t ticket;
  std::uint32_t payload_length;
  std::uint32_t range_count;
  std::uint64_t unused_2;
};

static_assert(sizeof(report_header) == 32);

constexpr std::size_t report_size(std::size_t payload, std::size_t ranges, bool captured) {
  return os::round_up(sizeof(report_header) + (captured ? sizeof(captured_output) : 0) +
                          ranges * sizeof(byte_range) + payload,
                      lane_unit);
}

// The longest report, and a pad before it, must fit whatever the head and tail are.
static_assert(2 * report_size(inline_limit, 0, true) < report_ring_bytes);
static_assert(report_ring_bytes % lane_unit == 0 && payload_ring_bytes % lane_unit == 0);

// The lane in mapped memory. Its atomics live in memory that starts as zeros, which is their
// initial state.
inline lane_layout& lane_in(const os::mapping& memory) {
  return *reinterpret_cast<lane_layout*>(memory.data());
}

}  // namespace hardstop::wire
