// Collects the result of the attempt that runs and publishes it in one report.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "os/same_process.hpp"
#include "wire/results.hpp"
#include "wire/worker_lane.hpp"
#include "worker/reporter.hpp"
#include "worker/runtime.hpp"

namespace hardstop::worker {

// One for the life of the worker, used anew for each attempt. The loop's thread, but for send().
class attempt_output final : public job_output {
 public:
  attempt_output(reporter&, wire::worker_lane&, wire::worker_results&);

  attempt_output(const attempt_output&) = delete;
  attempt_output& operator=(const attempt_output&) = delete;
  ~attempt_output() = default;

  void begin(wire::ticket);

  // Publishes what stands here as the end of the attempt.
  void publish(wire::forked, const std::optional<wire::captured_output>&);

  void write(std::span<const std::byte> bytes) override;
  std::optional<std::span<std::byte>> new_segment(std::size_t length) override;
  void clear() override;

  void set_kind(wire::report_kind kind) override { kind_ = kind; }

  void set_runtime_flags(std::uint8_t flags) override { runtime_flags_ = flags; }

  bool send(wire::ticket, wire::report_kind, std::span<const std::byte> bytes) override;

 private:
  std::optional<wire::byte_range> move_to_arena();

  const std::uint64_t generation_ = os::process_generation();
  reporter& reporter_;
  wire::worker_lane& lane_;
  wire::worker_results& results_;
  wire::ticket ticket_ = wire::ticket::none;
  wire::report_kind kind_ = wire::report_kind::value;
  std::uint8_t runtime_flags_ = 0;
  std::vector<std::byte> payload_;
  std::vector<wire::byte_range> segments_;
};

// Makes the end of the attempt an exception, whatever it was before. Never fails.
void fail(job_output&, std::string_view type, std::string_view what) noexcept;

}  // namespace hardstop::worker
