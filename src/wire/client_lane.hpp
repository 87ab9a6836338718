// The client's end of a lane: the private shared memory between the client and one worker.
//
// Who runs it: one thread at a time, under the engine's lock; what may be called without it is in
// lane_signals. What survives a SIGKILL of the worker: everything. Frames are claimed by one
// compare-and-swap and results appear by one store, so that after confirmed death the lane holds a
// consistent prefix of what the worker did: drain it with read() until `nothing`, then take back
// what was not claimed. There is no lock in the memory and no descriptor on the data path.
//
// Trust: what the worker can write is read once, copied and checked. What cannot be true comes out
// as `corrupt` with a reason, and from then on always: kill that worker. The work done per call is
// bounded whatever the memory holds.
//
// Order: the worker claims frames in the order of put(), skipping revoked ones, and publishes the
// complete end of one before it claims the next. The lane enforces it: an end that is not that of
// the oldest frame not taken back is corrupt.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "os/descriptor.hpp"
#include "os/error.hpp"
#include "wire/frame.hpp"
#include "wire/lane_signals.hpp"
#include "wire/report_reader.hpp"

namespace hardstop::wire {

enum class take_back_answer : std::uint8_t { taken, already_claimed };

struct claim_info {
  bool claimed = false;  // false: it still waits in the lane, or was taken back
  // CLOCK_MONOTONIC nanoseconds, written by the worker: clamp it to what is possible. Nothing if
  // the frame did not ask for a stamp.
  std::optional<std::int64_t> stamp;
};

class client_lane {
 public:
  // Makes the memory: sealed against resizing, allocated up front (no SIGBUS later), not inherited
  // by forks, not in core dumps.
  static os::result<client_lane> create();

  // The lane's descriptor for the worker, to be sent to the guardian; the lane keeps none after
  // drop_descriptor().
  const os::descriptor& memory() const { return descriptor_; }

  void drop_descriptor() { descriptor_.reset(); }

  const lane_signals& signals() const { return signals_; }

  // Hands a frame to the worker, which may begin with it at once. Nothing: no slot or no room for
  // the payload; try again after an end was released. Expects fits_inline() of what it is given.
  // Follow up with ring_needed().
  std::optional<slot_index> put(const job_frame&);

  // Frames put and neither ended nor taken back.
  std::size_t outstanding() const { return outstanding_; }

  // `taken`: the worker never began with it and never will.
  take_back_answer take_back(slot_index, wire::ticket);

  claim_info claimed(slot_index, wire::ticket) const;

  // Tells the job with this ticket that it should stop; the last one asked counts. Wakes its
  // listener by itself, if it has one (a system call; rare).
  void ask(wire::ticket);

  // The worker leaves when it has nothing left to claim. Follow up with ring_needed().
  void request_exit();

  // Answers a report of kind query: `id` as found there, with two numbers whose meaning is the
  // requester's. False: too many answers that nobody took (a worker that asks but never listens).
  bool answer(std::uint64_t id, std::uint64_t first, std::uint64_t second);

  // Whether the worker sleeps and waits for something that happened since the last call: then
  // signals().ring() is due. Call it after any number of put() and request_exit().
  [[nodiscard]] bool ring_needed();

  // The next report. After `report` call release() once its bytes were copied. Expects that the one
  // before was released.
  lane_report read();
  void release();

  // The shared memory itself, for tests.
  lane_layout& layout() const { return lane(); }

 private:
  // What the client remembers of a slot: a worker gone wild cannot change it.
  struct posted {
    wire::ticket ticket = ticket::none;
    bool revoked = false;
    std::uint64_t payload_end = 0;  // of the payload ring, when this frame is freed
    std::uint64_t word = 0;         // what its state word holds until the worker claims it
  };

  client_lane(os::descriptor descriptor, std::shared_ptr<const os::mapping> memory);

  lane_layout& lane() const { return signals_.lane(); }

  posted& at(std::uint64_t position) { return (*slots_)[position % lane_slots]; }

  bool is_waiting(slot_index, wire::ticket) const;
  std::optional<std::uint64_t> reserve_payload(std::size_t length);
  void skip_revoked();
  void free_slots_until(std::uint64_t position);
  void tell_of_room();
  lane_report check_worker_report(lane_report);
  lane_report check_job_report(lane_report);

  os::descriptor descriptor_;
  lane_signals signals_;
  report_reader reader_;
  std::unique_ptr<std::array<posted, lane_slots>> slots_;
  // Positions, counted in frames: freed_ <= oldest_ <= put_.
  std::uint64_t put_ = 0;     // of the next frame
  std::uint64_t oldest_ = 0;  // of the oldest frame neither ended nor taken back
  std::uint64_t freed_ = 0;   // of the oldest frame whose slot the worker may still look at
  std::size_t outstanding_ = 0;
  // Bytes of the payload ring, counted for ever.
  std::uint64_t payload_end_ = 0;
  std::uint64_t payload_freed_ = 0;
  std::uint64_t rung_for_ = 0;  // the sleep of the worker that was rung for already
  std::uint32_t owed_ = 0;      // what happened (wait_for) since ring_needed() was asked
  std::optional<report_kind> last_read_;
  bool worker_spoke_ = false;  // ready or start_failed came
};

}  // namespace hardstop::wire
