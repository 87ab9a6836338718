// Semaphores as the public classes see them, in the client and in its jobs. Not an interface for
// users.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <hardstop/detail/engine.hpp>

namespace hardstop {

struct semaphore_stats;

namespace detail {

class semaphore;  // the engine's row, in the client that made it
class claim;      // the engine's record of one request of the client

/// Names a semaphore, everywhere. In the client that made it: with its row.
class semaphore_handle {
 public:
  semaphore_handle() noexcept = default;

  /// A new one. Throws bad_options.
  semaphore_handle(std::uint32_t permits, std::string_view name);

  /// One that has travelled: in a job, or back in its client. Throws decode_error if it is neither.
  semaphore_handle(std::uint64_t id, std::uint32_t permits);

  /// From now on the row is kept, for jobs that name it.
  void travel() const;

  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }

  [[nodiscard]] std::uint32_t permits() const noexcept { return permits_; }

  /// Empty in a job.
  [[nodiscard]] const std::shared_ptr<semaphore>& row() const noexcept { return row_; }

  /// Of the client only. Throws error in a job.
  [[nodiscard]] semaphore_stats stats() const;

  [[nodiscard]] std::string name() const;

 private:
  std::uint64_t id_ = 0;
  std::uint32_t permits_ = 0;
  std::shared_ptr<semaphore> row_;
};

struct wanted_permits {
  const semaphore_handle* of = nullptr;
  std::uint32_t count = 1;
};

/// Who asks, told apart for deadlocks. In C++ the calling thread.
struct claimant {
  std::uint64_t context = 0;  ///< 0: the calling thread
  std::string_view name{};    ///< shown in statistics; empty: the thread
};

/// A claim that is held, waits, or is nothing. Movable; destroying it gives it back. One thread at
/// a time, and silent in a forked child.
class permit_hold {
 public:
  permit_hold() noexcept = default;
  permit_hold(permit_hold&& other) noexcept;
  permit_hold& operator=(permit_hold&& other) noexcept;
  ~permit_hold();

  enum class patience : std::uint8_t { wait, try_now };

  /// Asks. wait() is due unless granted() says that it is there. Throws bad_options (none, or more
  /// than there are), forked_child, error (in a job: a semaphore of another client; no job runs).
  static permit_hold ask(std::span<const wanted_permits> wants, patience, const claimant& who = {});

  /// Whether anything is held or waited for.
  explicit operator bool() const noexcept { return claim_ != nullptr || request_ != 0; }

  [[nodiscard]] bool granted() const noexcept { return granted_; }

  /// Waits until it is granted; false if the time came first or a signal handler ran: it waits on,
  /// or is given back with the object. Throws error if it never will be, because the job is being
  /// stopped.
  bool wait(std::optional<std::chrono::steady_clock::time_point> until);

  /// Runs it when the claim is granted; false if it is already. In the client only.
  bool on_granted(continuation& then);

  /// No longer wanted. True: the continuation has not run and never will.
  bool withdraw() noexcept;

  [[nodiscard]] std::uint64_t fence() const noexcept { return fence_; }

  [[nodiscard]] bool abandoned() const noexcept { return abandoned_; }

  /// Gives it back. Throws error if it is not held: it was given back before.
  void give_back();

  /// What the job that runs here was dispatched with; nothing if it did not need this semaphore.
  /// Throws error outside of a job. The hold refers to nothing: it cannot be given back.
  static std::optional<permit_hold> needed(const semaphore_handle& of);

 private:
  void take_grant(std::uint64_t fence, bool abandoned) noexcept;
  void drop(bool heard) noexcept;

  std::shared_ptr<claim> claim_;  // in the client
  std::uint64_t request_ = 0;     // in a job
  std::uint64_t attempt_ = 0;     // which one
  std::uint64_t fence_ = 0;
  bool granted_ = false;
  bool abandoned_ = false;
};

}  // namespace detail
}  // namespace hardstop
