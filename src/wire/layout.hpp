// The bytes of a lane. One memory file, two halves: pages that only the client writes (the worker
// maps them read-only) and pages that both can write.
//
//   client's half  slots     a ring of descriptors of frames, 128 bytes each
//                  words     heads, bells and requests of the client
//                  releases  a ring of page numbers of released result ranges
//                  payloads  a ring of bytes: ranges and payload of a frame too large for its slot
//   worker's half  states    one word per slot: ticket << 2 | state
//                  stamps    one per slot: when it was claimed
//                  words     tail, bells and flags of the worker
//                  reports   a ring of bytes: report_header [captured_output] [ranges] payload
//
// A frame at position p (counted from 0 for ever) lives in slot p % lane_slots. The client fills
// the slot, then sets its sequence to p + 1, which is what the worker polls: one cache line tells
// that there is a frame, and what it is. The client uses a slot again only when the worker has
// passed it.
//
// A frame's state word is changed once, by one compare-and-swap from what the frame before it in
// that slot has left there: to its ticket and `running` by the worker, or to its ticket and
// `revoked` by the client. So a late swap cannot hit a later frame. Both remember what was left,
// and a frame that is put needs no write there: the cache line stays with the worker. A word that a
// job scribbled over counts as claimed for the client, and the worker claims it all the same.
//
// A report never wraps: where the rest of the ring is too short for it, a header of kind `pad`
// fills the rest. All positions are counted in bytes from 0 for ever, in multiples of 16. A report
// is there when its header holds its mark, which is written last and tells its position: the client
// polls the line that it reads next anyway. Marks are salted by the client, so that no payload of
// an earlier lap is taken for one by chance. The tail is stored after the mark and tells nothing
// new: if it is ahead of a report that is not there, the ring was scribbled over.
//
// Without these two tricks a round trip takes twice as many transfers of cache lines, and time.
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

enum class frame_state : std::uint64_t { running = 1, revoked = 2 };

constexpr std::uint64_t state_word(ticket of, frame_state state) {
  return static_cast<std::uint64_t>(of) << 2 | static_cast<std::uint64_t>(state);
}

struct client_half {
  std::array<lane_slot, lane_slots> slots;

  alignas(cache_line) std::atomic<std::uint64_t> report_head;  // bytes of reports released
  std::uint64_t report_salt;                                   // constant
  alignas(cache_line) std::atomic<std::uint32_t> worker_bell;  // the worker's loop sleeps on it
  std::atomic<std::uint32_t> exit_requested;
  // By listener: sleepers now in the low 16 bits, sleeps ever begun above them. A worker rings once
  // per sleep and need not clear anything.
  alignas(cache_line) std::array<std::atomic<std::uint64_t>, listeners> client_sleep;
  std::atomic<std::uint32_t> attended;   // not 0: the attendant is told, and nobody else
  std::atomic<std::int32_t> client_cpu;  // -1: nobody spins
  std::atomic<std::int32_t> ringer_cpu;  // of the thread that last rang worker_bell
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
  std::uint64_t mark;  // written last, see report_mark()
  std::uint16_t payload_length;
  std::uint16_t range_count;
  std::uint8_t kind;
  std::uint8_t flags;
  std::uint8_t runtime_flags;
  std::uint8_t unused;
  // A pad ends here.
  std::uint64_t ticket;
  // When the frame was claimed, of an end whose frame asked for it; else 0. Also in the stamps, but
  // here it costs the reader no cache line.
  std::int64_t claimed_at;
};

static_assert(sizeof(report_header) == 32 && offsetof(report_header, ticket) == lane_unit);
static_assert(inline_limit <= 0xffff && max_ranges <= 0xffff);

// What the header of the report at a position holds once the report is complete. A salt is odd, so
// that a mark is never zero, as memory is that was never written.
constexpr std::uint64_t report_mark(std::uint64_t position, std::uint64_t salt) {
  return position ^ salt;
}

// Of two positions in one ring; the second may be any number.
constexpr bool is_behind(std::uint64_t position, std::uint64_t other) {
  return static_cast<std::int64_t>(other - position) > 0;
}

// The words of a ring as both ends see them: loaded and stored whole, once.
inline std::uint64_t load_word(const std::byte* from, int order) {
  return __atomic_load_n(reinterpret_cast<const std::uint64_t*>(from), order);
}

inline void store_word(std::byte* to, std::uint64_t word, int order) {
  __atomic_store_n(reinterpret_cast<std::uint64_t*>(to), word, order);
}

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
