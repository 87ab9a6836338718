// What a service has taken and what became of it, in a file that survives the service.
//
// A service that is given a journal (service_options::journal) writes a job there before it starts,
// and its end before the source is told. So after a crash the file says which jobs were taken,
// which of them had begun, and which had ended without the source knowing; the next service with
// the same journal and source sets that right before it takes anything. For jobs of a source that
// takes nothing back there is requeue(), and `hardstop recover` on the command line.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <hardstop/message.hpp>
#include <hardstop/queue.hpp>
#include <hardstop/source.hpp>

namespace hardstop {

/// How far an attempt has come.
enum class journal_state : std::uint8_t {
  taken,    ///< from the source; had not begun
  started,  ///< its end is not known: it ran, or was about to, when the service ended
  ended,    ///< its end is known, and the source was not told
  settled,  ///< its end is known, to the source, too
  left,     ///< left here by a service that stopped in good order (disposal::journal)
};

[[nodiscard]] std::string_view to_string(journal_state state) noexcept;

/// One attempt at one job.
struct journal_entry {
  std::uint64_t run = 0;     ///< of the service, from 1 in each journal
  std::uint64_t number = 0;  ///< among the jobs that the run took, from 1
  hardstop::receipt receipt{};
  job_message message{};  ///< without arguments, once settled
  std::string source{};   ///< as it describes itself
  bool leased = true;     ///< whether the source gives it to somebody else in time
  journal_state state{};
  bool finished = false;  ///< ended or settled: by success
  std::string text{};     ///< how it ended, for people
  std::chrono::system_clock::time_point taken_at{};
  std::optional<std::chrono::system_clock::time_point> started_at{};
  std::optional<std::chrono::system_clock::time_point> ended_at{};
};

/// One life of a service.
struct journal_run {
  std::uint64_t run = 0;
  std::string service{};
  std::string source{};
  int pid = 0;
  std::chrono::system_clock::time_point began_at{};
  std::optional<std::chrono::system_clock::time_point> ended_at{};
  std::optional<int> status{};  ///< unset: it still runs, or did not end by itself
};

/// What recovering has done.
struct journal_recovery {
  std::size_t acked = 0;     ///< had finished: the source knows now
  std::size_t failed = 0;    ///< had begun: given back as a failed attempt
  std::size_t returned = 0;  ///< had not begun: given back, nothing counted
  std::size_t stale = 0;     ///< the source had given them to somebody else already
  std::size_t requeued = 0;
};

/// A journal that no service is using: for looking at it, and for recovering what a crash left. One
/// thread at a time. Everything throws queue_failure when the file cannot be read or written.
class journal {
 public:
  /// Waits at most `patience` for the service that uses it, or for what is left of one that was
  /// killed; then throws queue_failure, which names its process. The file must exist.
  explicit journal(std::string path, std::chrono::nanoseconds patience = std::chrono::seconds(2));
  ~journal();

  /// All that are not settled, in the order they were taken.
  [[nodiscard]] std::vector<journal_entry> unfinished() const;

  /// The last so many attempts, settled or not, in the order they were taken.
  [[nodiscard]] std::vector<journal_entry> history(std::size_t at_most) const;

  [[nodiscard]] std::vector<journal_run> runs() const;

  /// Tells that source what it should know of its jobs: what had ended is acked or nacked as it
  /// ended, what had begun counts as a failed attempt, the rest is given back.
  journal_recovery recover(source& into);

  /// Puts jobs of sources that take nothing back into a queue, as new ones; what had begun has one
  /// attempt less than options.max_attempts, and stays here if none is left.
  journal_recovery requeue(queue& into, const enqueue_options& options = {});

  [[nodiscard]] const std::string& path() const noexcept;

 private:
  class implementation;
  std::unique_ptr<implementation> implementation_;
};

}  // namespace hardstop
