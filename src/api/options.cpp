#include <string>
#include <string_view>

#include <hardstop/errors.hpp>
#include <hardstop/options.hpp>

namespace hardstop {

namespace {

using std::chrono::nanoseconds;

[[noreturn, gnu::cold]] void refuse(std::string_view member, const std::string& value,
                                    std::string_view cure) {
  std::string text;
  text.append(member).append(" = ").append(value).append(": ").append(cure);
  throw bad_options(text);
}

void require_not_negative(std::string_view member, nanoseconds value) {
  if (value < nanoseconds::zero()) refuse(member, to_string(value), "a time cannot be negative");
}

void require_not_negative(std::string_view member, const std::optional<nanoseconds>& value) {
  if (value && *value < nanoseconds::zero()) {
    refuse(member, to_string(*value), "a time cannot be negative; leave it unset for no limit");
  }
}

constexpr int most_workers = 16384;

void validate_sizes(const pool_options& options) {
  if (options.workers && *options.workers < 1) {
    refuse("workers", std::to_string(*options.workers),
           "a pool needs at least one worker; leave it unset to get one per usable CPU");
  }
  if (options.workers && *options.workers > most_workers) {
    refuse("workers", std::to_string(*options.workers), "a pool has at most 16384 workers");
  }
  const int workers = options.workers.value_or(most_workers);
  if (options.min_workers && (*options.min_workers < 0 || *options.min_workers > workers)) {
    refuse("min_workers", std::to_string(*options.min_workers),
           "it must lie between 0 and workers");
  }
  if (options.min_workers && !options.idle_timeout) {
    refuse("min_workers", std::to_string(*options.min_workers),
           "it needs an idle_timeout, after which idle workers beyond it leave");
  }
  if (options.spares < 0 || options.spares > most_workers) {
    refuse("spares", std::to_string(options.spares),
           "it must lie between 0 and 16384; 0 means that a killed worker's replacement is started "
           "when it is needed");
  }
}

void validate_variables(const worker_environment& environment) {
  for (const auto& [name, value] : environment.variables) {
    if (name.empty() || name.find_first_of(std::string_view("=\0", 2)) != std::string::npos) {
      refuse("environment.variables", '"' + name + '"',
             "a variable's name cannot be empty or contain '=' or NUL; its value is the second "
             "member of the pair");
    }
    if (value && value->find('\0') != std::string::npos) {
      refuse("environment.variables", '"' + name + '"', "its value contains NUL");
    }
  }
}

void validate_environment(const worker_environment& environment) {
  if (environment.standard_input == stdio::capture) {
    refuse("environment.standard_input", "capture",
           "only output can be captured; use null or inherit");
  }
  validate_variables(environment);
  if (environment.umask && *environment.umask > 0777) {
    refuse("environment.umask", std::to_string(*environment.umask),
           "it must lie between 0 and 0777 (octal)");
  }
  if (environment.nice && (*environment.nice < -20 || *environment.nice > 19)) {
    refuse("environment.nice", std::to_string(*environment.nice), "it must lie between -20 and 19");
  }
  for (const int cpu : environment.affinity) {
    if (cpu < 0) refuse("environment.affinity", std::to_string(cpu), "CPUs are numbered from 0");
  }
  for (const auto& limit : environment.resource_limits) {
    if (limit.soft > limit.hard) {
      refuse("environment.resource_limits", std::to_string(limit.soft),
             "a soft limit cannot be above its hard limit of " + std::to_string(limit.hard));
    }
  }
  for (const int descriptor : environment.descriptors) {
    if (descriptor < 3) {
      refuse("environment.descriptors", std::to_string(descriptor),
             "name open descriptors from 3 on; 0 to 2 are set by standard_input, standard_output "
             "and standard_error");
    }
  }
}

}  // namespace

void validate(const job_options& options) {
  require_not_negative("timeout", options.timeout);
  require_not_negative("grace", options.grace);
}

void validate(const pool_options& options) {
  validate_sizes(options);
  require_not_negative("idle_timeout", options.idle_timeout);
  if (options.start_timeout <= nanoseconds::zero()) {
    refuse("start_timeout", to_string(options.start_timeout),
           "a worker needs some time to start; the default is 60 s");
  }
  if (!options.cgroup.empty() && options.cgroup.front() != '/') {
    refuse("cgroup", '"' + options.cgroup + '"',
           "it must be the absolute path of a cgroup v2 directory, such as "
           "\"/sys/fs/cgroup/mine\"");
  }
  validate_environment(options.environment);
}

void validate(const shutdown_options& options) {
  require_not_negative("timeout", options.timeout);
}

}  // namespace hardstop
