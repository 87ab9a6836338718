// Memory that a test shares with its jobs, and that at the same time marks processes.
//
//   support::board<state> shared{"busy"};             // in the test
//   pool.submit<&job>(shared.ref());
//   int job(support::board_ref<state> ref) {
//     auto& seen = ref.join();                         // this process and all it forks are marked
//     seen.ready.add();                                // and the test wakes up
//   }
//
// The mark is a mapping of the first page of a memory file with a name of its own: it shows in
// /proc/PID/maps, and every fork inherits it, however it leaves its parent, changes its session,
// closes descriptors or writes over its arguments. An executed image loses it: set the environment
// variable of processes.hpp before. The state lies behind that page, so that whoever only looks
// (the test, and a helper that shares its memory for a moment) carries no mark.
#pragma once

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include <hardstop/plain.hpp>

namespace support {

// No test passes by waiting this long; one that hangs fails by it.
inline constexpr std::chrono::seconds patience{60};

// Counts upwards and can be waited for, across processes. Zero-initialised memory is a counter.
class counter {
 public:
  std::uint32_t add(std::uint32_t amount = 1) {
    const auto before = value_.fetch_add(amount);
    futex(FUTEX_WAKE, INT32_MAX, nullptr);
    return before;
  }

  void set(std::uint32_t value) {
    value_.store(value);
    futex(FUTEX_WAKE, INT32_MAX, nullptr);
  }

  [[nodiscard]] std::uint32_t get() const { return value_.load(); }

  // False when the time is over first.
  [[nodiscard]] bool wait_for(std::uint32_t at_least,
                              std::chrono::nanoseconds limit = patience) const {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    for (;;) {
      const auto now = value_.load();
      if (now >= at_least) return true;
      const auto left = deadline - std::chrono::steady_clock::now();
      if (left <= left.zero()) return false;
      const timespec wait{.tv_sec = left.count() / 1'000'000'000,
                          .tv_nsec = left.count() % 1'000'000'000};
      futex(FUTEX_WAIT, now, &wait);
    }
  }

 private:
  void futex(int operation, std::uint32_t value, const timespec* limit) const {
    // Not private to one process, unlike std::atomic::wait.
    ::syscall(SYS_futex, &value_, operation, value, limit, nullptr, 0);
  }

  std::atomic<std::uint32_t> value_{0};
};

// Processes tell their numbers by it. Adding is async-signal-safe and never blocks.
template <std::size_t Capacity>
class pid_list {
 public:
  void add(int pid = ::getpid()) {
    const auto place = reserved_.fetch_add(1);
    if (place < Capacity) pids_[place].store(pid);
    added_.add();
  }

  [[nodiscard]] bool wait_for(std::uint32_t count) const { return added_.wait_for(count); }

  [[nodiscard]] std::size_t size() const {
    return std::min<std::size_t>(Capacity, reserved_.load());
  }

  [[nodiscard]] int operator[](std::size_t place) const { return pids_[place].load(); }

  void clear() {
    reserved_ = 0;
    added_.set(0);
  }

 private:
  std::atomic<std::uint32_t> reserved_{0};
  counter added_;
  std::array<std::atomic<int>, Capacity> pids_{};
};

inline constexpr std::size_t longest_mark = 48;

namespace detail {

inline constexpr std::size_t mark_bytes = 4096 * 16;  // a page, however large pages are

enum class as : bool { visitor, marked };

// The state alone, or behind the mark.
template <class State>
State* map_board(int descriptor, as who) {
  const std::size_t mark = who == as::marked ? mark_bytes : 0;
  void* const address = ::mmap(nullptr, mark + sizeof(State), PROT_READ | PROT_WRITE, MAP_SHARED,
                               descriptor, static_cast<off_t>(mark_bytes - mark));
  if (address == MAP_FAILED) throw std::runtime_error("mapping a test's board failed");
  return reinterpret_cast<State*>(static_cast<std::byte*>(address) + mark);
}

struct unmap {
  template <class State>
  void operator()(State* state) const {
    ::munmap(state, sizeof(State));
  }
};

template <class State>
using mapped = std::unique_ptr<State, unmap>;

}  // namespace detail

// Names a board to a job in whichever process.
template <class State>
struct board_ref {
  int owner = 0;
  int descriptor = -1;
  std::array<char, longest_mark> mark{};

  [[nodiscard]] detail::mapped<State> visit() const {
    return detail::mapped<State>(open(detail::as::visitor));
  }

  // For good: this process and what it forks from now on carry the mark.
  [[nodiscard]] State& join() const { return *open(detail::as::marked); }

  // But for those that take it off: a worker that lives on has nothing to do with the job it had.
  static void leave(State& joined) {
    ::munmap(reinterpret_cast<std::byte*>(&joined) - detail::mark_bytes,
             detail::mark_bytes + sizeof(State));
  }

 private:
  [[nodiscard]] State* open(detail::as who) const {
    const std::string path = "/proc/" + std::to_string(owner) + "/fd/" + std::to_string(descriptor);
    const int opened = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (opened < 0) throw std::runtime_error("opening a test's board failed: " + path);
    State* const memory = detail::map_board<State>(opened, who);
    ::close(opened);
    return memory;
  }
};

template <class State>
class board {
  static_assert(std::is_trivially_destructible_v<State>);

 public:
  explicit board(std::string_view what) {
    static std::atomic<int> boards{0};
    std::snprintf(ref_.mark.data(), ref_.mark.size(), "mark-%.*s-%d-%d",
                  static_cast<int>(what.size()), what.data(), ::getpid(), ++boards);
    ref_.owner = ::getpid();
    ref_.descriptor = static_cast<int>(::memfd_create(ref_.mark.data(), MFD_CLOEXEC));
    constexpr auto size = static_cast<off_t>(detail::mark_bytes + sizeof(State));
    if (ref_.descriptor < 0 || ::ftruncate(ref_.descriptor, size) != 0) {
      throw std::runtime_error("making a test's board failed");
    }
    memory_.reset(detail::map_board<State>(ref_.descriptor, detail::as::visitor));
    new (memory_.get()) State();
  }

  board(const board&) = delete;
  board& operator=(const board&) = delete;

  ~board() {
    if (::getpid() == ref_.owner) ::close(ref_.descriptor);
  }

  [[nodiscard]] State* operator->() const { return memory_.get(); }

  [[nodiscard]] State& operator*() const { return *memory_; }

  [[nodiscard]] const board_ref<State>& ref() const { return ref_; }

  [[nodiscard]] std::string mark() const { return ref_.mark.data(); }

 private:
  board_ref<State> ref_;
  detail::mapped<State> memory_;
};

}  // namespace support

template <class State>
struct hardstop::plain<support::board_ref<State>> : std::true_type {};
