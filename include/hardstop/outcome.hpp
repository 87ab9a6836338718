// How a job ended: exactly one of seven ways, and what is known about it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include <hardstop/job.hpp>

namespace hardstop {

enum class outcome_kind : std::uint8_t {
  value,
  exception,
  cancelled,
  timed_out,
  worker_died,
  memory_limit,
  not_started,
};

/// A process that should be gone and that the kernel would not kill within the bounded wait.
struct unconfirmed {
  int pid = 0;
  std::string reason{};  ///< e.g. "in uninterruptible sleep", "traced by process 812"
};

/// A record of how one job ended. A plain value: copy it, keep it, hand it to other threads. It
/// does not hold the job's result, which future::get() gives.
class outcome {
 public:
  /// The function returned. A cancel that came too late or was obeyed within the grace shows in
  /// cancel().
  struct value {};

  /// The function threw.
  struct exception {
    std::string type{};  ///< as written in C++, e.g. "std::out_of_range"
    std::string what{};  ///< empty if it is not a std::exception
  };

  /// Stopped by its future, a stop token, or the pool's shutdown.
  struct cancelled {
    enum class extent : std::uint8_t { never_started, killed };
    enum class source : std::uint8_t { caller, shutdown };
    extent how{};
    source by{};
  };

  /// Its attempt ran longer than its timeout and its process tree was killed.
  struct timed_out {
    std::chrono::nanoseconds limit{};
  };

  /// Its worker ended without a result: a crash, an exit(), a SIGKILL from elsewhere.
  struct worker_died {
    std::optional<int> signal{};     ///< number of the signal that ended it, if one did
    std::optional<int> exit_code{};  ///< if it left by exit
    bool core_dumped = false;
    std::uint64_t peak_memory = 0;         ///< bytes, of the worker process; 0: not known
    std::chrono::nanoseconds cpu_time{0};  ///< user and system, of the worker's whole life
    std::string likely_cause{};            ///< in words; a guess is worded as one
  };

  /// The attempt used more memory than it may and its process tree was killed.
  struct memory_limit {
    std::uint64_t limit = 0;  ///< bytes
    std::uint64_t used = 0;   ///< bytes seen when it was stopped
  };

  /// No attempt began, and not because somebody cancelled the job.
  struct not_started {
    enum class cause : std::uint8_t { shutdown, pool_broken, no_worker };
    cause why{};
    std::string reason{};
  };

  using alternatives =
      std::variant<value, exception, cancelled, timed_out, worker_died, memory_limit, not_started>;

  /// What is known of a job whichever way it ended.
  struct facts {
    std::string job{};                    ///< job_options::name, or the function's
    int pid = 0;                          ///< the worker of the last attempt; 0: none began
    unsigned attempt = 0;                 ///< number of the last attempt, from 1; 0: none began
    std::chrono::nanoseconds ran_for{0};  ///< the last attempt
    cancel_answer cancel = cancel_answer::not_requested;
    unsigned processes_stopped = 0;  ///< of the killed tree, the worker included
    /// Set where part of the tree may still live. Its slot was replaced all the same.
    std::optional<hardstop::unconfirmed> unconfirmed{};
    /// Of an attempt that was killed for its time or memory: where it was, as far as the language
    /// of its worker can tell (Python's can).
    std::string stack{};
    std::string output{};        ///< standard output, where it is captured
    std::string error_output{};  ///< standard error, where it is captured
  };

  outcome() = default;

  outcome(facts known, alternatives how) : facts_(std::move(known)), how_(std::move(how)) {}

  [[nodiscard]] outcome_kind kind() const noexcept {
    return static_cast<outcome_kind>(how_.index());
  }

  [[nodiscard]] bool is_value() const noexcept { return kind() == outcome_kind::value; }

  /// The alternative itself, for std::visit, and one of them by type, or nullptr:
  ///   if (auto* died = out.as<outcome::worker_died>()) …
  [[nodiscard]] const alternatives& how() const noexcept { return how_; }

  template <class T>
  [[nodiscard]] const T* as() const noexcept {
    return std::get_if<T>(&how_);
  }

  [[nodiscard]] const std::string& job() const noexcept { return facts_.job; }

  [[nodiscard]] int pid() const noexcept { return facts_.pid; }

  [[nodiscard]] unsigned attempt() const noexcept { return facts_.attempt; }

  [[nodiscard]] std::chrono::nanoseconds ran_for() const noexcept { return facts_.ran_for; }

  /// What became of a request to cancel; finished_first goes with a value or an exception.
  [[nodiscard]] cancel_answer cancel() const noexcept { return facts_.cancel; }

  [[nodiscard]] unsigned processes_stopped() const noexcept { return facts_.processes_stopped; }

  [[nodiscard]] const std::optional<hardstop::unconfirmed>& unconfirmed() const noexcept {
    return facts_.unconfirmed;
  }

  /// Where an attempt was that was killed for a limit; empty where that is not known.
  [[nodiscard]] const std::string& stack() const noexcept { return facts_.stack; }

  /// What the attempt wrote, where worker_environment says capture; the last 64 KiB.
  [[nodiscard]] const std::string& output() const noexcept { return facts_.output; }

  [[nodiscard]] const std::string& error_output() const noexcept { return facts_.error_output; }

  /// One sentence for people, e.g. "job 'deep' timed out: attempt 1 in process 4711 was killed
  /// after its limit of 5 s".
  [[nodiscard]] std::string describe() const;

 private:
  facts facts_{};
  alternatives how_{};
};

template <outcome_kind Kind, class T>
inline constexpr bool outcome_kind_matches = std::is_same_v<
    std::variant_alternative_t<static_cast<std::size_t>(Kind), outcome::alternatives>, T>;
static_assert(outcome_kind_matches<outcome_kind::value, outcome::value> &&
              outcome_kind_matches<outcome_kind::exception, outcome::exception> &&
              outcome_kind_matches<outcome_kind::cancelled, outcome::cancelled> &&
              outcome_kind_matches<outcome_kind::timed_out, outcome::timed_out> &&
              outcome_kind_matches<outcome_kind::worker_died, outcome::worker_died> &&
              outcome_kind_matches<outcome_kind::memory_limit, outcome::memory_limit> &&
              outcome_kind_matches<outcome_kind::not_started, outcome::not_started>);

/// The kind in words, e.g. "worker died".
[[nodiscard]] std::string_view to_string(outcome_kind kind) noexcept;

/// A duration as people write it: "5 s", "1.5 s", "250 ms", "40 us".
[[nodiscard]] std::string to_string(std::chrono::nanoseconds duration);

}  // namespace hardstop
