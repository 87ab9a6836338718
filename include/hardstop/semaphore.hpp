// Semaphores whose permits survive a killed holder.
//
//   hardstop::semaphore db{3, "db"};
//   hardstop::lock file{"results.csv"};
//
//   pool.submit<&query>({.needs = {db, {gpu, 2}}}, …);   // begins when it has them all
//   pool.submit<&append>(file, row);                     // passed like any argument
//
//   void append(hardstop::lock file, std::string row) {
//     hardstop::permit mine = file.acquire();            // given back at the end of the scope
//     if (mine.abandoned()) repair();                    // its last holder was killed
//     store("… WHERE fence < " + std::to_string(mine.fence()));
//   }
//
// A permit is a row in a table in the client, not a count in memory that a killed process might
// have changed. It comes back when its guard ends, when the job ends, and when the job's worker is
// killed or dies: then not before the whole process tree of that attempt is confirmed gone. If the
// kernel will not kill part of it, the permit stays taken and stats() names the process.
//
// Order: first come, first served. A request for several semaphores is granted in the moment in
// which all of it is there, or not at all; until then it stands in nobody's way. That adds no
// deadlock, but others may pass it while its parts are never free at once.
//
// A semaphore belongs to the client that made it and works in all of its threads and in the jobs of
// all of its pools. One that was passed to a job is kept as long as the client lives: make them
// once, not per request.
#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <coroutine>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <hardstop/codec.hpp>
#include <hardstop/detail/permits.hpp>
#include <hardstop/errors.hpp>
#include <hardstop/future.hpp>
#include <hardstop/needs.hpp>

namespace hardstop {

/// Who holds permits, or waits for some.
struct permit_owner {
  std::string who{};  ///< "job 'f' (attempt 1 in process 812)", or a thread of the client
  std::uint32_t count = 0;
  std::uint64_t fence = 0;            ///< 0 while it waits
  std::chrono::nanoseconds since{0};  ///< for how long it has held, or waited
  std::string unconfirmed{};          ///< not empty: its process cannot be killed, and why
};

struct semaphore_stats {
  std::string name{};
  std::uint32_t permits = 0;
  std::uint32_t available = 0;
  std::vector<permit_owner> holders{};
  std::vector<permit_owner> waiters{};       ///< in order
  std::chrono::nanoseconds longest_wait{0};  ///< of all so far, those that wait now included
  std::uint64_t grants = 0;
  std::uint64_t returned_by_death = 0;  ///< permits that came back from a killed holder
  /// Holders that wait for one another, of this semaphore and others, one sentence each. Not empty:
  /// none of them goes on before another is stopped or gives up.
  std::vector<std::string> deadlock{};
};

/// Permits that are held, until the end of the scope or release(). Movable, one thread at a time.
/// What a job holds comes back with its end, whatever it does with this.
class [[nodiscard]] permit {
 public:
  permit() noexcept = default;

  explicit permit(detail::permit_hold held) noexcept : held_(std::move(held)) {}

  /// Larger than that of any earlier grant, of whatever semaphore of this client. A store that
  /// refuses smaller ones is safe from a holder that was killed, or thought dead, and writes late.
  [[nodiscard]] std::uint64_t fence() const noexcept { return held_.fence(); }

  /// Whether the last holder was killed or died: what the permit protects may be half-written. Told
  /// once, to the first that gets the permit afterwards.
  [[nodiscard]] bool abandoned() const noexcept { return held_.abandoned(); }

  /// Gives it back early. Throws error if it was given back already.
  void release() { held_.give_back(); }

  explicit operator bool() const noexcept { return held_.granted(); }

 private:
  detail::permit_hold held_;
};

namespace detail {

[[noreturn]] void throw_stopped_waiting();

inline permit acquire(std::span<const wanted_permits> wants) {
  permit_hold hold = permit_hold::ask(wants, permit_hold::patience::wait);
  while (!hold.wait(std::nullopt)) {
  }
  return permit(std::move(hold));
}

inline std::optional<permit> acquire_until(std::span<const wanted_permits> wants,
                                           std::chrono::steady_clock::time_point until) {
  permit_hold hold = permit_hold::ask(wants, permit_hold::patience::wait);
  while (!hold.wait(until)) {
    if (std::chrono::steady_clock::now() >= until) return std::nullopt;
  }
  return permit(std::move(hold));
}

inline std::optional<permit> try_acquire(std::span<const wanted_permits> wants) {
  permit_hold hold = permit_hold::ask(wants, permit_hold::patience::try_now);
  // In a job the answer comes from the client, at once.
  while (hold && !hold.wait(std::nullopt)) {
  }
  if (!hold) return std::nullopt;
  return permit(std::move(hold));
}

/// Lives in the coroutine's frame for as long as the co_await expression.
template <class Resume>
class permit_awaiter final : continuation {
 public:
  permit_awaiter(semaphore_handle of, std::uint32_t count, Resume resume)
      : of_(std::move(of)), count_(count), resume_(std::move(resume)) {}

  bool await_ready() {
    const wanted_permits wanted{&of_, count_};
    hold_ = permit_hold::ask({&wanted, 1}, permit_hold::patience::wait);
    return hold_.granted();
  }

  bool await_suspend(std::coroutine_handle<> waiting) {
    waiting_ = waiting;
    if (!hold_.on_granted(*this)) return false;
    return !met_.exchange(true, std::memory_order_acq_rel);
  }

  permit await_resume() {
    hold_.wait(std::nullopt);
    return permit(std::move(hold_));
  }

 private:
  void run() noexcept override {
    if (!met_.exchange(true, std::memory_order_acq_rel)) return;
    const std::coroutine_handle<> waiting = waiting_;
    Resume resume = std::move(resume_);
    resume(waiting);
  }

  semaphore_handle of_;
  std::uint32_t count_;
  [[no_unique_address]] Resume resume_;
  permit_hold hold_;
  std::coroutine_handle<> waiting_;
  std::atomic<bool> met_ = false;
};

struct resume_where_granted {
  void operator()(std::coroutine_handle<> waiting) const { waiting.resume(); }
};

}  // namespace detail

/// A number of permits. A handle: copies are the same semaphore, and one that travels to a job is,
/// too. Any thread may use one concurrently.
///
/// In a job acquire() asks the client and costs a round trip; giving back costs none. In a child
/// that was forked from the client or by a job it throws forked_child or error.
class semaphore {
 public:
  /// Throws bad_options if there are none, or more than 2^31. The name is shown in statistics.
  explicit semaphore(std::uint32_t permits, std::string_view name = {}) : handle_(permits, name) {}

  /// Waits for them. Throws bad_options for more than there are; error in a job that is being
  /// killed, or outside of any.
  permit acquire(std::uint32_t count = 1) const { return detail::acquire(one(count)); }

  /// Only if they are there now and nobody came first.
  [[nodiscard]] std::optional<permit> try_acquire(std::uint32_t count = 1) const {
    return detail::try_acquire(one(count));
  }

  /// Nothing if the time came first.
  template <class Rep, class Period>
  [[nodiscard]] std::optional<permit> try_acquire_for(std::chrono::duration<Rep, Period> time,
                                                      std::uint32_t count = 1) const {
    const auto until = detail::time_from_now(time);
    if (!until) return acquire(count);
    return detail::acquire_until(one(count), *until);
  }

  /// co_await db.acquire_async(): a permit, in the client. A coroutine that had to wait goes on in
  /// the delivery thread, or, while no pool has begun, in the thread that gives the permit back; or
  /// where `resume` brings it, a callable as for resume_on(). It must not be destroyed while it
  /// waits.
  [[nodiscard]] auto acquire_async(std::uint32_t count = 1) const {
    return detail::permit_awaiter<detail::resume_where_granted>(handle_, count, {});
  }

  template <std::invocable<std::coroutine_handle<>> Resume>
  [[nodiscard]] auto acquire_async(Resume resume, std::uint32_t count = 1) const {
    return detail::permit_awaiter<Resume>(handle_, count, std::move(resume));
  }

  /// In a job that was submitted with needs: its grant, for fence() and abandoned(). Nothing if it
  /// did not need this semaphore. Given back with the job, not with this object.
  [[nodiscard]] std::optional<permit> needed() const {
    auto held = detail::permit_hold::needed(handle_);
    if (!held) return std::nullopt;
    return permit(std::move(*held));
  }

  [[nodiscard]] std::uint32_t permits() const noexcept { return handle_.permits(); }

  /// In the client only.
  [[nodiscard]] semaphore_stats stats() const { return handle_.stats(); }

  [[nodiscard]] const detail::semaphore_handle& handle() const noexcept { return handle_; }

  /// For codecs.
  explicit semaphore(detail::semaphore_handle handle) noexcept : handle_(std::move(handle)) {}

 private:
  struct single {
    detail::wanted_permits wanted;

    // NOLINTNEXTLINE(*-explicit-*): it stands for a list of one
    operator std::span<const detail::wanted_permits>() const { return {&wanted, 1}; }
  };

  [[nodiscard]] single one(std::uint32_t count) const { return {{&handle_, count}}; }

  detail::semaphore_handle handle_;
};

/// One permit.
class lock : public semaphore {
 public:
  explicit lock(std::string_view name = {}) : semaphore(1, name) {}

  explicit lock(detail::semaphore_handle handle) noexcept : semaphore(std::move(handle)) {}
};

/// Those of this client's semaphores that somebody holds or waits for, as of now.
[[nodiscard]] std::vector<semaphore_stats> busy_semaphores();

/// Several at once, or none: acquire({{db, 1}, {gpu, 2}}). Waits for the moment in which all are
/// there.
inline permit acquire(std::initializer_list<need> wants) {
  std::vector<detail::wanted_permits> all;
  for (const need& each : wants)
    all.push_back({each.handle, each.count});
  return detail::acquire(all);
}

inline need::need(const semaphore& of, std::uint32_t wanted) noexcept
    : handle(&of.handle()), count(wanted) {}

template <std::derived_from<semaphore> Semaphore>
struct codec<Semaphore> {
  static void write(writer& out, const Semaphore& value) {
    value.handle().travel();
    out(value.handle().id());
    out(value.handle().permits());
  }

  static Semaphore read(reader& in) {
    const auto id = in.read<std::uint64_t>();
    const auto permits = in.read<std::uint32_t>();
    return Semaphore(detail::semaphore_handle(id, permits));
  }
};

}  // namespace hardstop
