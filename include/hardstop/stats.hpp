// Numbers about a pool: a snapshot, taken whenever somebody asks.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include <hardstop/outcome.hpp>

namespace hardstop {

/// How often how long: counts in buckets that grow with the duration, four to each doubling, so
/// that a percentile is at most 19 % above the truth. Recording costs a few instructions and never
/// allocates. Not thread-safe; snapshots are copies.
class latency_histogram {
 public:
  void record(std::chrono::nanoseconds latency) noexcept {
    const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(latency.count(), 0));
    ++buckets_[bucket_of(ns)];
    ++count_;
    sum_ += ns;
    largest_ = std::max(largest_, ns);
  }

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }

  [[nodiscard]] std::chrono::nanoseconds max() const noexcept { return to_duration(largest_); }

  [[nodiscard]] std::chrono::nanoseconds mean() const noexcept {
    return to_duration(count_ == 0 ? 0 : sum_ / count_);
  }

  /// The duration that the given share of all recorded ones do not exceed: percentile(0.99). Zero
  /// if nothing was recorded.
  [[nodiscard]] std::chrono::nanoseconds percentile(double share) const noexcept {
    if (count_ == 0) return {};
    const double exact = std::clamp(share, 0.0, 1.0) * static_cast<double>(count_);
    auto wanted = static_cast<std::uint64_t>(exact);
    if (static_cast<double>(wanted) < exact || wanted == 0) ++wanted;
    std::uint64_t seen = 0;
    for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
      seen += buckets_[bucket];
      if (seen >= wanted) return to_duration(std::min(upper_bound_of(bucket), largest_));
    }
    return max();
  }

  /// Adds what another one recorded.
  latency_histogram& operator+=(const latency_histogram& other) noexcept {
    for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
      buckets_[bucket] += other.buckets_[bucket];
    }
    count_ += other.count_;
    sum_ += other.sum_;
    largest_ = std::max(largest_, other.largest_);
    return *this;
  }

 private:
  static constexpr std::size_t per_doubling = 4;
  static constexpr std::size_t bucket_count = 63 * per_doubling;

  // Below 4 ns each nanosecond has its own bucket; above, the two bits below the highest one
  // choose.
  static constexpr std::size_t bucket_of(std::uint64_t ns) noexcept {
    if (ns < per_doubling) return static_cast<std::size_t>(ns);
    const auto top = static_cast<std::size_t>(std::bit_width(ns)) - 1;
    const auto within = static_cast<std::size_t>((ns >> (top - 2)) & 3U);
    return (top - 1) * per_doubling + within;
  }

  // The largest value that falls into a bucket.
  static constexpr std::uint64_t upper_bound_of(std::size_t bucket) noexcept {
    if (bucket < per_doubling) return bucket;
    const auto top = bucket / per_doubling + 1;
    const std::uint64_t within = bucket % per_doubling;
    return ((per_doubling + within + 1) << (top - 2)) - 1;
  }

  static constexpr std::chrono::nanoseconds to_duration(std::uint64_t ns) noexcept {
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    return std::chrono::nanoseconds(static_cast<std::int64_t>(std::min(ns, most)));
  }

  std::array<std::uint64_t, bucket_count> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t largest_ = 0;
};

/// What a pool has done and is doing. Counts run from the pool's beginning.
struct pool_stats {
  // Jobs now.
  std::size_t queued = 0;    ///< accepted, no worker has them
  std::size_t in_lanes = 0;  ///< handed to a worker, not yet seen running
  std::size_t running = 0;

  // Workers now.
  std::size_t workers = 0;   ///< ready or running a job; spares not counted
  std::size_t spares = 0;    ///< ready, waiting to replace one
  std::size_t starting = 0;  ///< not yet ready
  std::size_t stopping = 0;  ///< killed or leaving, not yet confirmed gone

  // Jobs so far.
  std::uint64_t submitted = 0;

  struct ended_by_kind {
    std::uint64_t value = 0;
    std::uint64_t exception = 0;
    std::uint64_t cancelled = 0;
    std::uint64_t timed_out = 0;
    std::uint64_t worker_died = 0;
    std::uint64_t memory_limit = 0;
    std::uint64_t not_started = 0;

    [[nodiscard]] std::uint64_t total() const noexcept {
      return value + exception + cancelled + timed_out + worker_died + memory_limit + not_started;
    }
  } ended{};

  std::uint64_t retries = 0;   ///< attempts beyond a job's first
  std::uint64_t rejected = 0;  ///< submits refused because the queue was full

  // Workers so far.
  std::uint64_t started = 0;   ///< workers that became ready
  std::uint64_t respawns = 0;  ///< of them, in the place of one that was killed or died
  std::uint64_t recycled = 0;  ///< replaced in good order: max_jobs_per_worker, adopted zombies
  std::uint64_t kills = 0;     ///< trees sent SIGKILL
  std::uint64_t guardians_lost = 0;

  std::uint64_t shields = 0;             ///< sections in which jobs made cancels wait
  std::chrono::nanoseconds shielded{0};  ///< time spent in them

  /// In one now; a cancel waits for it.
  struct shielded_job {
    std::string job{};
    std::string reason{};
    std::chrono::nanoseconds since{0};
  };

  std::vector<shielded_job> shielded_now{};

  /// Processes the kernel would not kill and that still exist.
  std::vector<hardstop::unconfirmed> unconfirmed{};

  latency_histogram dispatch{};        ///< submit to the attempt's start
  latency_histogram cancel_to_gone{};  ///< decision to kill, to the tree's confirmed end
  latency_histogram deadline_late{};   ///< deadline to SIGKILL sent
};

}  // namespace hardstop
