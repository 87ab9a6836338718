// The worker's end of a lane.
//
// Who runs it: the loop's thread; report() also by other threads of the process, one at a time.
// Trust: the client's pages are mapped read-only and believed, but for cheap checks that turn a
// broken lane into a clean exit. The worker's own pages may be scribbled over by a job at any time:
// what the worker needs to remember it remembers in its own memory, and what it finds there is
// checked by the client.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "os/descriptor.hpp"
#include "os/error.hpp"
#include "os/mapping.hpp"
#include "wire/client_words.hpp"
#include "wire/frame.hpp"

namespace hardstop::wire {

struct lane_layout;
struct lane_slot;

// What a claim found.
enum class claim_status : std::uint8_t {
  nothing,  // no frame waits
  frame,
  corrupt,  // the frame cannot be true
};

// A frame that this worker has claimed. The spans are valid until the frame's end is reported.
struct claimed_frame {
  claim_status status = claim_status::nothing;
  wire::ticket ticket = ticket::none;
  function_id function{};
  std::uint8_t runtime_flags = 0;
  std::span<const std::byte> payload{};  // aligned to 16 bytes
  std::optional<byte_range> large_payload{};
  std::span<const byte_range> segments{};
};

// One report on its way out; the payload and ranges must fit inline.
struct outgoing_report {
  report_kind kind = report_kind::value;
  wire::ticket ticket = ticket::none;
  wire::forked forked = forked::no;
  std::uint8_t runtime_flags = 0;
  std::optional<captured_output> captured{};
  std::span<const std::byte> payload{};
  std::optional<byte_range> large_payload{};
  std::span<const byte_range> segments{};
};

// When to wake a client that sleeps. A thread that takes job after job reads most ends itself, a
// moment later; a resident that is woken for each is only in its way.
enum class ringing : std::uint8_t { now, owed };

class worker_lane {
 public:
  // Maps the memory: the client's pages for reading only. The descriptor is not needed afterwards.
  static os::result<worker_lane> open(const os::descriptor& file);

  // The same on memory mapped by somebody else, who keeps it: for tests.
  static worker_lane over(lane_layout& lane) { return worker_lane{lane}; }

  // Claims the next frame that was not taken back. Everything reported before is visible to the
  // client by the time the claim is (the order the client relies on).
  claimed_frame claim();

  // Whether claim() may find something; a load.
  bool frame_waits() const;

  // To be called when there is nothing to claim. A number: frames that were taken back have been
  // passed since the last claim, and the client must be told by a report of kind slots_freed, with
  // the number as its payload.
  std::optional<std::uint64_t> take_skipped();

  // The client wants this worker to leave when there is nothing to claim.
  bool exit_requested() const;

  // Publishes a report and wakes the client if it sleeps. False: there is no room for it now.
  // With ringing::owed a sleeping resident is not woken yet: ring_if_owed() must follow soon.
  bool report(const outgoing_report&, ringing when = ringing::now);

  // The last report was made with ringing::owed, and nobody is there to read it yet.
  bool owes_ring() const;
  void ring_if_owed();

  // Whether a report of this size would find room.
  bool has_room(std::size_t payload, std::size_t ranges);

  // Page numbers of result ranges that the client has released, in any order; nothing: none is
  // left.
  std::optional<std::uint64_t> take_release();
  bool release_waits() const;

  // Sleeps until the client rings, unless ready() says that what is waited for is there.
  template <class Ready>
  void sleep(wait_for reason, Ready ready) {
    const std::uint32_t bell = announce_sleep(reason);
    if (!ready()) wait(bell);
    end_sleep();
  }

  client_words words() const { return client_words{*lane_}; }

  // Where a client's thread spins for us, or where the one ran that rang last.
  int client_cpu() const;
  void publish_cpu(int cpu);

 private:
  explicit worker_lane(lane_layout& lane) : lane_(&lane) {}

  claimed_frame read_slot(const lane_slot& slot, ticket of) const;
  std::uint64_t pad_before(std::size_t total) const;
  bool fits(std::uint64_t bytes);
  listener who_listens() const;
  void ring_client();
  std::uint32_t announce_sleep(wait_for reason);
  void wait(std::uint32_t bell);
  void end_sleep();

  os::mapping memory_;
  lane_layout* lane_;
  std::array<std::uint64_t, lane_slots> words_{};  // what each state word was left with
  std::int64_t claimed_at_ = 0;                    // of the last frame, if it asked for a stamp
  std::uint64_t claimed_ = 0;                      // frames passed: claimed or found revoked
  std::uint64_t skipped_ = 0;     // of these, revoked ones that no claim has followed
  std::uint64_t reported_ = 0;    // bytes ever written to the ring of reports
  std::uint64_t room_until_ = 0;  // how far it may be written, by what was last seen of the client
  std::uint64_t taken_releases_ = 0;
  // By listener: the sleep of the client that was rung for already.
  std::array<std::uint64_t, listeners> rung_for_{};
  std::uint64_t sleeps_ = 0;
  bool owed_ = false;  // ring_if_owed() is to come
  int published_cpu_ = -1;
};

}  // namespace hardstop::wire
