// How guardians and workers come to be: everything here is too slow for the lock and is done
// between turns.
#include <cstdlib>
#include <filesystem>
#include <string>

#include "engine/control.hpp"
#include "engine/cpp_workers.hpp"
#include "engine/engine.hpp"
#include "engine/scheduled.hpp"
#include "worker/loop.hpp"
#include "worker/spec.hpp"
#include <hardstop/errors.hpp>

namespace hardstop::engine {

namespace in_worker = hardstop::worker;

namespace {

in_worker::stream as_stream(stdio choice) {
  switch (choice) {
    case stdio::inherit:
      return in_worker::stream::inherit;
    case stdio::null:
      return in_worker::stream::null;
    case stdio::capture:
      return in_worker::stream::capture;
  }
  return in_worker::stream::inherit;
}

guardian::start_method as_start(start_method choice) {
  switch (choice) {
    case start_method::fork:
      return guardian::start_method::fork;
    case start_method::forkserver:
      return guardian::start_method::forkserver;
    case start_method::spawn:
      return guardian::start_method::spawn;
  }
  return guardian::start_method::fork;
}

wire::arena_options arena_choice(const pool_options& options) {
  return {.pages = options.huge_pages ? wire::page_choice::huge : wire::page_choice::normal};
}

in_worker::spec spec_of(const pool& home) {
  const pool_options& options = home.options;
  in_worker::spec spec;
  const worker_environment& chosen = options.environment;
  in_worker::environment& into = spec.environment;
  into.standard_input = as_stream(chosen.standard_input);
  into.standard_output = as_stream(chosen.standard_output);
  into.standard_error = as_stream(chosen.standard_error);
  into.inherit_variables = chosen.inherit_variables;
  into.variables = chosen.variables;
  into.working_directory = chosen.working_directory;
  if (chosen.umask) into.umask = static_cast<mode_t>(*chosen.umask);
  into.nice = chosen.nice;
  into.affinity = chosen.affinity;
  for (const hardstop::resource_limit& limit : chosen.resource_limits) {
    into.limits.push_back({limit.resource, limit.soft, limit.hard});
  }
  into.reset_signals = chosen.reset_signals;
  if (options.initializer) {
    spec.initializer = home.initializer;
    spec.initializer_arguments = options.initializer.arguments;
  }
  spec.pages = options.huge_pages ? wire::page_choice::huge : wire::page_choice::normal;
  spec.runtime = home.language->spec();
  return spec;
}

worker_memory make_memory(const pool_options& options) {
  worker_memory made;
  auto lane = wire::client_lane::create();
  if (!lane) {
    made.failure = lane.error().message();
    return made;
  }
  auto results = wire::client_results::create(lane->signals(), arena_choice(options));
  if (!results) {
    made.failure = results.error().message();
    return made;
  }
  made.lane = std::make_unique<wire::client_lane>(std::move(*lane));
  made.results = std::move(*results);
  const worker_environment& environment = options.environment;
  if (environment.standard_output != stdio::capture &&
      environment.standard_error != stdio::capture) {
    return made;
  }
  auto output = in_worker::make_capture_file("hardstop-stdout");
  auto errors = in_worker::make_capture_file("hardstop-stderr");
  if (output && errors) {
    made.captured.output = std::move(*output);
    made.captured.error = std::move(*errors);
  } else {
    made.failure = (output ? errors : output).error().message();
  }
  return made;
}

os::result<guardian::born, guardian::birth_failure> born_by(const guardian::birth_plan& plan,
                                                            worker_language& language) {
  if (plan.start != guardian::start_method::fork) return guardian::give_birth(plan);
  language.before_fork();
  auto begun = guardian::begin_birth(plan);
  language.after_fork();
  if (!begun) return begun.error();
  return guardian::await_birth(std::move(*begun), plan.start_timeout);
}

}  // namespace

void engine::give_birth(const std::shared_ptr<pool>& home) {
  guardian::birth_plan plan;
  const pool_options& options = home->options;
  plan.start = as_start(options.start);
  plan.hooks = &home->language->hooks();
  plan.cgroup = options.cgroup;
  plan.start_timeout = std::chrono::ceil<std::chrono::milliseconds>(options.start_timeout);
  if (options.start != start_method::fork) {
    plan.exec_argv = home->language->program();
    plan.exec_environment = home->language->variables();
    if (options.huge_pages)
      plan.exec_environment.emplace_back("GLIBC_TUNABLES", tunables_with_huge_pages());
    plan.exec_inherited = options.environment.descriptors;
  }

  std::string failure;
  std::shared_ptr<guardian_line> line;
  auto spec = in_worker::write_spec(spec_of(*home));
  if (!spec) failure = spec.error().message();
  if (failure.empty()) {
    plan.spec = std::move(*spec);
    auto born = born_by(plan, *home->language);
    if (born) {
      line = std::make_shared<guardian_line>();
      line->link = std::move(*born);
    } else {
      failure = born.error().message;
    }
  }

  // The threads come after the fork: a host with one thread forks as one.
  enter_pool(home);
  std::vector<wanted_worker> wanted;
  {
    turn now(*this);
    if (line) {
      home->line = line;
      if (!options.cgroup.empty() && line->link.facts.kill != wire::kill_containment::cgroup) {
        news(*home, event_kind::containment_weaker, 0,
             "cgroup '" + options.cgroup +
                 "' cannot be used: delegate a cgroup v2 subtree to this user; the sweep contains "
                 "jobs without it");
      }
      scheduler_.guardian_up(*home, now.now());
    } else {
      scheduler_.birth_failed(*home, failure, now.now());
      tell_if_broken(*home);
    }
    wanted.swap(outbox_.to_spawn);
  }
  if (line) control_.watch(home, line);
  spawn_wanted(std::move(wanted));
}

// A worker's memory is made without the lock: some mappings and a hundred microseconds.
void engine::spawn_wanted(std::vector<wanted_worker>&& wanted) {
  for (auto& [home, id] : wanted) {
    auto memory = make_memory(home->options);
    turn now(*this);
    worker* at = find(*home, id);
    if (at == nullptr) continue;  // its guardian was lost meanwhile
    std::string failure = std::move(memory.failure);
    if (failure.empty() && !home->line) failure = "the guardian was lost";
    if (failure.empty() && at->killed) failure = "it was not wanted any more";
    if (failure.empty()) {
      ask_for(*at, std::move(memory));
    } else {
      schedule::death how;
      how.last_words = std::move(failure);
      report_gone(*at, how, nullptr, now.now());
    }
  }
}

void engine::ask_for(worker& at, worker_memory memory) {
  pool& home = ours(*at.pool);
  std::vector<const os::descriptor*> beside{&memory.lane->memory(), &memory.results->memory(),
                                            &home.arguments->memory()};
  wire::spawn message{.worker = at.id, .memory_limit = home.options.max_memory};
  if (memory.captured.output) {
    message.captured = wire::capture::yes;
    beside.push_back(&memory.captured.output);
    beside.push_back(&memory.captured.error);
  }
  send(*home.line, message, beside);
  memory.lane->drop_descriptor();
  at.channel = std::move(memory.lane);
  at.results = std::move(memory.results);
  at.captured = std::move(memory.captured);
  at.asked_for = true;
  if (at.exit_asked) at.channel->request_exit();
  lanes_version_.fetch_add(1, std::memory_order_release);
  lanes_changed_ = true;
}

}  // namespace hardstop::engine
