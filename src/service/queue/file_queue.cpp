#include "service/queue/file_queue.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <type_traits>
#include <utility>

#include "os/clock.hpp"
#include "service/database.hpp"
#include "service/database_file.hpp"
#include "service/queue/cancel_watch.hpp"
#include "service/queue/checks.hpp"
#include "service/queue/doorbell.hpp"
#include "service/queue/group_commit.hpp"
#include "service/queue/job_table.hpp"
#include "service/queue/looking.hpp"
#include "service/queue/schema.hpp"

namespace hardstop::storage {
namespace {

using std::chrono::nanoseconds;

// In case somebody changes the file with tools that do not ring, or the clock is set.
constexpr nanoseconds longest_sleep = std::chrono::seconds(1);
// So that a deadline can be computed: longer than anybody waits.
constexpr nanoseconds longest_patience = std::chrono::hours(24 * 365);

constexpr std::size_t taken_between_forgetting = 256;

struct addition {
  std::span<const job_message> messages;
  const enqueue_options& options;
  std::vector<std::string> ids{};
};

// Who settles tidies up: nobody waits for that. Others do it where nobody settles for long.
constexpr int settling_checkpoint = 1000;
constexpr int enqueueing_checkpoint = 4000;
constexpr int taking_checkpoint = 16000;

// Who takes and extends does not wait for the disk: a lease may be lost in a power cut. Whoever had
// it has died with the machine; the job is queued again, and what that service's journal still says
// about the lost lease is refused, unless another service was quicker and has been given a lease of
// the same number. It then loses that lease to the truth (it was done) or to one attempt more. All
// that settles a job waits for the disk, and with it for every lease before it: so at most the last
// lease of a job can be lost.
file_options lasting(const queue_options& options, durability wanted, int checkpoint) {
  return {.durability = wanted,
          .busy_timeout = options.busy_timeout,
          .opening = opening::on_first_use,
          .checkpoint_pages = checkpoint};
}

template <class Item, class Settle>
std::vector<receipt> settle_each(std::span<const Item> items, Settle&& settle) {
  std::vector<receipt> refused;
  for (const auto& each : items) {
    if (settle(each)) continue;
    if constexpr (std::is_same_v<Item, receipt>) {
      refused.push_back(each);
    } else {
      refused.push_back(each.receipt);
    }
  }
  return refused;
}

}  // namespace

class file_queue::in_process {
 public:
  in_process(const std::string& path, const queue_options& options, wall_clock now)
      : options_(options),
        now_(std::move(now)),
        enqueueing_(path, queue_file, lasting(options, options.durability, enqueueing_checkpoint)),
        settling_(path, queue_file, lasting(options, options.durability, settling_checkpoint)),
        taking_(path, queue_file, lasting(options, durability::process, taking_checkpoint)),
        looking_(path, queue_file, lasting(options, durability::process, taking_checkpoint)),
        watching_(path, queue_file, lasting(options, durability::process, taking_checkpoint)),
        additions_([this](std::span<addition* const> group) { add(group); }),
        bell_(path) {}

  std::vector<std::string> enqueue(std::span<const job_message> messages,
                                   const enqueue_options& options) {
    addition mine{.messages = messages, .options = options};
    additions_.submit(mine);
    return std::move(mine.ids);
  }

  bool cancel(std::string_view id) {
    const auto done = enqueueing_.write(
        "cancel a job in", [&](connection& db) { return storage::cancel(db, id, now_()); });
    if (done == cancelling::asked_its_service) ring(path());
    return done != cancelling::nothing;
  }

  bool requeue(std::string_view id) {
    const bool done = enqueueing_.write(
        "requeue a job in", [&](connection& db) { return storage::requeue(db, id, now_()); });
    if (done) ring(path());
    return done;
  }

  // Looks before it writes, so that those who wait in vain do not keep writers out.
  taking take(std::size_t at_most, nanoseconds patience) {
    const auto deadline = os::now() + std::min(patience, longest_patience);
    for (;;) {
      bell_.forget_rings();
      const auto now = now_();
      const auto seen =
          taking_.read("look for jobs in", [&](connection& db) { return look_ahead(db, now); });
      if (seen.something) {
        auto jobs = take_now(at_most, now);
        if (!jobs.empty()) return {.jobs = std::move(jobs)};
      }
      const auto left = deadline - os::now();
      if (left <= nanoseconds::zero()) return {};
      if (bell_.wait(std::min<nanoseconds>(left, until_next(seen, now)))) return {};
    }
  }

  void interrupt() noexcept { bell_.interrupt(); }

  std::vector<receipt> extend(std::span<const receipt> leases) {
    return taking_.write("extend leases in", [&](connection& db) {
      const auto until = now_() + options_.lease;
      return settle_each(leases,
                         [&](const receipt& each) { return storage::extend(db, each, until); });
    });
  }

  std::vector<receipt> ack(std::span<const receipt> done) {
    return settling_.write("acknowledge jobs in", [&](connection& db) {
      const auto now = now_();
      return settle_each(done, [&](const receipt& each) { return acknowledge(db, each, now); });
    });
  }

  std::vector<receipt> nack(std::span<const nacked_job> jobs) {
    bool again = false;
    auto refused = settling_.write("give back jobs to", [&](connection& db) {
      const auto now = now_();
      return settle_each(jobs, [&](const nacked_job& each) {
        const auto back = give_back(db, each, now);
        again = again || back.again;
        return back.accepted;
      });
    });
    if (again) ring(path());
    return refused;
  }

  void on_cancel(std::function<void(const receipt&)> tell) {
    const std::lock_guard lock{watch_mutex_};
    watch_.reset();
    if (tell) watch_ = std::make_unique<cancel_watch>(watching_, std::move(tell));
  }

  template <class Look>
  auto look(Look&& look) {
    return looking_.read("look at jobs in", std::forward<Look>(look));
  }

 private:
  [[nodiscard]] const std::string& path() const noexcept { return enqueueing_.path(); }

  void add(std::span<addition* const> group) {
    enqueueing_.write("enqueue jobs in", [&](connection& db) {
      const auto now = now_();
      for (addition* const each : group) {
        each->ids.clear();
        for (const auto& message : each->messages)
          each->ids.push_back(insert(db, message, each->options, now));
      }
    });
    ring(path());
  }

  std::vector<taken_job> take_now(std::size_t at_most, wall_time now) {
    auto jobs = taking_.write("take jobs from", [&](connection& db) {
      if (taken_ >= taken_between_forgetting) {
        forget(db, now - options_.keep_done);
        taken_ = 0;
      }
      return take_due(db, at_most, options_.lease, now);
    });
    taken_ += jobs.size();
    return jobs;
  }

  static nanoseconds until_next(const outlook& seen, wall_time now) {
    if (!seen.next) return longest_sleep;
    return std::clamp<nanoseconds>(*seen.next - now, nanoseconds{0}, longest_sleep);
  }

  const queue_options options_;
  const wall_clock now_;
  database enqueueing_;
  database settling_;
  database taking_;
  database looking_;
  database watching_;
  group_commit<addition> additions_;
  doorbell bell_;
  std::atomic<std::size_t> taken_{taken_between_forgetting};
  std::mutex watch_mutex_;
  std::unique_ptr<cancel_watch> watch_;
};

file_queue::file_queue(const std::string& path, const queue_options& options, wall_clock now)
    : path_(absolute(path)),
      options_(options),
      now_(std::move(now)),
      here_([this] { return std::make_unique<in_process>(path_, options_, now_); }) {
  validate(options);
  // Says now what is wrong with the file, and makes it.
  (void)count(queued_state::leased);
}

file_queue::~file_queue() = default;

std::vector<std::string> file_queue::enqueue(std::span<const job_message> messages,
                                             const enqueue_options& options) {
  validate(options);
  for (const auto& each : messages)
    validate(each);
  if (messages.empty()) return {};
  return here_.get().enqueue(messages, options);
}

bool file_queue::cancel(std::string_view id) {
  return here_.get().cancel(id);
}

bool file_queue::requeue(std::string_view id) {
  return here_.get().requeue(id);
}

std::optional<queued_job> file_queue::find(std::string_view id) {
  return here_.get().look([&](connection& db) { return storage::find(db, id); });
}

std::vector<queued_job> file_queue::jobs(const queued_filter& filter) {
  return here_.get().look([&](connection& db) { return list(db, filter); });
}

std::size_t file_queue::count(queued_state state) {
  return here_.get().look([&](connection& db) { return storage::count(db, state); });
}

taking file_queue::take(std::size_t at_most, nanoseconds patience) {
  return here_.get().take(std::max<std::size_t>(at_most, 1), patience);
}

void file_queue::interrupt() noexcept {
  // What this process has not made, nobody waits in.
  if (auto* const here = here_.present()) here->interrupt();
}

std::vector<receipt> file_queue::extend(std::span<const receipt> leases) {
  if (leases.empty()) return {};
  return here_.get().extend(leases);
}

std::vector<receipt> file_queue::ack(std::span<const receipt> done) {
  if (done.empty()) return {};
  return here_.get().ack(done);
}

std::vector<receipt> file_queue::nack(std::span<const nacked_job> jobs) {
  if (jobs.empty()) return {};
  return here_.get().nack(jobs);
}

void file_queue::on_cancel(std::function<void(const receipt&)> tell) {
  if (!tell && here_.present() == nullptr) return;
  here_.get().on_cancel(std::move(tell));
}

}  // namespace hardstop::storage
