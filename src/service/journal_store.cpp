#include "service/journal_store.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "os/same_process.hpp"
#include <hardstop/errors.hpp>

namespace hardstop::serving {

namespace {

// "hsj1", for file(1).
constexpr storage::file_kind journal_file{
    .what = "journal", .application_id = 0x68736a31, .version = 1, .schema = R"(
  CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    service TEXT NOT NULL,
    source TEXT NOT NULL,
    leases INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    began_at INTEGER NOT NULL,
    ended_at INTEGER,
    status INTEGER
  ) STRICT;
  CREATE TABLE attempts (
    run INTEGER NOT NULL REFERENCES runs (id),
    number INTEGER NOT NULL,
    job TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    name TEXT NOT NULL,
    format INTEGER NOT NULL,
    arguments BLOB NOT NULL,
    state INTEGER NOT NULL,
    verdict INTEGER,
    reason INTEGER,
    text TEXT NOT NULL DEFAULT '',
    taken_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    PRIMARY KEY (run, number)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX unfinished ON attempts (run, number) WHERE state <> 3;
)"};

// Settled attempts of a run that are kept, to be looked at; and runs whose settled ones are.
constexpr std::uint64_t attempts_kept = 100'000;
constexpr std::int64_t runs_kept = 100;
constexpr std::uint64_t often_enough = 10'000;
constexpr std::size_t batch = 1000;

constexpr auto between_tries = std::chrono::milliseconds(5);

std::int64_t to_microseconds(std::chrono::system_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
}

std::optional<std::int64_t> to_microseconds(
    std::optional<std::chrono::system_clock::time_point> time) {
  if (!time) return {};
  return to_microseconds(*time);
}

std::int64_t microseconds_now() {
  return to_microseconds(std::chrono::system_clock::now());
}

std::chrono::system_clock::time_point from_microseconds(std::int64_t time) {
  return std::chrono::system_clock::time_point(std::chrono::microseconds(time));
}

std::optional<std::chrono::system_clock::time_point> from_microseconds(
    std::optional<std::int64_t> time) {
  if (!time) return {};
  return from_microseconds(*time);
}

std::int64_t to_integer(auto value) {
  return static_cast<std::int64_t>(value);
}

// What is said of an attempt whose service did not live to see its end.
constexpr const char* died_with_service = "the service that ran it ended without a word";

// An entry, and what the source would have been told.
struct found_entry {
  journal_entry entry;
  settlement how;
};

constexpr const char* columns =
    "SELECT a.run, a.number, a.job, a.attempt, a.name, a.format, a.arguments, a.state, a.verdict,"
    " a.reason, a.text, a.taken_at, a.started_at, a.ended_at, r.source, r.leases"
    " FROM attempts a JOIN runs r ON r.id = a.run";

found_entry read_entry(storage::rows& row) {
  found_entry found;
  journal_entry& entry = found.entry;
  entry.run = static_cast<std::uint64_t>(row.integer(0));
  entry.number = static_cast<std::uint64_t>(row.integer(1));
  entry.receipt = {.job = row.text(2), .attempt = static_cast<unsigned>(row.integer(3))};
  entry.message = {.name = row.text(4),
                   .format = static_cast<argument_format>(row.integer(5)),
                   .arguments = row.blob(6)};
  entry.state = static_cast<journal_state>(row.integer(7));
  found.how.what = static_cast<settlement::verdict>(row.optional_integer(8).value_or(0));
  found.how.reason = static_cast<nack_reason>(row.optional_integer(9).value_or(0));
  found.how.text = entry.text = row.text(10);
  entry.finished = row.optional_integer(8) && found.how.what == settlement::verdict::ack;
  entry.taken_at = from_microseconds(row.integer(11));
  entry.started_at = from_microseconds(row.optional_integer(12));
  entry.ended_at = from_microseconds(row.optional_integer(13));
  entry.source = row.text(14);
  entry.leased = row.integer(15) != 0;
  return found;
}

// Statements are known by their address: these live as long as the program.
const std::string unfinished_query =
    std::string(columns) + " WHERE a.state <> 3 AND a.run <> ? ORDER BY a.run, a.number";
const std::string history_query = "SELECT * FROM (" + std::string(columns) +
                                  " ORDER BY a.run DESC, a.number DESC LIMIT ?) ORDER BY 1, 2";

template <class... Values>
std::vector<found_entry> entries(storage::connection& db, const std::string& query,
                                 Values... values) {
  std::vector<found_entry> all;
  for (auto rows = db.ask(query.c_str(), values...); rows.next();)
    all.push_back(read_entry(rows));
  return all;
}

}  // namespace

// --- the lock

lock_file::lock_file(const std::string& path, const std::string& what,
                     std::chrono::nanoseconds patience)
    : path_(path + "-lock"),
      number_(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)),
      owner_(os::process_generation()) {
  if (number_ < 0) {
    throw queue_failure("cannot open " + path_ + ", which guards the " + what + ": " +
                        std::strerror(errno));
  }
  const auto give_up = std::chrono::steady_clock::now() + patience;
  while (::flock(number_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EINTR && errno != EWOULDBLOCK) {
      const int error = errno;
      ::close(number_);
      throw queue_failure("cannot lock " + path_ + ": " + std::strerror(error));
    }
    if (std::chrono::steady_clock::now() >= give_up) {
      std::array<char, 32> holder{};
      const auto size = ::pread(number_, holder.data(), holder.size() - 1, 0);
      ::close(number_);
      throw queue_failure("the " + what + " is in use by process " +
                          (size > 0 ? std::string(holder.data()) : std::string("unknown")) +
                          ", or by jobs of it that are being stopped: a journal belongs to one "
                          "service at a time");
    }
    std::this_thread::sleep_for(between_tries);
  }
  // For people only: the lock is what counts.
  std::array<char, 32> pid{};
  std::snprintf(pid.data(), pid.size(), "%d", ::getpid());
  [[maybe_unused]] const auto written = ::pwrite(number_, pid.data(), pid.size(), 0);
}

lock_file::~lock_file() {
  if (owner_ == os::process_generation()) ::close(number_);
}

// Behind the holder's pid.
constexpr std::size_t content_begins = 64;

void lock_file::write(std::size_t offset, std::span<const std::byte> bytes) const {
  const auto at = static_cast<off_t>(content_begins + offset);
  if (::pwrite(number_, bytes.data(), bytes.size(), at) != static_cast<ssize_t>(bytes.size())) {
    throw queue_failure("cannot write to " + path_ + ": " + std::strerror(errno));
  }
}

std::vector<std::byte> lock_file::read() const {
  std::vector<std::byte> all(std::size_t{1} << 20);
  const auto size = ::pread(number_, all.data(), all.size(), content_begins);
  all.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
  return all;
}

void lock_file::clear() const {
  if (::ftruncate(number_, content_begins) != 0) {
    throw queue_failure("cannot shorten " + path_ + ": " + std::strerror(errno));
  }
}

// --- a service's run

namespace {

// What stands in a cell: zero, or a job that has begun.
struct cell_content {
  std::uint64_t run = 0;
  std::uint64_t number = 0;
};

}  // namespace

journal_store::journal_store(const std::string& path, std::chrono::nanoseconds patience)
    : lock_(path, "journal " + path, patience), file_(path, journal_file, {}) {
  note_begun();
}

// What the cells of a run that was killed say. Killed in the midst of this, the next one does the
// same again.
void journal_store::note_begun() {
  const std::vector<std::byte> content = lock_.read();
  if (content.empty()) return;
  file_.write("note what had begun in", [&](storage::connection& db) {
    for (std::size_t at = 0; at + sizeof(cell_content) <= content.size();
         at += sizeof(cell_content)) {
      cell_content cell;
      std::memcpy(&cell, content.data() + at, sizeof(cell));
      if (cell.run == 0) continue;
      db.run(
          "UPDATE attempts SET state = 1, started_at = coalesce(started_at, taken_at)"
          " WHERE run = ? AND number = ? AND state = 0",
          to_integer(cell.run), to_integer(cell.number));
    }
  });
  lock_.clear();
}

void journal_store::mark_begun(std::size_t cell, job_number job) const {
  const cell_content content{.run = run_, .number = static_cast<std::uint64_t>(job)};
  lock_.write(cell * sizeof(content), std::as_bytes(std::span(&content, 1)));
}

void journal_store::begin_run(const std::string& service, const std::string& source, bool leases) {
  run_ = file_.write("begin a run in", [&](storage::connection& db) {
    db.run("INSERT INTO runs (service, source, leases, pid, began_at) VALUES (?, ?, ?, ?, ?)",
           std::string_view(service), std::string_view(source), to_integer(leases),
           to_integer(::getpid()), microseconds_now());
    return static_cast<std::uint64_t>(db.last_inserted());
  });
  forget_old();
}

void journal_store::record(std::span<const journal_change> changes) {
  const std::int64_t now = microseconds_now();
  const auto run = to_integer(run_);
  file_.write("record jobs in", [&](storage::connection& db) {
    struct recorder {
      void operator()(const job_admitted& at) const {
        const taken_job& what = *at.what;
        db.run(
            "INSERT INTO attempts (run, number, job, attempt, name, format, arguments, state,"
            " taken_at) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?)",
            run, to_integer(at.job), std::string_view(what.receipt.job),
            to_integer(what.receipt.attempt), std::string_view(what.message.name),
            to_integer(what.message.format), std::span<const std::byte>(what.message.arguments),
            now);
      }

      void operator()(const job_ended& at) const {
        const bool left = at.how.what == settlement::verdict::journaled;
        db.run(
            "UPDATE attempts SET state = ?, verdict = ?, reason = ?, text = ?, started_at = ?,"
            " ended_at = ? WHERE run = ? AND number = ?",
            to_integer(left ? journal_state::left : journal_state::ended), to_integer(at.how.what),
            to_integer(at.how.reason), std::string_view(at.how.text),
            to_microseconds(at.started_at), now, run, to_integer(at.job));
      }

      void operator()(const job_settled& at) const {
        // What is left for recovery is not settled; arguments of what is are not kept.
        db.run(
            "UPDATE attempts SET state = 3, arguments = x'' WHERE run = ? AND number = ?"
            " AND state <> 4",
            run, to_integer(at.job));
        if (!at.accepted) {
          db.run(
              "UPDATE attempts SET text = 'its lease was lost; ' || text WHERE run = ? AND"
              " number = ?",
              run, to_integer(at.job));
        }
      }

      storage::connection& db;
      std::int64_t run;
      std::int64_t now;
    };
    for (const journal_change& change : changes) {
      std::visit(recorder{db, run, now}, change);
      settled_since_forgetting_ += std::holds_alternative<job_settled>(change) ? 1 : 0;
    }
    if (settled_since_forgetting_ >= often_enough) {
      settled_since_forgetting_ = 0;
      db.run(
          "DELETE FROM attempts WHERE run = ? AND state = 3 AND number <"
          " (SELECT max(number) FROM attempts WHERE run = ?) - ?",
          run, run, to_integer(attempts_kept));
    }
  });
}

void journal_store::end_run(exit_status status) {
  file_.write("end a run in", [&](storage::connection& db) {
    db.run("UPDATE runs SET ended_at = ?, status = ? WHERE id = ?", microseconds_now(),
           to_integer(status), to_integer(run_));
  });
}

void journal_store::forget_old() {
  file_.write("forget old runs in", [&](storage::connection& db) {
    db.run("DELETE FROM attempts WHERE run <= ? AND state = 3", to_integer(run_) - runs_kept);
    db.run("DELETE FROM runs WHERE id <= ? AND NOT EXISTS (SELECT 1 FROM attempts WHERE run = id)",
           to_integer(run_) - runs_kept);
  });
}

// --- recovery

std::vector<journal_entry> journal_store::unfinished() {
  return file_.read("read", [&](storage::connection& db) {
    std::vector<journal_entry> all;
    for (auto& each : entries(db, unfinished_query, to_integer(run_)))
      all.push_back(std::move(each.entry));
    return all;
  });
}

std::vector<journal_entry> journal_store::history(std::size_t at_most) {
  return file_.read("read", [&](storage::connection& db) {
    std::vector<journal_entry> all;
    for (auto& each : entries(db, history_query, to_integer(at_most)))
      all.push_back(std::move(each.entry));
    return all;
  });
}

std::vector<journal_run> journal_store::runs() {
  return file_.read("read", [](storage::connection& db) {
    std::vector<journal_run> all;
    auto rows =
        db.ask("SELECT id, service, source, pid, began_at, ended_at, status FROM runs ORDER BY id");
    while (rows.next()) {
      journal_run run{.run = static_cast<std::uint64_t>(rows.integer(0)),
                      .service = rows.text(1),
                      .source = rows.text(2),
                      .pid = static_cast<int>(rows.integer(3)),
                      .began_at = from_microseconds(rows.integer(4)),
                      .ended_at = from_microseconds(rows.optional_integer(5)),
                      .status = {}};
      if (const auto status = rows.optional_integer(6)) run.status = static_cast<int>(*status);
      all.push_back(std::move(run));
    }
    return all;
  });
}

void journal_store::settle(std::span<const journal_entry> entries, const std::string& text) {
  file_.write("settle jobs in", [&](storage::connection& db) {
    for (const journal_entry& each : entries) {
      db.run(
          "UPDATE attempts SET state = 3, arguments = x'', text = CASE WHEN text = '' THEN ? ELSE"
          " text END, ended_at = coalesce(ended_at, ?) WHERE run = ? AND number = ?",
          std::string_view(text), microseconds_now(), to_integer(each.run),
          to_integer(each.number));
    }
  });
}

// In batches, each told to the source and then settled here: killed in between, this tells the
// source again, which refuses what it knows already.
journal_recovery journal_store::recover(source& into) {
  const std::string wanted = into.describe();
  std::vector<found_entry> all = file_.read("read", [&](storage::connection& db) {
    return entries(db, unfinished_query, to_integer(run_));
  });
  std::erase_if(all, [&](const found_entry& each) {
    return !each.entry.leased || each.entry.source != wanted;
  });

  journal_recovery done;
  for (std::size_t begin = 0; begin < all.size(); begin += batch) {
    const std::size_t end = std::min(all.size(), begin + batch);
    std::vector<receipt> acks;
    std::vector<nacked_job> nacks;
    std::vector<journal_entry> told;
    for (std::size_t index = begin; index < end; ++index) {
      auto& [entry, how] = all[index];
      const bool ended = entry.state == journal_state::ended;
      if (ended && how.what == settlement::verdict::ack) {
        acks.push_back(entry.receipt);
      } else if (ended && how.what == settlement::verdict::nack) {
        nacks.push_back({entry.receipt, how.reason, how.text});
      } else if (entry.state == journal_state::started) {
        nacks.push_back({entry.receipt, nack_reason::failed, died_with_service});
      } else if (!ended) {
        nacks.push_back({entry.receipt, nack_reason::returned, "it was taken and had not begun"});
      }
      told.push_back(entry);
    }
    const auto unknown_acks = into.ack(acks);
    const auto unknown_nacks = into.nack(nacks);
    settle(told, died_with_service);
    done.stale += unknown_acks.size() + unknown_nacks.size();
    done.acked += acks.size() - unknown_acks.size();
    for (const nacked_job& each : nacks) {
      if (std::find(unknown_nacks.begin(), unknown_nacks.end(), each.receipt) !=
          unknown_nacks.end()) {
        continue;
      }
      ++(each.reason == nack_reason::returned ? done.returned : done.failed);
    }
  }
  return done;
}

journal_recovery journal_store::requeue(queue& into, const enqueue_options& options) {
  std::vector<found_entry> all = file_.read("read", [&](storage::connection& db) {
    return entries(db, unfinished_query, to_integer(run_));
  });
  std::vector<journal_entry> fresh;  // had not begun
  std::vector<journal_entry> tried;  // had
  std::vector<journal_entry> over;
  for (auto& [entry, how] : all) {
    if (entry.leased) continue;
    const bool failed = entry.state == journal_state::ended &&
                        how.what == settlement::verdict::nack && how.reason == nack_reason::failed;
    const bool returned = entry.state == journal_state::ended &&
                          how.what == settlement::verdict::nack &&
                          how.reason == nack_reason::returned;
    if (entry.state == journal_state::started || failed) {
      tried.push_back(std::move(entry));
    } else if (entry.state != journal_state::ended || returned) {
      fresh.push_back(std::move(entry));
    } else {
      over.push_back(std::move(entry));  // nobody needs to be told
    }
  }
  settle(over, "");
  journal_recovery done;
  const auto move_all = [&](const std::vector<journal_entry>& these, unsigned attempts_made) {
    if (options.max_attempts <= attempts_made) return;
    enqueue_options how = options;
    how.max_attempts -= attempts_made;
    for (std::size_t begin = 0; begin < these.size(); begin += batch) {
      const auto some = std::span(these).subspan(begin, std::min(batch, these.size() - begin));
      std::vector<job_message> messages;
      for (const journal_entry& each : some)
        messages.push_back(each.message);
      static_cast<void>(into.enqueue_all(messages, how));
      settle(some, "put into " + into.describe());
      done.requeued += some.size();
    }
  };
  move_all(fresh, 0);
  move_all(tried, 1);
  return done;
}

}  // namespace hardstop::serving
