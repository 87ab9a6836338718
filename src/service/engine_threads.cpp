// What the threads beside the core do: each may block, and none waits for another.
#include <exception>
#include <string>
#include <unordered_set>
#include <utility>

#include "service/engine.hpp"
#include "service/fault.hpp"
#include <hardstop/errors.hpp>

namespace hardstop::serving {

namespace {

// How long a source may keep us in take() that does not know interrupt().
constexpr auto patience = std::chrono::milliseconds(500);

struct receipt_hash {
  std::size_t operator()(const receipt& of) const noexcept {
    return std::hash<std::string>()(of.job) ^ of.attempt;
  }
};

using receipts = std::unordered_set<receipt, receipt_hash>;

receipts set_of(const std::vector<receipt>& some) {
  return {some.begin(), some.end()};
}

std::string what_went_wrong() {
  try {
    throw;
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception of unknown type";
  }
}

}  // namespace

// --- clerk

void service_engine::do_clerks_work(const clerk_order& order) const {
  if (const auto* left = std::get_if<abandoned_directory>(&order)) {
    attempt_directories::remove(left->path);
    return;
  }
  const log_entry& entry = std::get<log_entry>(order);
  log_record record{
      .level = entry.level, .when = entry.when, .text = entry.text, .event = entry.event};
  for (const auto& [name, value] : entry.fields)
    record.fields.emplace_back(name, value);
  try {
    options_.on_log(record);
  } catch (...) {
    // A log that fails is not worth a service.
    write_to_standard_error(record);
  }
}

// --- taker

void service_engine::take(std::size_t at_most) {
  taking got;
  try {
    got = source_->take(at_most, patience);
  } catch (...) {
    post([text = what_went_wrong()](course& at, instant now) { at.take_failed(text, now); });
    return;
  }
  if (!got.jobs.empty()) fault_point("after take before journal");
  post([this, got = std::move(got)](course& at, instant now) mutable {
    std::vector<taken> fresh;
    for (taken_job& each : got.jobs) {
      const job_number number{++last_number_};
      std::optional<duration> lease;
      if (each.lease_until) {
        lease = std::max<duration>(std::chrono::milliseconds(1),
                                   *each.lease_until - std::chrono::system_clock::now());
      }
      fresh.push_back({.number = number,
                       .receipt = each.receipt,
                       .name = each.message.name,
                       .grace = runner_->grace_of(each),
                       .lease = lease});
      held_job& held = held_[number];
      held.what = std::move(each);
      if (free_cells_.empty()) free_cells_.insert(held_.size() - 1);
      held.cell = free_cells_.extract(free_cells_.begin()).value();
    }
    at.took(fresh, got.exhausted, now);
  });
}

// --- recorder

void service_engine::record(std::vector<record_order>& orders) {
  std::vector<journal_change> changes = std::exchange(unwritten_, {});
  bool urgent = false;
  for (const record_order& each : orders) {
    changes.push_back(each.change);
    urgent = urgent || each.then != next_step::nothing;
  }
  // That the source knows is not worth a commit of its own: forgotten, it would be told again.
  constexpr std::size_t many = 1000;
  if (!urgent && changes.size() < many) {
    unwritten_ = std::move(changes);
    return;
  }
  write_to_journal(std::move(changes));
  fault_point("after journal");
  std::vector<job_number> admitted;
  for (record_order& each : orders) {
    if (each.then == next_step::admit) {
      if (!journal_broken_) admitted.push_back(std::get<job_admitted>(each.change).job);
    } else if (each.then == next_step::settle) {
      proceed(each);
    }
  }
  if (admitted.empty()) return;
  post([admitted = std::move(admitted)](course& at, instant now) {
    for (const job_number job : admitted)
      at.admitted(job, now);
  });
}

void service_engine::write_to_journal(std::vector<journal_change> changes) {
  if (journal_broken_ || changes.empty()) return;
  try {
    journal_->record(changes);
  } catch (...) {
    journal_broken_ = true;
    post([text = what_went_wrong()](course& at, instant now) { at.broke_down(text, now); });
  }
}

// Any thread: once the journal has it, or where there is none.
void service_engine::proceed(record_order& order) {
  auto& [job, how, started_at] = std::get<job_ended>(order.change);
  if (journal_ && !journal_broken_) {
    post([job = job](course& at, instant) { at.end_recorded(job); });
  }
  using verdict = settlement::verdict;
  if (how.what == verdict::ack || how.what == verdict::nack) {
    settler_->post(settle_order{job, order.held->what.receipt, std::move(how)});
    return;
  }
  const auto settled = [this, job = job] {
    post([job](course& at, instant now) { at.settled(job, true, now); });
  };
  if (how.what == verdict::handed_over && options_.dispose == disposal::callback) {
    in_host([this, held = order.held, job = job, settled] {
      try {
        options_.hooks.dispose_job(held->what);
      } catch (...) {
        post([job, text = what_went_wrong()](course& at, instant now) {
          at.settle_failed(job, "hooks.dispose_job threw: " + text, now);
        });
        return;
      }
      settled();
    });
  } else {
    settled();
  }
  if (journal_ && how.what != verdict::journaled) {
    recorder_->post({.change = job_settled{job, true}});
  }
}

// --- settler

void service_engine::settle(std::vector<source_order>& orders) {
  std::vector<settle_order*> acks;
  std::vector<settle_order*> nacks;
  for (source_order& each : orders) {
    if (auto* one = std::get_if<settle_order>(&each)) {
      (one->how.what == settlement::verdict::ack ? acks : nacks).push_back(one);
    } else {
      extend(std::get<extend_order>(each));
    }
  }
  settle_some(acks, nacks);
}

void service_engine::settle_some(const std::vector<settle_order*>& acks,
                                 const std::vector<settle_order*>& nacks) {
  const auto told = [this](const std::vector<settle_order*>& orders, const auto& tell) {
    if (orders.empty()) return;
    std::vector<std::pair<job_number, bool>> settled;
    try {
      const receipts refused = set_of(tell());
      for (const settle_order* each : orders)
        settled.emplace_back(each->job, !refused.contains(each->receipt));
    } catch (...) {
      std::vector<job_number> failed;
      failed.reserve(orders.size());
      for (const settle_order* each : orders)
        failed.push_back(each->job);
      post([failed, text = what_went_wrong()](course& at, instant now) {
        for (const job_number job : failed)
          at.settle_failed(job, text, now);
      });
      return;
    }
    fault_point("after ack before journal");
    if (journal_) {
      for (const auto& [job, accepted] : settled)
        recorder_->post({.change = job_settled{job, accepted}});
    }
    post([settled = std::move(settled)](course& at, instant now) {
      for (const auto& [job, accepted] : settled)
        at.settled(job, accepted, now);
    });
  };
  told(acks, [&] {
    std::vector<receipt> done;
    done.reserve(acks.size());
    for (const settle_order* each : acks)
      done.push_back(each->receipt);
    return source_->ack(done);
  });
  told(nacks, [&] {
    std::vector<nacked_job> back;
    back.reserve(nacks.size());
    for (const settle_order* each : nacks)
      back.push_back({each->receipt, each->how.reason, each->how.text});
    fault_point("during requeue");
    return source_->nack(back);
  });
}

void service_engine::extend(const extend_order& order) {
  std::vector<receipt> leases;
  leases.reserve(order.jobs.size());
  for (const auto& [job, lease] : order.jobs)
    leases.push_back(lease);
  try {
    const receipts lost = set_of(source_->extend(leases));
    std::vector<job_number> gone;
    for (const auto& [job, lease] : order.jobs) {
      if (lost.contains(lease)) gone.push_back(job);
    }
    post([gone = std::move(gone)](course& at, instant now) { at.extended(gone, now); });
  } catch (...) {
    post([text = what_went_wrong()](course& at, instant now) { at.extend_failed(text, now); });
  }
}

// --- starter

void service_engine::obey(runner_order& order) {
  if (const auto* close = std::get_if<close_order>(&order)) {
    try {
      runner_->close(close->within);
    } catch (...) {
      log(log_level::error, "pool_failed", "closing the pool failed: " + what_went_wrong());
    }
    post([](course& at, instant now) { at.pool_closed(now); });
    return;
  }
  const auto [job, held] = std::get<start_order>(order);
  post([this, job = job, result = try_to_start(job, *held)](course&, instant) mutable {
    begun(job, std::move(result));
  });
}

service_engine::start_result service_engine::try_to_start(job_number job, const held_job& held) {
  const auto failed = [](outcome_kind kind, bool refused) {
    return start_result{
        .handle = {},
        .tmpdir = {},
        .failure = attempt_end{.kind = kind, .refused = refused, .text = what_went_wrong()}};
  };
  try {
    std::string tmpdir = directories_ ? directories_->make(job) : std::string();
    detail::job_handle handle = runner_->start(held.what, tmpdir);
    return {.handle = std::move(handle), .tmpdir = std::move(tmpdir), .failure = {}};
  } catch (const message_refused&) {
    return failed(outcome_kind::exception, true);
  } catch (const bad_options&) {
    return failed(outcome_kind::exception, true);
  } catch (...) {
    return failed(outcome_kind::not_started, false);
  }
}

}  // namespace hardstop::serving
