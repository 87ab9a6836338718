// Reads the reports that a worker writes into its lane.
//
// This is the wall between the client and a worker gone wild (G12), and what the fuzzers lean on:
// it works on any memory, also memory that changes while it is read. Each word of a header is
// loaded once into a local copy, then checked against what can be; a field is never read twice.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "wire/frame.hpp"

namespace hardstop::wire {

enum class read_status : std::uint8_t { nothing, report, corrupt };

// What read() found. The spans lie in memory that the worker can still write: copy, then decode;
// they end with release().
struct lane_report {
  read_status status = read_status::nothing;
  const char* reason = nullptr;  // of `corrupt`

  report_kind kind = report_kind::ready;
  wire::ticket ticket = ticket::none;
  slot_index slot = 0;  // where that ticket was put; meaningful unless the ticket is none
  wire::forked forked = forked::no;
  std::uint8_t runtime_flags = 0;
  // CLOCK_MONOTONIC nanoseconds, of an end whose frame asked for it; as trustworthy as the worker.
  std::optional<std::int64_t> claimed_at{};
  std::optional<captured_output> captured{};
  std::span<const std::byte> payload{};       // empty if large_payload is set
  std::optional<byte_range> large_payload{};  // to be adopted by client_results, like the segments
  std::span<const byte_range> segments{};     // a checked copy, not in shared memory
};

class report_reader {
 public:
  // The ring and its tail belong to the worker; the head (bytes ever released) to the client, who
  // tells the worker by it how much room there is. The salt is that of the lane's marks.
  report_reader(std::span<const std::byte> ring, std::uint64_t salt,
                const std::atomic<std::uint64_t>& tail, std::atomic<std::uint64_t>& head);

  // The next report, checked for form but not for whom it is about; its slot is not set. Once
  // corrupt, always corrupt.
  lane_report read();

  // Done with what read() returned last. The worker learns of it in batches.
  void release();

  // Whether the worker has been told of more room since the last call.
  bool take_room_published();

  bool corrupt() const { return corruption_ != nullptr; }

  // Gives up on this ring for a reason found elsewhere.
  lane_report give_up(const char* reason);

 private:
  enum class finding : std::uint8_t { nothing, report, lost };

  bool is_marked(std::uint64_t position) const;
  finding look() const;
  lane_report read_report();
  void publish_head();

  std::span<const std::byte> ring_;
  std::uint64_t salt_;
  const std::atomic<std::uint64_t>* tail_;
  std::atomic<std::uint64_t>* head_;
  std::uint64_t position_ = 0;   // of the next report
  std::uint64_t published_ = 0;  // what the worker knows of position_
  std::uint64_t length_ = 0;     // of the report that was read and not released
  bool room_published_ = false;
  const char* corruption_ = nullptr;
  std::vector<byte_range> ranges_;
};

}  // namespace hardstop::wire
