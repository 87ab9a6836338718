// A service's life: the caller's thread and the core's.
#include "service/engine.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <system_error>
#include <utility>

#include "service/fault.hpp"
#include <hardstop/errors.hpp>

namespace hardstop::serving {

namespace {

constexpr duration usual_grace = std::chrono::seconds(30);

duration grace_from_environment() {
  const char* const text = std::getenv("HARDSTOP_GRACE");
  if (text == nullptr || *text == '\0') return usual_grace;
  char* end = nullptr;
  const double seconds = std::strtod(text, &end);
  if (*end != '\0' || !(seconds > 0) || seconds > 1e6) {
    throw bad_options("HARDSTOP_GRACE is '" + std::string(text) +
                      "': give it the seconds that the platform allows a service to end in");
  }
  return std::chrono::round<duration>(std::chrono::duration<double>(seconds));
}

void require(bool fine, const char* what) {
  if (!fine) throw bad_options(what);
}

std::string text_of(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception of unknown type";
  }
}

}  // namespace

void write_to_standard_error(const log_record& record) {
  if (record.level < log_level::info) return;
  static constexpr std::array names{"debug", "info", "warning", "error"};
  std::string line = "hardstop ";
  line.append(names[static_cast<std::size_t>(record.level)]).append(": ").append(record.text);
  for (const auto& [name, value] : record.fields)
    line.append(" ").append(name).append("=").append(value);
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);
}

rules rules_from(const service_options& options, const source& from) {
  const duration grace = options.grace ? *options.grace : grace_from_environment();
  const duration rest = options.dispose_time + options.shutdown_time;
  require(options.dispose_time >= duration::zero() && options.shutdown_time >= duration::zero() &&
              options.hurried_drain >= duration::zero() && options.setup_time > duration::zero() &&
              options.progress_interval > duration::zero(),
          "a time of the service is negative or zero: give durations");
  if (rest > grace || (options.drain_time && *options.drain_time + rest > grace)) {
    throw bad_options("drain, dispose and shutdown together take longer than the grace of " +
                      to_string(grace) +
                      ": shorten drain_time, dispose_time or shutdown_time, or "
                      "raise grace (and what the platform allows)");
  }
  require(!options.drain_time || *options.drain_time >= duration::zero(),
          "drain_time is negative: give the time that started jobs have to finish");
  const bool journals = !options.journal.empty();
  require(options.dispose != disposal::journal || journals,
          "dispose = journal needs a journal: name a file in service_options::journal");
  require(options.dispose != disposal::callback || options.hooks.dispose_job,
          "dispose = callback needs hooks.dispose_job");
  require(options.dispose != disposal::requeue || from.leases(),
          "dispose = requeue needs a source that takes jobs back, and this one does not: use "
          "journal, run, callback or raise");
  rules all{.slots = static_cast<std::size_t>(options.pool.workers.value_or(usable_cpus())),
            .window = options.window,
            .setup_time = options.setup_time,
            .drain_time = options.drain_time.value_or(grace - rest),
            .dispose_time = options.dispose_time,
            .shutdown_time = options.shutdown_time,
            .hurried_drain = options.hurried_drain,
            .progress_interval = options.progress_interval,
            .dispose = options.dispose,
            .journals = journals,
            .source_leases = from.leases(),
            .hooks = {}};
  all.prefetch = options.prefetch.value_or(4 * all.slots);
  if (all.dispose == disposal::automatic) {
    all.dispose = from.leases() ? disposal::requeue : journals ? disposal::journal : disposal::run;
  }
  const service_hooks& hooks = options.hooks;
  if (hooks.accept) all.hooks.insert(service_phase::accept);
  if (hooks.drain) all.hooks.insert(service_phase::drain);
  if (hooks.dispose) all.hooks.insert(service_phase::dispose);
  if (hooks.shutdown) all.hooks.insert(service_phase::shutdown);
  return all;
}

service_engine::service_engine(service_options options, std::unique_ptr<runner> run_with)
    : options_(std::move(options)), runner_(std::move(run_with)) {
  if (!options_.on_log) options_.on_log = &write_to_standard_error;
}

service_engine::~service_engine() = default;

// --- the caller's thread

int service_engine::run(source& from, signal_watch* signals) {
  if (std::exchange(ran_, true)) {
    throw bad_options("this service has run already: make another one");
  }
  const rules by = rules_from(options_, from);
  source_ = &from;
  signals_ = signals;
  wake_ = os::descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_) {
    throw system_failure(std::error_code(errno, std::generic_category()), "making an eventfd");
  }
  if (!options_.journal.empty()) {
    journal_.emplace(options_.journal, std::chrono::seconds(5));
    journal_->begin_run(options_.name, from.describe(), from.leases());
  }
  if (options_.private_tmpdir) directories_.emplace();
  systemd_.emplace();
  {
    const std::scoped_lock lock(course_mutex_);
    course_.emplace(by);
  }

  // Before any of our threads: whoever starts the pool forks this process, and none of ours may
  // hold a lock then. The clerk holds none of others, and the log is wanted from the beginning.
  clerk_.emplace("hs-clerk", [this](std::vector<clerk_order>& orders) {
    for (const clerk_order& each : orders)
      do_clerks_work(each);
  });
  taker_.emplace("hs-taker", [this](std::vector<std::size_t>& most) {
    for (const std::size_t each : most)
      take(each);
  });
  settler_.emplace("hs-settler", [this](std::vector<source_order>& orders) { settle(orders); });
  recorder_.emplace("hs-recorder", [this](std::vector<record_order>& orders) { record(orders); });
  starter_.emplace("hs-starter", [this](std::vector<runner_order>& orders) {
    for (runner_order& each : orders)
      obey(each);
  });
  from.on_cancel([this](const receipt& which) {
    post([which](course& at, instant now) { at.cancel(which, now); });
  });
  core_.emplace([this] { run_core(); });
  host_until_over();

  core_->join();
  from.on_cancel({});
  taker_->join();
  settler_->join();
  starter_->join();
  recorder_->join();
  end_journal();
  clerk_->join();
  directories_.reset();
  journal_.reset();
  if (!raised_.empty()) throw jobs_left(std::move(raised_));
  return static_cast<int>(status_);
}

// The recorder has ended.
void service_engine::end_journal() {
  if (!journal_) return;
  write_to_journal(std::exchange(unwritten_, {}));
  if (!journal_broken_) journal_->end_run(status_);
}

void service_engine::in_host(std::function<void()> what) {
  {
    const std::scoped_lock lock(host_mutex_);
    host_orders_.push_back(std::move(what));
  }
  host_changed_.notify_one();
}

void service_engine::host_until_over() {
  std::unique_lock lock(host_mutex_);
  while (true) {
    host_changed_.wait(lock, [&] { return over_ || !host_orders_.empty(); });
    if (over_) return;
    const auto what = std::move(host_orders_.front());
    host_orders_.pop_front();
    host_busy_ = true;
    lock.unlock();
    what();
    lock.lock();
    host_busy_ = false;
  }
}

// Everything that has to be there before the first job: the hook's work, a pool that can run, and
// what a former run has left with the source.
void service_engine::set_up() {
  if (options_.hooks.setup) options_.hooks.setup();
  runner_->open();
  if (!journal_) return;
  if (source_->leases()) {
    try {
      const journal_recovery done = journal_->recover(*source_);
      const std::size_t all = done.acked + done.failed + done.returned + done.stale;
      if (all != 0) {
        log(log_level::warning, "recovered",
            "an earlier run left " + std::to_string(all) +
                " jobs in the journal: " + std::to_string(done.acked) + " were finished, " +
                std::to_string(done.failed) + " had begun, " + std::to_string(done.returned) +
                " had not, " + std::to_string(done.stale) + " are others' by now");
      }
    } catch (const std::exception& error) {
      log(log_level::warning, "source_failed",
          "what an earlier run has left could not be given back: " + std::string(error.what()));
    }
  }
  if (const auto left = journal_->unfinished().size(); left != 0) {
    log(log_level::warning, "unrecovered",
        std::to_string(left) + " jobs of earlier runs are in the journal " + journal_->path() +
            ": see `hardstop recover`");
  }
}

void service_engine::call_hook(service_phase phase) {
  const service_hooks& hooks = options_.hooks;
  try {
    switch (phase) {
      case service_phase::setup:
        set_up();
        break;
      case service_phase::accept:
        hooks.accept();
        break;
      case service_phase::drain:
        hooks.drain();
        break;
      case service_phase::dispose:
        hooks.dispose();
        break;
      case service_phase::shutdown:
        hooks.shutdown();
        break;
      case service_phase::over:
        break;
    }
  } catch (...) {
    const std::string text = text_of(std::current_exception());
    post([phase, text](course& at, instant now) { at.hook_failed(phase, text, now); });
    return;
  }
  post([phase](course& at, instant now) { at.hook_returned(phase, now); });
}

// --- core

void service_engine::post(event what) noexcept {
  bool first = false;
  {
    const std::scoped_lock lock(events_mutex_);
    first = events_.empty();
    events_.push_back(std::move(what));
  }
  if (!first) return;  // whoever was first has written, or is about to
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof(one));
}

void service_engine::run_core() {
  pthread_setname_np(pthread_self(), "hs-service");
  if (const auto often = systemd_->watchdog())
    next_watchdog_ = std::chrono::steady_clock::now() + *often;
  {
    const std::scoped_lock lock(course_mutex_);
    const instant now = std::chrono::steady_clock::now();
    course_->begin(now);
    for (unsigned stops = early_stops_.exchange(~0U); stops != 0; --stops)
      course_->stop(now);
    perform_all();
  }
  bool over = false;
  while (!over) {
    instant wake_at{};
    {
      const std::scoped_lock lock(course_mutex_);
      wake_at = std::min(course_->next_tick(), next_watchdog_);
    }
    sleep_until(wake_at);
    hear_signals();
    const std::scoped_lock lock(course_mutex_);
    handle_events();
    const instant now = std::chrono::steady_clock::now();
    if (now >= course_->next_tick()) course_->tick(now);
    perform_all();
    if (now >= next_watchdog_) {
      systemd_->tell("WATCHDOG=1");
      next_watchdog_ = now + *systemd_->watchdog();
    }
    over = course_->phase() == service_phase::over;
  }
  leave_if_stuck();
  {
    const std::scoped_lock lock(host_mutex_);
    over_ = true;
  }
  host_changed_.notify_one();
}

void service_engine::sleep_until(instant when) {
  std::array<pollfd, 2> watched{
      pollfd{.fd = wake_.get(), .events = POLLIN, .revents = 0},
      pollfd{.fd = signals_ != nullptr ? signals_->handle() : -1, .events = POLLIN, .revents = 0}};
  timespec left{};
  const bool forever = when == instant::max();
  if (!forever) {
    const auto wait = std::max(duration::zero(), duration(when - std::chrono::steady_clock::now()));
    left.tv_sec = static_cast<time_t>(wait.count() / 1'000'000'000);
    left.tv_nsec = static_cast<long>(wait.count() % 1'000'000'000);
  }
  ::ppoll(watched.data(), watched.size(), forever ? nullptr : &left, nullptr);
  std::uint64_t count = 0;
  if ((watched[0].revents & POLLIN) != 0) {
    [[maybe_unused]] const auto size = ::read(wake_.get(), &count, sizeof(count));
  }
}

void service_engine::handle_events() {
  std::vector<event> events;
  {
    const std::scoped_lock lock(events_mutex_);
    events.swap(events_);
  }
  for (event& each : events) {
    each(*course_, std::chrono::steady_clock::now());
    perform_all();
  }
}

void service_engine::hear_signals() {
  if (signals_ == nullptr) return;
  const signals_seen seen = signals_->take();
  const std::scoped_lock lock(course_mutex_);
  for (std::uint32_t count = 0; count < seen.stops; ++count) {
    log(log_level::info, "signal", "told to stop");
    course_->stop(std::chrono::steady_clock::now());
    perform_all();
  }
  if (seen.reports != 0) {
    const std::string text = describe_locked();
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
  }
}

// All is accounted for; what has not returned is code of the user's. Its threads cannot be ended,
// but this process can.
void service_engine::leave_if_stuck() {
  if (!options_.exit_if_stuck) return;
  const auto is_stuck = [&] {
    const std::scoped_lock lock(host_mutex_);
    return host_busy_ || !taker_->idle() || !settler_->idle() || !starter_->idle();
  };
  constexpr int looks = 40;
  for (int look = 0; is_stuck(); ++look) {
    if (look == looks) {
      log(log_level::error, "stuck",
          "calls into the source, a hook or the pool have not returned: leaving with status " +
              std::to_string(static_cast<int>(status_)));
      recorder_->join();
      end_journal();
      for (int tries = 0; tries < looks && !clerk_->idle(); ++tries)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      directories_.reset();
      ::_exit(static_cast<int>(status_));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

void service_engine::stop() noexcept {
  unsigned before = early_stops_.load();
  while (before != ~0U) {  // run() has not come so far
    if (early_stops_.compare_exchange_weak(before, before + 1)) return;
  }
  post([](course& at, instant now) { at.stop(now); });
}

void service_engine::log(log_level level, std::string_view topic, std::string text,
                         std::vector<std::pair<std::string, std::string>> fields) {
  clerk_->post(log_entry{.level = level,
                         .when = std::chrono::system_clock::now(),
                         .text = std::move(text),
                         .event = std::string(topic),
                         .fields = std::move(fields)});
}

}  // namespace hardstop::serving
