// What a `hardstop run` was asked to do. Plain data.
#pragma once

#include <csignal>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "os/clock.hpp"

namespace hardstop::cli {

// Between asking and killing. Long enough for a program that saves its state, short enough for
// somebody who waits.
inline constexpr os::duration default_grace = std::chrono::seconds{5};

// What becomes of processes that the command leaves behind when it ends by itself.
enum class leftovers : std::uint8_t { kill, keep };

// Where the command runs, as terminals and kill(-group) see it.
enum class placing : std::uint8_t {
  own_group,   // of its own: what is sent to its group hits nobody else
  foreground,  // in the caller's group: it may read the terminal and gets its keys' signals itself
};

// What a timed-out run exits with, unless the command was killed.
enum class timeout_status : std::uint8_t { timed_out, preserved };

enum class report_target : std::uint8_t { none, standard_error, file };

struct run_plan {
  std::vector<std::string> command;

  std::optional<os::duration> timeout;
  std::optional<os::duration> grace;  // as given; see default_grace
  int ask_with = SIGTERM;
  std::optional<std::uint64_t> memory_limit;  // bytes
  std::string cgroup;                         // a delegated subtree; empty: none

  placing where = placing::own_group;
  leftovers rest = leftovers::kill;
  timeout_status on_timeout = timeout_status::timed_out;

  report_target report = report_target::none;
  std::string report_path;
};

}  // namespace hardstop::cli
