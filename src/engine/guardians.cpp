// What guardians say, and what it means when they fall silent. Called by the control thread.
#include <csignal>
#include <string>

#include "engine/control.hpp"
#include "engine/engine.hpp"
#include "engine/scheduled.hpp"

namespace hardstop::engine {

namespace {

// A guardian answers a ping within microseconds. One that owes an answer is looked at after the
// first of these, told to continue in case a job stopped it, and killed after the second: then its
// warden sweeps.
constexpr auto suspicious_after = std::chrono::milliseconds(200);
constexpr auto given_up_after = std::chrono::milliseconds(1000);

std::string in_words(const wire::gone& account) {
  switch (account.unconfirmed.reason) {
    case wire::survival::uninterruptible:
      return "in uninterruptible sleep in the kernel";
    case wire::survival::traced:
      return "traced by process " + std::to_string(account.unconfirmed.tracer);
    case wire::survival::permission:
      return "runs as another user and may not be signalled";
    case wire::survival::ending:
      return "killed, and the kernel is still taking it apart";
    case wire::survival::none:
      break;
  }
  return {};
}

std::string_view in_words(wire::birth_stage stage) {
  switch (stage) {
    case wire::birth_stage::exec:
      return "executing the worker's program";
    case wire::birth_stage::cgroup:
      return "moving it into its cgroup";
    case wire::birth_stage::fork:
    case wire::birth_stage::worker:
      return "forking it";
    default:
      return "starting it";
  }
}

schedule::death death_of(const wire::gone& account, const std::string& last_words) {
  schedule::death how;
  how.signal = account.status.signal;
  how.exit_code = account.status.signal == 0 ? account.status.code : -1;
  how.core_dumped = account.status.core_dumped;
  how.cpu_time = account.cpu_time;
  how.peak_memory = account.peak_memory;
  how.processes = std::max(account.processes_stopped, 1U);
  how.unconfirmed_pid = account.unconfirmed.pid;
  how.unconfirmed_reason = in_words(account);
  how.last_words = last_words;
  if (account.birth_error != 0) {
    how.last_words =
        std::string(in_words(account.birth)) + ": " + std::strerror(account.birth_error);
  }
  return how;
}

std::string in_words(const schedule::death& how) {
  if (!how.last_words.empty()) return how.last_words;
  if (how.signal != 0) return "signal " + std::to_string(how.signal);
  return "exit code " + std::to_string(how.exit_code);
}

}  // namespace

worker* engine::find(pool& home, wire::worker_id id) {
  const auto place = home.members.find(static_cast<std::uint64_t>(id));
  return place == home.members.end() ? nullptr : place->second.get();
}

void engine::send(guardian_line& line, const wire::request& message,
                  std::span<const os::descriptor* const> beside) {
  // What has an answer: a report, or for a dismissal its end.
  if (!std::holds_alternative<wire::ping>(message)) {
    ++line.unanswered;
    if (line.check_at == schedule::never) {
      line.check_at = os::now() + suspicious_after;
      line.heard_at_check = line.heard;
      line.silent_checks = 0;
      next_check_ = std::min(next_check_, line.check_at);
    }
  }
  const wire::encoded bytes = wire::encode(message);
  if (line.unsent.empty()) {
    std::vector<int> numbers;
    for (const os::descriptor* each : beside)
      numbers.push_back(each->get());
    const auto sent = line.link.control.send(bytes.bytes(), numbers);
    // Any error but a full socket means that it is gone: its pidfd tells, and nothing needs this
    // message then.
    if (sent || sent.error().code != EAGAIN) return;
  }
  std::vector<os::descriptor> kept;
  for (const os::descriptor* each : beside) {
    if (auto copy = each->duplicate()) kept.push_back(std::move(*copy));
  }
  line.unsent.emplace_back(bytes, std::move(kept));
  control_.write_when_possible(line);
}

bool engine::send_queued(guardian_line& line) {
  while (!line.unsent.empty()) {
    const auto& [message, beside] = line.unsent.front();
    std::vector<int> numbers;
    for (const os::descriptor& each : beside)
      numbers.push_back(each.get());
    const auto sent = line.link.control.send(message.bytes(), numbers);
    if (!sent && sent.error().code == EAGAIN) return false;
    line.unsent.pop_front();
  }
  return true;
}

bool engine::send_unsent(guardian_line& line) {
  turn now(*this);
  return send_queued(line);
}

void engine::report_received(pool& home, guardian_line& line, os::seqpacket::received& message,
                             std::span<const std::byte> bytes) {
  const auto report = wire::decode_report(bytes);
  turn now(*this);
  ++line.heard;
  if (!report || wire::descriptors_beside(*report) != message.descriptor_count) {
    // Not a guardian that we know: it is stopped like one that hangs.
    static_cast<void>(line.link.guardian.send_signal(SIGKILL));
    return;
  }
  if (const auto* spawned = std::get_if<wire::spawned>(&*report)) {
    answered(line);
    on_spawned(home, *spawned, std::move(message.descriptors[0]), now.now());
  } else if (const auto* failed = std::get_if<wire::spawn_failed>(&*report)) {
    answered(line);
    on_spawn_failed(home, *failed, now.now());
  } else if (const auto* gone = std::get_if<wire::gone>(&*report)) {
    on_gone(home, *gone, now.now());
  }
}

void engine::answered(guardian_line& line) {
  if (line.unanswered != 0) --line.unanswered;
}

void engine::on_spawned(pool& home, const wire::spawned& fresh, os::descriptor process,
                        schedule::instant now) {
  worker* at = find(home, fresh.worker);
  if (at == nullptr) return;
  at->process = os::pidfd(std::move(process), fresh.pid);
  if (at->killed) {
    static_cast<void>(at->process.send_signal(SIGKILL));
  } else if (at->ready) {
    worker_is_ready(*at, now);
  }
}

void engine::on_spawn_failed(pool& home, const wire::spawn_failed& why, schedule::instant now) {
  worker* at = find(home, why.worker);
  if (at == nullptr) return;
  schedule::death how;
  how.last_words = std::string(in_words(why.stage)) + ": " + std::strerror(why.error);
  news(home, event_kind::worker_failed, 0, how.last_words);
  report_gone(*at, how, nullptr, now);
}

void engine::on_gone(pool& home, const wire::gone& account, schedule::instant now) {
  worker* at = find(home, account.worker);
  if (at == nullptr) return;
  if (at->killed && home.line) answered(*home.line);
  read_to_the_end(*at, now);
  const schedule::death how = death_of(account, at->last_words);
  const int pid = account.pid;
  if (how.unconfirmed_pid != 0) {
    home.numbers.unconfirmed.push_back({how.unconfirmed_pid, how.unconfirmed_reason});
    news(home, event_kind::worker_unconfirmed, how.unconfirmed_pid, how.unconfirmed_reason);
  }
  if (at->stopping == schedule::stop_reason::start_timeout) {
    news(home, event_kind::worker_failed, pid,
         "not ready within its start_timeout of " + to_string(home.options.start_timeout));
  } else if (at->killed) {
    home.numbers.cancel_to_gone.record(os::now() - at->killed_at);
    news(home, event_kind::worker_killed, pid,
         std::to_string(account.processes_stopped) + " processes stopped");
  } else if (at->schedule::worker::state == schedule::worker_state::starting) {
    news(home, event_kind::worker_failed, pid, in_words(how));
  } else if (at->exit_asked) {
    news(home, event_kind::worker_exited, pid);
  } else {
    news(home, event_kind::worker_died, pid, in_words(how));
  }
  report_gone(*at, how, &account, now);
}

void engine::report_gone(worker& at, const schedule::death& how, const wire::gone* account,
                         schedule::instant now) {
  pool& home = ours(*at.pool);
  const auto retries = home.counters.retried;
  job* victim = front_of(at);
  // The kernel enforced the limit of the worker's cgroup before our own watch did.
  const bool out_of_memory = account != nullptr && account->oom_kills > 0 && victim != nullptr &&
                             victim->max_memory() != 0;
  if (out_of_memory && victim->stopping == schedule::stop_reason::none) {
    victim->stopping = schedule::stop_reason::memory;
    at.memory_seen = std::max(at.memory_seen, victim->max_memory());
  }
  current_ = {.at = &at, .report = nullptr, .gone = account, .large = nullptr, .now = now};
  scheduler_.worker_gone(at, how, now);
  current_ = {};
  if (home.counters.retried != retries)
    news(home, event_kind::job_retried, 0, std::string(victim->name()));
  tell_if_broken(home);
}

void engine::tell_if_broken(pool& home) {
  if (home.intake != schedule::intake::broken || std::exchange(home.told_broken, true)) return;
  news(home, event_kind::pool_broken, 0, home.broken_reason);
}

void engine::guardian_lost(pool& home, guardian_line& line) {
  turn now(*this);
  if (line.lost || line.dismissed) return;
  line.lost = true;
  ++home.numbers.guardians_lost;
  news(home, event_kind::guardian_lost, line.link.facts.guardian_pid, "its workers end with it");
  scheduler_.guardian_lost(home, now.now());
}

void engine::guardian_gone(pool& home, const std::shared_ptr<guardian_line>& line) {
  turn now(*this);
  // A host that adopts orphans has both as children (see guardian/birth.hpp); elsewhere this does
  // nothing.
  static_cast<void>(line->link.guardian.reap());
  static_cast<void>(line->link.warden.reap());
  if (home.line != line) return;
  home.line.reset();
  // Whoever is left did not end by itself, and no guardian can tell how.
  std::vector<worker*> left;
  for (auto* node = home.workers.front(); node != nullptr;
       node = schedule::sibling_list::after(*node)) {
    left.push_back(&ours(*node));
  }
  for (worker* at : left) {
    static_cast<void>(at->process ? at->process.reap() : std::nullopt);
    read_to_the_end(*at, now.now());
    schedule::death how;
    how.signal = SIGKILL;
    how.guardian_lost = true;
    how.last_words = at->last_words;
    report_gone(*at, how, nullptr, now.now());
  }
  scheduler_.guardian_gone(home, now.now());
}

void engine::cannot_watch(pool& home, const std::shared_ptr<guardian_line>& line) {
  guardian_lost(home, *line);
  static_cast<void>(line->link.guardian.send_signal(SIGKILL));
  // The warden sweeps and exits, which takes it milliseconds.
  static_cast<void>(line->link.warden.wait_ended(std::chrono::seconds(5)));
  guardian_gone(home, line);
}

// Looks after guardians that owe an answer. A job that stopped its guardian must not hold up a
// kill.
void engine::check_lines(schedule::instant now) {
  for (const auto& home : pools_) {
    if (!home->line || home->line->check_at > now) continue;
    guardian_line& line = *home->line;
    if (line.unanswered == 0) {
      line.check_at = schedule::never;
      continue;
    }
    if (line.heard != line.heard_at_check) {
      line.heard_at_check = line.heard;
      line.silent_checks = 0;
    } else if (++line.silent_checks >= given_up_after / suspicious_after) {
      line.check_at = schedule::never;
      static_cast<void>(line.link.guardian.send_signal(SIGKILL));
      continue;
    }
    static_cast<void>(line.link.warden.send_signal(SIGCONT));
    static_cast<void>(line.link.guardian.send_signal(SIGCONT));
    line.check_at = now + suspicious_after;
    send(line, wire::ping{++line.pings});
  }
}

schedule::instant engine::earliest_check() const {
  schedule::instant next = schedule::never;
  for (const auto& home : pools_) {
    if (home->line) next = std::min(next, home->line->check_at);
  }
  return next;
}

}  // namespace hardstop::engine
