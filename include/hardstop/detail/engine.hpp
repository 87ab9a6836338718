// The engine as the public templates see it: jobs and pools without types. Not an interface for
// users.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <hardstop/containment.hpp>
#include <hardstop/detail/call.hpp>
#include <hardstop/detail/encoding.hpp>
#include <hardstop/job.hpp>
#include <hardstop/options.hpp>
#include <hardstop/outcome.hpp>
#include <hardstop/stats.hpp>

namespace hardstop::engine {

class worker_language;  // what workers speak, and how they are made

}  // namespace hardstop::engine

namespace hardstop::detail {

class job;   // the engine's record of one job
class pool;  // the engine's record of one pool

/// Run once when a job is done. Owned by whoever registers it, who keeps it alive until it has run.
class continuation {
 public:
  /// Called without any lock of the engine held, in the delivery thread, or in the thread that
  /// registers it if the job is done already. It may destroy *this.
  virtual void run() noexcept = 0;

  /// Called before, in whichever thread settles the job, without any lock of the engine held. True:
  /// whoever waits for the job does what is to be done, and run() is not called; *this may be gone.
  /// Must not block.
  virtual bool left_to_waiter() noexcept { return false; }

  continuation* next = nullptr;  // the engine's list of what waits for one job

 protected:
  continuation() = default;
  continuation(const continuation&) = default;
  continuation& operator=(const continuation&) = default;
  ~continuation() = default;
};

/// Told that a job which runs has sent news. Run any number of times before the job is done, and
/// not after its continuations; news that come faster than they are taken are told once.
class news_listener : public continuation {
 public:
  /// By the engine: true if it is not on its way already.
  bool set_out() noexcept { return !on_its_way_.exchange(true, std::memory_order_acq_rel); }

  /// By the listener, before it looks at the news.
  void arrived() noexcept { on_its_way_.store(false, std::memory_order_release); }

 protected:
  ~news_listener() = default;

 private:
  std::atomic<bool> on_its_way_ = false;
};

/// A counted reference to one job, as large as a pointer. One handle is used by one thread at a
/// time; different handles to the same job may be used concurrently. In a forked child every call
/// but the destructor and assignment throws forked_child.
class job_handle {
 public:
  job_handle() noexcept = default;

  /// Takes over one reference. For the engine.
  explicit job_handle(job* adopted) noexcept : job_(adopted) {}

  job_handle(const job_handle& other) noexcept : job_(other.job_) {
    if (job_ != nullptr) retain(job_);
  }

  job_handle(job_handle&& other) noexcept : job_(std::exchange(other.job_, nullptr)) {}

  job_handle& operator=(job_handle other) noexcept {
    std::swap(job_, other.job_);
    return *this;
  }

  ~job_handle() {
    if (job_ != nullptr) release(job_);
  }

  explicit operator bool() const noexcept { return job_ != nullptr; }

  [[nodiscard]] job* get() const noexcept { return job_; }

  // The rest needs a job.

  [[nodiscard]] job_state state() const;

  /// The worker that runs it, or ran its last attempt; 0 while none has started.
  [[nodiscard]] int pid() const;

  /// Waits until the job is done; false if the time came first. May carry results over from lanes
  /// meanwhile, but runs no continuation of anybody. Never kills. Throws would_deadlock where
  /// called by the delivery thread for a job that is not done.
  bool wait_until(std::optional<std::chrono::steady_clock::time_point> until) const;

  /// Never blocks. Without a grace: the job's own. A later call may make it harder or sooner, never
  /// softer or later.
  cancel_result cancel(cancel_mode mode, std::optional<std::chrono::nanoseconds> grace) const;

  // The rest needs a job that is done.

  /// How it ended; cheaper than the whole outcome.
  [[nodiscard]] outcome_kind kind() const noexcept;

  [[nodiscard]] hardstop::outcome outcome() const;

  /// The result of a job of kind value, as the worker wrote it: untrusted. payload() is aligned to
  /// 16 bytes; a segment to 64, and a worker still alive may change it while it is read. Readable
  /// until release_payload() or the end of the last handle. No such segment: empty.
  [[nodiscard]] std::span<const std::byte> payload() const noexcept;
  [[nodiscard]] std::span<const std::byte> segment(std::size_t index) const noexcept;

  /// Gives the result's memory back early. From then on payload() and segments are empty.
  void release_payload() const noexcept;

  // At any time.

  /// Told of news from now on; of those before it is told soon. One listener for each job, which
  /// must live until the job is done.
  void listen(news_listener& to) const;

  /// The last news that the running attempt has sent, as it wrote them: untrusted.
  [[nodiscard]] std::vector<std::byte> news() const;

  /// Runs it once when the job is done; at once, in this thread, if it is done already.
  void on_done(continuation& then) const;

 private:
  static void retain(job* counted) noexcept;
  static void release(job* counted) noexcept;

  job* job_ = nullptr;
};

/// Whether the function takes a std::stop_token, so that asking the job to stop has a listener.
enum class stop_token_use : std::uint8_t { none, wanted };

/// One job on its way in. Everything it refers to needs to live only until submit() returns: the
/// engine has copied it by then, borrowed ranges of the encoder included.
struct submission {
  function_id function{};
  encoder& arguments;
  const job_options& options;
  stop_token_use stop_token = stop_token_use::none;
  std::string_view default_name{};  ///< lives as long as the program
  bool may_wait = true;             ///< for room, where the pool's options say so
};

/// The workers that take a pool's jobs: spares, and those that leave, are not among them.
struct pool_roster {
  std::vector<int> pids;   ///< of those that are ready
  std::size_t wanted = 0;  ///< how many are to be ready, as of now
  std::string broken;      ///< why the pool is; empty if it is not
};

/// One pool. Any thread may use it concurrently; destroying it is the last use.
class pool_handle {
 public:
  pool_handle() noexcept = default;

  /// Starts no process. Throws bad_options, forked_child, not_initialised.
  explicit pool_handle(const pool_options& options);

  /// A pool whose workers are not C++.
  pool_handle(const pool_options& options, std::shared_ptr<engine::worker_language> language);

  /// Throws bad_options (options are validated here), queue_full, pool_closed, pool_broken,
  /// forked_child, system_failure; then no job exists.
  job_handle submit(const submission& what) const;

  /// See shutdown_options. May be called again, also to make it harder or sooner. Throws
  /// would_deadlock if asked to wait in the delivery thread.
  void shutdown(const shutdown_options& options) const;

  /// Waits for the end of a pool that was shut down; false if the time came first.
  [[nodiscard]] bool wait_closed(std::chrono::steady_clock::time_point until) const;

  [[nodiscard]] pool_stats stats() const;

  /// `fill`: also starts as many workers as the pool may have, if it has begun.
  [[nodiscard]] pool_roster roster(bool fill) const;
  [[nodiscard]] containment_report containment() const;

  /// Ends the last use: shuts down and waits. Silent in a forked child. In the delivery thread it
  /// does not wait but leaves the rest to the background.
  void close() noexcept;

  explicit operator bool() const noexcept { return pool_ != nullptr; }

 private:
  std::shared_ptr<pool> pool_;
};

/// The process-wide pool behind hardstop::run(). Made on first use with one worker; as many calls
/// as run at once, up to usable_cpus(), get a worker each. Lives until the process ends.
[[nodiscard]] const pool_handle& shared_pool();

}  // namespace hardstop::detail
