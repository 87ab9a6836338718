#include "engine/engine.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <string>

#include "engine/scheduled.hpp"
#include "guardian/role.hpp"
#include "os/module.hpp"
#include "os/proc.hpp"
#include "os/same_process.hpp"
#include <hardstop/errors.hpp>

namespace hardstop::engine {

namespace {

std::atomic<engine*> of_this_process{nullptr};

// To ask a job where it is before it is killed takes a fraction of this, unless the machine is
// busy.
constexpr std::chrono::milliseconds notice_to_ask{3};

schedule::pool_policy policy_of(const pool_options& options, const worker_language& language) {
  schedule::pool_policy policy;
  policy.workers = static_cast<std::size_t>(options.workers.value_or(usable_cpus()));
  policy.spares = static_cast<std::size_t>(options.spares);
  policy.min_workers =
      options.min_workers ? static_cast<std::size_t>(*options.min_workers) : policy.workers;
  policy.idle_timeout = options.idle_timeout.value_or(schedule::forever);
  policy.max_jobs_per_worker = options.max_jobs_per_worker;
  policy.start_timeout = options.start_timeout;
  if (language.question_signal() != 0) policy.notice = notice_to_ask;
  return policy;
}

schedule::cancel_mode scheduled(cancel_mode mode) {
  switch (mode) {
    case cancel_mode::ask:
      return schedule::cancel_mode::ask;
    case cancel_mode::ask_then_kill:
      return schedule::cancel_mode::grace;
    case cancel_mode::take_back:
      return schedule::cancel_mode::take_back;
    case cancel_mode::kill:
      break;
  }
  return schedule::cancel_mode::kill;
}

schedule::duration grace_or_now(nanoseconds grace) {
  return std::max(grace, nanoseconds{0});
}

}  // namespace

engine::engine() : generation_(os::process_generation()), control_(*this), delivery_(*this) {}

engine& engine::instance() {
  engine* found = of_this_process.load(std::memory_order_acquire);
  if (found != nullptr && found->is_of_this_process()) return *found;
  // The first use here, or the first after a fork: then the copy that was inherited belongs to
  // nobody, and its threads do not exist. Never freed, since a job may be released when everything
  // else of this process has been destroyed.
  auto* fresh = new engine();
  if (of_this_process.compare_exchange_strong(found, fresh, std::memory_order_acq_rel))
    return *fresh;
  delete fresh;
  return *of_this_process.load(std::memory_order_acquire);
}

engine* engine::existing() {
  engine* const found = of_this_process.load(std::memory_order_acquire);
  return found != nullptr && found->is_of_this_process() ? found : nullptr;
}

// --- turns

turn::turn(engine& home) : home_(home), lock_(home.mutex_), now_(os::now()) {}

void turn::finish() {
  if (lock_.owns_lock()) home_.work_off(*this);
}

void engine::work_off(turn& ending) {
  // What a settlement turns up may end further jobs, so that it comes first.
  while (!outbox_.to_settle.empty()) {
    const auto [at, witness] = outbox_.to_settle.back();
    outbox_.to_settle.pop_back();
    read_to_the_end(*at, ending.now());
    scheduler_.settled(*at, witness, ending.now());
  }

  if (chores_postponed_) resume_chores(ending.now());

  // Bells are rung without the lock; the handles keep the lanes' memory alive until then.
  std::array<wire::lane_signals, 4> bells;
  std::size_t bell_count = 0;
  for (worker* at : outbox_.touched) {
    at->touched = false;
    if (!at->channel || !at->channel->ring_needed()) continue;
    if (bell_count == bells.size()) {
      at->channel->signals().ring();
    } else {
      bells[bell_count++] = at->channel->signals();
    }
  }
  outbox_.touched.clear();

  schedule::job* ended = std::exchange(outbox_.ended_first, nullptr);
  outbox_.ended_last = nullptr;
  const schedule::instant next =
      std::min(scheduler_.next_timer().value_or(schedule::never), next_check_);
  const bool timers_moved = next < armed_;
  if (timers_moved) armed_ = next;
  const bool watch = std::exchange(memory_watched_, false);
  const bool lanes_changed = std::exchange(lanes_changed_, false);
  std::optional<outbox> slow;
  if (!outbox_.plain()) slow = std::exchange(outbox_, {});
  ending.lock_.unlock();

  for (const wire::lane_signals& bell : std::span(bells).first(bell_count))
    bell.ring();
  settle_ended(ended);
  if (timers_moved) control_.look_at_timers();
  if (watch) control_.watch_memory();
  if (lanes_changed) delivery_.wake();
  if (slow) work_off_slowly(std::move(slow).value());
}

void engine::work_off_slowly(outbox work) {
  wake_granted(std::move(work.to_wake));
  for (detail::continuation* const each : work.to_resume)
    each->run();
  if (!work.to_spawn.empty()) control_.spawn(std::move(work.to_spawn));
  for (auto& whose : work.to_birth) {
    // The first guardian is born in the thread that submits first, which is what a fork user
    // expects; a later one in the thread that may run user code, fork handlers included.
    if (whose->counters.births <= 1) {
      give_birth(whose);
    } else {
      delivery_.give_birth_later(std::move(whose));
    }
  }
  for (const auto& whose : work.closed)
    leave_pool(whose);
}

namespace {

// Of a list of continuations, those that somebody has to run.
detail::continuation* without_those_left_to_waiters(detail::continuation* list) {
  detail::continuation* kept = nullptr;
  detail::continuation** end = &kept;
  while (list != nullptr) {
    detail::continuation* const each = list;
    list = each->next;
    if (each->left_to_waiter()) continue;
    *end = each;
    end = &each->next;
  }
  *end = nullptr;
  return kept;
}

}  // namespace

void engine::settle_ended(schedule::job* next) {
  while (next != nullptr) {
    job& which = ours(*next);
    next = next->next;
    if (large_result* large = which.large_out()) large->make_room();
    if (auto* const waiting = without_those_left_to_waiters(which.settle())) {
      delivery_.run_later(waiting);
    }
    if (which.release()) stock_.give_back(&which);
  }
}

// --- pools

std::shared_ptr<pool> engine::open(const pool_options& options,
                                   std::shared_ptr<worker_language> language) {
  if (guardian::role_of_this_process() != guardian::process_role::client) {
    throw not_initialised(
        "a pool was made in a process that the library executed as a worker or guardian, before it "
        "called "
        "hardstop::init(argc, argv): make that call the first of main()");
  }
  auto made = std::make_shared<pool>(options, std::move(language));
  made->home = this;
  if (options.initializer) {
    const auto [module, offset] = detail::identify(options.initializer.function);
    made->initializer = {module, offset};
  }
  turn now(*this);
  made->name = options.name.empty() ? "pool" + std::to_string(++last_pool_) : options.name;
  scheduler_.open(*made, policy_of(options, *made->language));
  return made;
}

// The pool's end; its threads end with the last wait_closed().
void engine::leave_pool(const std::shared_ptr<pool>& whose) {
  {
    turn now(*this);
    // A pool without a job was never born: no thread runs that would tell of its end in time.
    if (std::erase(pools_, whose) != 0) news(*whose, event_kind::pool_closed);
    lanes_version_.fetch_add(1, std::memory_order_release);
    make_room(*whose);
  }
  whose->closed.store(1, std::memory_order_release);
  os::futex_wake(whose->closed, os::futex_scope::process);
}

void engine::news(pool& whose, event_kind kind, int pid, std::string text) {
  if (!whose.options.on_event) return;
  delivery_.tell_later({.pool = whose.shared_from_this(),
                        .kind = kind,
                        .when = std::chrono::system_clock::now(),
                        .job = {},
                        .pid = pid,
                        .attempt = 0,
                        .text = std::move(text)});
}

void engine::prepare(pool& whose) {
  std::call_once(whose.prepared, [&] {
    auto arena = wire::argument_arena::create(
        {.pages = whose.options.huge_pages ? wire::page_choice::huge : wire::page_choice::normal});
    if (!arena) {
      throw system_failure(
          std::error_code(arena.error().code, std::generic_category()),
          "no shared memory for pool '" + whose.name + "' (" + arena.error().operation + ")");
    }
    whose.arguments = std::move(*arena);
  });
}

const detail::pool_handle& engine::shared_pool() {
  static_cast<void>(this);
  const std::lock_guard lifecycle(shared_pool_lock_);
  if (!shared_pool_) {
    pool_options options;
    options.name = "hardstop::run";
    options.min_workers = 1;
    options.idle_timeout = std::chrono::seconds(60);
    shared_pool_ = std::make_unique<detail::pool_handle>(options);
  }
  return *shared_pool_;
}

bool engine::on_delivery_thread() const {
  return delivery_.is_this_thread();
}

bool engine::is_of_this_process() const {
  return generation_ == os::process_generation();
}

// --- jobs

job* engine::submit(pool& home, const detail::submission& what) {
  if (home.options.start != start_method::fork && what.function != detail::function_id() &&
      !os::travels_by_exec(what.function.module)) {
    throw other_build(
        "the module of job '" + std::string(what.default_name) +
        "' has no build-id, by which an executed worker would find its functions: link it with "
        "-Wl,--build-id, or use start_method::fork");
  }
  check_needs(what.options, what.options.name.empty() ? what.default_name : what.options.name);
  prepare(home);
  auto large = large_arguments::of(what.arguments, *home.arguments);
  while (true) {
    turn now(*this);
    refuse_if_closed(home);
    const std::size_t pending = home.jobs.size() + home.without_permits.size();
    if (home.options.max_pending == 0 || pending < home.options.max_pending) {
      return enter_job(home, what, std::move(large), now.now());
    }
    if (home.options.when_full == when_full::reject || !what.may_wait ||
        delivery_.is_this_thread()) {
      ++home.numbers.rejected;
      throw queue_full(
          "pool '" + home.name + "' has " + std::to_string(pending) +
          " jobs waiting, its max_pending: submit later, raise max_pending, or let submit wait "
          "(when_full::block, outside of continuations)");
    }
    // Counted and read under the lock, so that room made after it changes the word.
    home.waiting_for_room.fetch_add(1, std::memory_order_relaxed);
    const std::uint32_t seen = home.room.load(std::memory_order_relaxed);
    now.finish();
    os::futex_wait(home.room, seen, os::futex_scope::process);
    home.waiting_for_room.fetch_sub(1, std::memory_order_relaxed);
  }
}

void engine::refuse_if_closed(const pool& home) {
  if (home.intake == schedule::intake::shut_down) {
    throw pool_closed("pool '" + home.name +
                      "' takes no more jobs: it is shutting down. Submit before shutdown(), or "
                      "make another pool");
  }
  if (home.intake == schedule::intake::broken) {
    throw pool_broken("pool '" + home.name + "' is broken: " + home.broken_reason);
  }
}

job* engine::enter_job(pool& home, const detail::submission& what,
                       std::unique_ptr<large_arguments> large, schedule::instant now) {
  const job_options& options = what.options;
  job* which = stock_.take();
  which->retain();  // one for the engine, one for the caller
  which->home = this;
  which->function = {what.function.module, what.function.offset};
  if (large && large->payload) {
    which->bytes.clear();
  } else {
    which->bytes.assign(what.arguments.bytes());
  }
  if (large) which->make_extra().large_in = std::move(large);
  which->grace = options.grace;
  if (!options.name.empty()) which->make_extra().name = options.name;
  const std::uint64_t max_memory =
      options.max_memory != 0 ? options.max_memory : home.options.max_memory;
  if (max_memory != 0) which->make_extra().max_memory = max_memory;
  which->default_name = what.default_name;
  which->leftovers = options.leftovers;
  which->seals_lane = options.leftovers == leftovers::kill;
  which->timeout = options.timeout.value_or(schedule::forever);
  which->priority = options.priority;
  which->retries = static_cast<std::uint16_t>(std::min(options.retries, 65535U));
  which->submitted_at = now;
  if (!options.needs.empty()) add_needs(*which, options.needs);
  scheduler_.submit(home, *which, now);
  return which;
}

cancel_result engine::cancel(job& which, cancel_mode mode, std::optional<nanoseconds> grace) {
  turn now(*this);
  if (which.state == schedule::job_state::ended || which.done()) return cancel_result::too_late;
  // What has finished already is not killed for nothing.
  if (which.worker != nullptr) read_lane(ours(*which.worker), now.now(), wire::lane_slots);
  if (which.state == schedule::job_state::ended) return cancel_result::too_late;
  const auto answer = scheduler_.cancel(which, scheduled(mode),
                                        grace_or_now(grace.value_or(which.grace)), now.now());
  if (answer == schedule::cancel_answer::too_late) return cancel_result::too_late;
  return which.state == schedule::job_state::ended ? cancel_result::cancelled
                                                   : cancel_result::requested;
}

job_state engine::observe(job& which) {
  if (which.done()) return job_state::done;
  turn now(*this);
  if (which.state != schedule::job_state::ended && which.worker != nullptr) {
    read_lane(ours(*which.worker), now.now(), wire::lane_slots);
  }
  if (which.state == schedule::job_state::ended)
    return job_state::running;  // its end is about to be published
  return scheduler_.observe(which, now.now()) == schedule::job_state::running ? job_state::running
                                                                              : job_state::queued;
}

void engine::listen(job& which, detail::news_listener& to) {
  turn now(*this);
  if (which.state == schedule::job_state::ended) return;
  job::extras& extra = which.make_extra();
  extra.listener = &to;
  if (!extra.news.empty() && to.set_out()) delivery_.run_later(&to);
}

std::vector<std::byte> engine::news_of(job& which) {
  turn now(*this);
  return which.extra() != nullptr ? which.extra()->news : std::vector<std::byte>();
}

void engine::shut_down(pool& home, const shutdown_options& options) {
  turn now(*this);
  std::optional<schedule::instant> kill_at;
  if (options.timeout) kill_at = schedule::later(now.now(), *options.timeout);
  make_room(home);
  scheduler_.shut_down(home,
                       options.cancel_pending ? schedule::pending::cancel : schedule::pending::run,
                       kill_at, now.now());
}

std::optional<schedule::instant> engine::time_reached() {
  // An attempt that has finished is not stopped for being late: read first.
  read_lanes();
  turn now(*this);
  check_lines(now.now());
  hear_last_words(now.now());
  scheduler_.time_reached(now.now());
  next_check_ = std::min(earliest_check(), next_look_at_answers(now.now()));
  armed_ = std::min(scheduler_.next_timer().value_or(schedule::never), next_check_);
  return armed_ == schedule::never ? std::nullopt : std::optional(armed_);
}

bool engine::refresh(lane_list& known) {
  const std::uint64_t version = lanes_version_.load(std::memory_order_acquire);
  if (known.version == version) return false;
  const std::lock_guard lock(mutex_);
  known.version = lanes_version_.load(std::memory_order_acquire);
  known.lanes.clear();
  for (const auto& home : pools_) {
    for (auto* node = home->workers.front(); node != nullptr;
         node = schedule::sibling_list::after(*node)) {
      if (ours(*node).channel) known.lanes.push_back(ours(*node).channel->signals());
    }
  }
  return true;
}

pool_stats engine::stats(pool& home) {
  read_lanes();
  turn now(*this);
  const schedule::pool_picture picture = schedule::scheduler::picture(home);
  // A process that could not be killed may have gone since.
  std::erase_if(home.numbers.unconfirmed,
                [](const unconfirmed& each) { return !os::read_stat(each.pid); });
  pool_stats all = home.numbers;
  all.queued = picture.queued;
  all.running = picture.running;
  all.in_lanes = picture.in_lanes - std::min(picture.in_lanes, picture.running);
  all.workers = picture.idle + picture.running - std::min(picture.running, picture.stopping);
  all.spares = picture.spares;
  all.shields = home.counters.shields;
  all.shielded = home.counters.shielded;
  for (auto* node = home.workers.front(); node != nullptr;
       node = schedule::sibling_list::after(*node)) {
    const job* const front = front_of(ours(*node));
    if (front == nullptr || front->shielded_since == schedule::never) continue;
    all.shielded_now.push_back({.job = std::string(front->name()),
                                .reason = front->extra()->shield_reason,
                                .since = now.now() - front->shielded_since});
    all.shielded += std::max(all.shielded_now.back().since, nanoseconds{0});
  }
  all.starting = picture.starting;
  all.stopping = picture.stopping + picture.retiring;
  all.submitted = home.counters.submitted;
  all.retries = home.counters.retried;
  all.respawns = home.counters.respawns;
  all.kills = home.counters.kills;
  return all;
}

detail::pool_roster engine::roster(pool& home, bool fill) {
  read_lanes();
  turn now(*this);
  if (fill) scheduler_.fill(home, now.now());
  detail::pool_roster all;
  for (const auto& [id, member] : home.members) {
    const bool takes_jobs = member->state == schedule::worker_state::ready && !member->spare;
    if (takes_jobs) all.pids.push_back(member->process.pid());
  }
  all.wanted = home.closing ? 0 : home.slots;
  if (home.intake == schedule::intake::broken) all.broken = home.broken_reason;
  return all;
}

}  // namespace hardstop::engine
