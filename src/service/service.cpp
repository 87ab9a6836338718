#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "service/engine.hpp"
#include "service/runner.hpp"
#include "service/signals.hpp"
#include <hardstop/service.hpp>

namespace hardstop {

std::string_view to_string(service_phase phase) noexcept {
  switch (phase) {
    case service_phase::setup:
      return "setup";
    case service_phase::accept:
      return "accept";
    case service_phase::drain:
      return "drain";
    case service_phase::dispose:
      return "dispose";
    case service_phase::shutdown:
      return "shutdown";
    case service_phase::over:
      return "over";
  }
  return "unknown";
}

jobs_left::jobs_left(std::vector<taken_job> jobs)
    : error(std::to_string(jobs.size()) +
            " jobs were taken and not started: put them where they will be run"),
      jobs_(std::make_shared<const std::vector<taken_job>>(std::move(jobs))) {}

service::service(service_options options) {
  auto runner = std::make_unique<serving::function_runner>(options.pool);
  engine_ = std::make_unique<serving::service_engine>(std::move(options), std::move(runner));
}

service::~service() = default;

void service::add(std::string name, const service_job_options& how,
                  detail::message_submitter submit) {
  static_cast<serving::function_runner&>(engine_->jobs()).add(std::move(name), how, submit);
}

int service::run(source& from) {
  std::optional<serving::own_handlers> handlers;
  if (engine_->options().handle_signals) handlers.emplace();
  return engine_->run(from, handlers ? &*handlers : nullptr);
}

void service::stop() noexcept {
  engine_->stop();
}

service_stats service::stats() const {
  return engine_->stats();
}

bool service::ready() const {
  return engine_->stats().ready;
}

std::string service::metrics() const {
  return engine_->metrics();
}

std::string service::describe() const {
  return engine_->describe();
}

}  // namespace hardstop
