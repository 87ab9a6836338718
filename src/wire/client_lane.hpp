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

  client_lane(client_lane&&) noexcept;
  client_lane& operator=(client_lane&&) noexcept;
  ~client_lane();

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

  // Answers a report of kind request: `id` as found there, with two numbers whose meaning is the
  // requester's. False: too many answers that nobody took (a worker that asks but never listens).
  bool answer(std::uint64_t id, std::uint64_t first, std::uint64_t second);

  // Whether the worker sleeps and waits for something that happened since the last call: then
  // signals().ring() is due. Call it after any number of put(), release(), request_exit().
  [[nodiscard]] bool ring_needed();

  // The next report. After `report` call release() once its bytes were copied. Expects that the one
  // before was released.
  lane_report read();
  void release();

 private:
  struct posted;  // what the client remembers of a slot; nothing of it can be scribbled over

  client_lane();

  os::descriptor descriptor_;
  lane_signals signals_;
  report_reader reader_;
  std::unique_ptr<std::array<posted, lane_slots>> slots_;
  std::uint64_t put_count_ = 0;    // frames ever put; its slot is this modulo lane_slots
  std::uint64_t freed_count_ = 0;  // frames whose slot and payload can be used again
  std::uint64_t payload_end_ = 0;  // bytes ever used of the payload ring
  std::uint64_t payload_freed_ = 0;
  std::size_t outstanding_ = 0;
  std::uint32_t owed_ = 0;     // what happened since ring_needed() was asked
  bool worker_spoke_ = false;  // ready or start_failed came
};

}  // namespace hardstop::wire
