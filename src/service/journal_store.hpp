// The journal's file: its tables, and who may use them. One service at a time has it, as a lock
// file beside it says; that is held by every process that was forked from the service, so that
// whoever gets it next knows that no attempt of the former one still runs.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "service/course.hpp"
#include "service/database.hpp"
#include <hardstop/journal.hpp>

namespace hardstop::serving {

// A file that is locked while this lives, and by forked children until they have ended or executed
// something.
class lock_file {
 public:
  // Throws queue_failure when somebody else has it for longer than `patience`.
  lock_file(const std::string& path, const std::string& what, std::chrono::nanoseconds patience);
  lock_file(const lock_file&) = delete;
  lock_file& operator=(const lock_file&) = delete;
  ~lock_file();

  // What its holder keeps in it besides, from offset 0. It survives the holder's SIGKILL, but not a
  // power cut. Any thread. Throws queue_failure.
  void write(std::size_t offset, std::span<const std::byte> bytes) const;
  [[nodiscard]] std::vector<std::byte> read() const;
  void clear() const;

 private:
  std::string path_;
  int number_ = -1;  // not an os::descriptor, which our own forks would close
  std::uint64_t owner_;
};

// --- what is recorded, in this order for each job

struct job_admitted {
  job_number job{};
  const taken_job* what = nullptr;  // lives until record() has returned
};

struct job_ended {
  job_number job{};
  settlement how;
  std::optional<std::chrono::system_clock::time_point> started_at{};  // unset: it never began
};

// The source knows; or it has refused, since the lease was lost.
struct job_settled {
  job_number job{};
  bool accepted = true;
};

using journal_change = std::variant<job_admitted, job_ended, job_settled>;

class journal_store {
 public:
  // Makes the file if it is not there. Waits at most so long for whoever has it.
  journal_store(const std::string& path, std::chrono::nanoseconds patience);

  // --- for a service: its run

  void begin_run(const std::string& service, const std::string& source, bool leases);
  // All of them in one transaction: a group commit. Durable when this returns.
  void record(std::span<const journal_change> changes);
  // Before it begins. Costs a microsecond, and survives this process; after a power cut it looks as
  // if it had not begun. Each job in hand has a cell of its own from here until it is settled. Any
  // thread.
  void mark_begun(std::size_t cell, job_number job) const;
  void end_run(exit_status status);

  // --- for recovery

  [[nodiscard]] std::vector<journal_entry> unfinished();
  [[nodiscard]] std::vector<journal_entry> history(std::size_t at_most);
  [[nodiscard]] std::vector<journal_run> runs();
  // Of that source alone.
  journal_recovery recover(source& into);
  journal_recovery requeue(queue& into, const enqueue_options& options);

  [[nodiscard]] const std::string& path() const noexcept { return file_.path(); }

 private:
  void forget_old();
  void settle(std::span<const journal_entry> entries, const std::string& text);

  void note_begun();

  lock_file lock_;
  storage::database file_;
  std::uint64_t run_ = 0;
  std::uint64_t settled_since_forgetting_ = 0;
};

}  // namespace hardstop::serving
