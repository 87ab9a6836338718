// A durable queue of jobs in one SQLite file, for any number of processes on one machine.
//
//   hardstop::queue jobs{"jobs.db"};
//   jobs.enqueue("resize", {"in.png", 200});
//   jobs.enqueue("resize", {"in.png", 400}, {.priority = 5, .delay = 10s, .unique = "in.png/400"});
//
// and in the service, see service.hpp:
//
//   service.run_from(jobs);
//
// What it promises. A job whose id enqueue() has returned is in the file, power cut included. It is
// given to one service at a time, on a lease. If that service says nothing more, the job is given
// out again when the lease has run out, until max_attempts attempts were made; then it is kept as
// dead, with the reason of the last failure. So a job runs at least once, and sometimes more than
// once: make jobs idempotent.
//
// The file holds data, not code, and is made for its owner alone (0600); one that others may write
// is refused. A row that makes no sense is kept aside as refused, with the reason, and is never
// executed. It has to lie on a disk of this machine: file systems over a network cannot share what
// SQLite's log needs. While it is open there are a -wal and a -shm file beside it.
//
// Times are those of the system's clock. When that is set forward, delays and leases end early (a
// job that runs may be given out a second time, and the first to be late is refused); when it is
// set back, they last longer by as much.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <hardstop/message.hpp>
#include <hardstop/source.hpp>

namespace hardstop {

/// Said when a job is put into the queue. Throws bad_options from enqueue() if it makes no sense:
/// no attempts, a negative time or one beyond a hundred years, a key of more than 1000 bytes.
struct enqueue_options {
  /// Higher first; among equals, first in, first out. One that is tried again has kept its place.
  int priority = 0;
  /// Not given out before.
  std::chrono::nanoseconds delay{0};
  /// While a job with this key is queued or leased, another one is not enqueued: enqueue() returns
  /// the id of the one that is there. Empty: no key.
  std::string unique{};
  /// Attempts until it is kept as dead. At least 1.
  unsigned max_attempts = 3;
  /// After an attempt has failed: before the second attempt, twice as long before the third, and so
  /// on, at most max_back_off. After one whose lease has run out there is no pause.
  std::chrono::nanoseconds back_off = std::chrono::seconds(1);
  std::chrono::nanoseconds max_back_off = std::chrono::hours(1);
  /// Of one attempt. Unset: what the service says for jobs of that name.
  std::optional<std::chrono::nanoseconds> timeout{};
  std::optional<std::chrono::nanoseconds> grace{};
};

enum class queued_state : std::uint8_t {
  queued,     ///< waits for its time or its turn
  leased,     ///< a service has it
  done,       ///< finished; kept for as long as queue_options::keep_done says
  cancelled,  ///< by cancel(), before or while it ran
  dead,       ///< its attempts are used up
  refused,    ///< makes no sense, or no service could run it
};

[[nodiscard]] std::string_view to_string(queued_state state) noexcept;

/// One job, as the file has it.
struct queued_job {
  std::string id{};
  job_message message{};
  queued_state state{};
  int priority = 0;
  std::string unique{};
  unsigned attempts = 0;  ///< begun so far, of those that count: not what was returned
  unsigned max_attempts = 0;
  std::chrono::system_clock::time_point enqueued_at{};
  std::chrono::system_clock::time_point due_at{};  ///< not given out before
  std::optional<std::chrono::system_clock::time_point> lease_until{};
  bool cancel_requested = false;
  std::string reason{};  ///< why it is dead, refused or cancelled, or is tried again
};

/// Which jobs to look at. Unset: all.
struct queued_filter {
  std::optional<queued_state> state{};
  std::string name{};
  std::size_t at_most = 1000;
};

enum class durability : std::uint8_t {
  /// What was promised survives a power cut: one fdatasync for each group of changes, which what
  /// several threads enqueue at a time shares. Leases are not promised: in a power cut whoever had
  /// one has died, too, and the job is given out again.
  power,
  process,  ///< it survives the death of every process, but perhaps not that of the machine
};

struct queue_options {
  /// For how long a job is given out.
  std::chrono::nanoseconds lease = std::chrono::seconds(30);
  /// How long jobs that are done, or were cancelled, are remembered. They are forgotten some at a
  /// time, by whoever takes jobs; those that are dead or refused are kept until they are requeued.
  std::chrono::nanoseconds keep_done = std::chrono::hours(24);
  hardstop::durability durability = hardstop::durability::power;
  /// Waiting for another process that writes, before giving up with queue_failure.
  std::chrono::nanoseconds busy_timeout = std::chrono::seconds(10);
};

/// Any thread may use a queue concurrently, and any number of processes the same file. In a forked
/// child a queue opens the file anew when it is used. Everything throws queue_failure when the file
/// cannot be read or written: nothing was changed then.
class queue final : public source {
 public:
  /// Makes the file if it is not there. Throws queue_failure (no right, not a queue, made by a
  /// later version) and bad_options.
  explicit queue(std::string path, const queue_options& options = {});
  ~queue() override;

  // --- for those who have work

  /// Arguments as an array: enqueue("resize", {"in.png", 200}); a single one that is a
  /// nlohmann::json itself as json::array({it}). Returns the job's id.
  std::string enqueue(std::string_view name,
                      const nlohmann::json& arguments = nlohmann::json::array(),
                      const enqueue_options& options = {});

  /// Arguments that are encoded already. Throws message_refused if no job can be made of it: no
  /// name or one of more than 1000 bytes, arguments of more than 64 MiB, nested deeper than 100, or
  /// that are neither an array nor {"args": […], "kwargs": {…}}. In MessagePack, keys of maps are
  /// texts.
  std::string enqueue(const job_message& message, const enqueue_options& options = {});

  /// All or none, in one transaction.
  std::vector<std::string> enqueue_all(std::span<const job_message> messages,
                                       const enqueue_options& options = {});

  /// One that waits is cancelled at once. One that runs is stopped by the service that has it.
  /// False: there is no such job, or it has ended.
  bool cancel(std::string_view id);

  /// Puts a job that is dead, refused or cancelled back into the queue, with as many attempts as a
  /// fresh one has. False: there is no such job, or another one with its unique key is queued.
  bool requeue(std::string_view id);

  [[nodiscard]] std::optional<queued_job> find(std::string_view id) const;

  /// Oldest first.
  [[nodiscard]] std::vector<queued_job> jobs(const queued_filter& filter = {}) const;

  /// How many there are in a state; queued includes those whose time has not come.
  [[nodiscard]] std::size_t count(queued_state state) const;

  [[nodiscard]] const std::string& path() const noexcept;

  // --- for the service; see source.hpp. One that waits in take() is woken by what any process
  // enqueues, within a millisecond; it notices what other tools change in the file within a second.

  taking take(std::size_t at_most, std::chrono::nanoseconds patience) override;
  void interrupt() noexcept override;
  std::vector<receipt> extend(std::span<const receipt> leases) override;
  std::vector<receipt> ack(std::span<const receipt> done) override;
  std::vector<receipt> nack(std::span<const nacked_job> jobs) override;
  void on_cancel(std::function<void(const receipt&)> tell) override;

  /// "queue" and the file's path.
  [[nodiscard]] std::string describe() const override { return "queue " + path(); }

 private:
  class implementation;
  std::unique_ptr<implementation> implementation_;
};

}  // namespace hardstop
