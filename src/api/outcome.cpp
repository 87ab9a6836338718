#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include <hardstop/outcome.hpp>

namespace hardstop {

namespace {

// Three significant digits are what a reader takes in.
std::string with_unit(double amount, std::string_view unit) {
  std::array<char, 32> digits{};
  std::snprintf(digits.data(), digits.size(), "%.3g", amount);
  return std::string(digits.data()).append(" ").append(unit);
}

std::string bytes_in_words(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> units = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto amount = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (amount >= 1000 && unit + 1 < units.size()) {
    amount /= 1024;
    ++unit;
  }
  return with_unit(amount, units[unit]);
}

std::string signal_in_words(int number) {
  switch (number) {
    case SIGABRT:
      return "SIGABRT (it called abort(), or a check failed)";
    case SIGBUS:
      return "SIGBUS (memory that is mapped but not there)";
    case SIGFPE:
      return "SIGFPE (arithmetic such as a division by zero)";
    case SIGHUP:
      return "SIGHUP";
    case SIGILL:
      return "SIGILL (an instruction this CPU does not have)";
    case SIGINT:
      return "SIGINT";
    case SIGKILL:
      return "SIGKILL";
    case SIGPIPE:
      return "SIGPIPE (it wrote to a pipe nobody reads)";
    case SIGQUIT:
      return "SIGQUIT";
    case SIGSEGV:
      return "SIGSEGV (a wild pointer or an exhausted stack)";
    case SIGSYS:
      return "SIGSYS (a system call that a filter forbids)";
    case SIGTERM:
      return "SIGTERM";
    case SIGTRAP:
      return "SIGTRAP";
    case SIGXCPU:
      return "SIGXCPU (its CPU time limit)";
    case SIGXFSZ:
      return "SIGXFSZ (its file size limit)";
    default:
      return "signal " + std::to_string(number);
  }
}

// The parts of describe(), one per alternative. Each continues "job 'name' ".
class teller {
 public:
  explicit teller(const outcome& told) : told_(told) {}

  std::string operator()(const outcome::value& /*unused*/) const {
    return "returned its value" + where_and_how_long() + in_spite_of_cancel();
  }

  std::string operator()(const outcome::exception& thrown) const {
    std::string text = "threw " + thrown.type;
    if (!thrown.what.empty()) text += ": " + thrown.what;
    return text + where_and_how_long() + in_spite_of_cancel();
  }

  std::string operator()(const outcome::cancelled& cancelled) const {
    using namespace std::string_literals;
    const bool by_shutdown = cancelled.by == outcome::cancelled::source::shutdown;
    const std::string by = by_shutdown ? " by the shutdown of its pool"s : ""s;
    if (cancelled.how == outcome::cancelled::extent::never_started) {
      return "was cancelled" + by + " before it started";
    }
    return "was cancelled" + by + ": " + process() + " was killed" + after() + aftermath();
  }

  std::string operator()(const outcome::timed_out& late) const {
    return "timed out: " + process() + " was killed when its limit of " + to_string(late.limit) +
           " had passed" + aftermath();
  }

  std::string operator()(const outcome::worker_died& death) const {
    std::string text = "lost its worker: " + process();
    if (death.signal) {
      text += " was ended by " + signal_in_words(*death.signal);
    } else if (death.exit_code) {
      text += " exited with status " + std::to_string(*death.exit_code) + " within the job";
    } else {
      text += " ended";
    }
    text += after();
    if (death.core_dumped) text += ", core dumped";
    if (death.peak_memory != 0) text += ", peak memory " + bytes_in_words(death.peak_memory);
    if (death.cpu_time > std::chrono::nanoseconds::zero()) {
      text += ", CPU time " + to_string(death.cpu_time);
    }
    if (!death.likely_cause.empty()) text += "; likely cause: " + death.likely_cause;
    return text + aftermath();
  }

  std::string operator()(const outcome::memory_limit& excess) const {
    std::string text = "exceeded its memory limit of " + bytes_in_words(excess.limit) + ": " +
                       process() + " was killed";
    if (excess.used != 0) text += " at " + bytes_in_words(excess.used);
    return text + after() + aftermath();
  }

  std::string operator()(const outcome::not_started& never) const {
    std::string text = "never started: ";
    switch (never.why) {
      case outcome::not_started::cause::shutdown:
        text += "its pool was shut down";
        break;
      case outcome::not_started::cause::pool_broken:
        text += "its pool is broken";
        break;
      case outcome::not_started::cause::no_worker:
        text += "no worker could be started";
        break;
    }
    if (!never.reason.empty()) text += " (" + never.reason + ")";
    return text;
  }

 private:
  [[nodiscard]] std::string process() const {
    std::string text = told_.pid() > 0 ? "process " + std::to_string(told_.pid()) : "its process";
    if (told_.attempt() > 1) text += " (attempt " + std::to_string(told_.attempt()) + ")";
    return text;
  }

  [[nodiscard]] std::string after() const {
    return told_.ran_for() > std::chrono::nanoseconds::zero()
               ? " after " + to_string(told_.ran_for())
               : std::string();
  }

  [[nodiscard]] std::string where_and_how_long() const {
    return told_.pid() > 0 ? " in " + process() + after() : after();
  }

  [[nodiscard]] std::string in_spite_of_cancel() const {
    return told_.cancel() == cancel_answer::finished_first
               ? "; it had been asked to stop and finished first"
               : std::string();
  }

  // What is left of the tree.
  [[nodiscard]] std::string aftermath() const {
    if (const auto& left = told_.unconfirmed()) {
      return "; process " + std::to_string(left->pid) +
             " could not be confirmed gone: " + left->reason;
    }
    if (told_.processes_stopped() > 1) {
      return "; all " + std::to_string(told_.processes_stopped()) +
             " processes of its tree are gone";
    }
    return {};
  }

  const outcome& told_;
};

}  // namespace

std::string outcome::describe() const {
  const std::string name = job().empty() ? "a job " : "job '" + job() + "' ";
  return name + std::visit(teller(*this), how());
}

std::string_view to_string(outcome_kind kind) noexcept {
  switch (kind) {
    case outcome_kind::value:
      return "value";
    case outcome_kind::exception:
      return "exception";
    case outcome_kind::cancelled:
      return "cancelled";
    case outcome_kind::timed_out:
      return "timed out";
    case outcome_kind::worker_died:
      return "worker died";
    case outcome_kind::memory_limit:
      return "memory limit";
    case outcome_kind::not_started:
      return "not started";
  }
  return "unknown";
}

std::string to_string(std::chrono::nanoseconds duration) {
  const auto ns = static_cast<double>(duration.count());
  const double size = ns < 0 ? -ns : ns;
  if (size >= 999.5e6) {
    // Beyond three digits of seconds the fraction is noise, but the seconds are not.
    std::array<char, 32> digits{};
    std::snprintf(digits.data(), digits.size(), size < 999.5e9 ? "%.3g s" : "%.0f s", ns / 1e9);
    return digits.data();
  }
  if (size >= 999.5e3) return with_unit(ns / 1e6, "ms");
  if (size >= 999.5) return with_unit(ns / 1e3, "us");
  return with_unit(ns, size == 0 ? "s" : "ns");
}

}  // namespace hardstop
