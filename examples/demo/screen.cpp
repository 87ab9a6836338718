#include "screen.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <sstream>

namespace demo {

namespace {

constexpr int label_width = 11;

constexpr std::string_view bold = "\x1b[1m";
constexpr std::string_view faint = "\x1b[2m";
constexpr std::string_view green = "\x1b[32m";
constexpr std::string_view red = "\x1b[31m";
constexpr std::string_view plain = "\x1b[0m";

// Aligned, so in one unit.
std::string milliseconds(std::chrono::nanoseconds time) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(2) << static_cast<double>(time.count()) / 1e6 << " ms";
  return text.str();
}

std::string row(std::string_view title, std::string_view time, std::string_view running,
                std::string_view killed, std::string_view left) {
  std::ostringstream text;
  text << std::setw(48) << std::left << title << std::right << std::setw(16) << time
       << std::setw(10) << running << std::setw(9) << killed << std::setw(7) << left;
  return text.str();
}

std::string row(std::string_view title, const act& of) {
  return row(title, milliseconds(of.to_gone), std::to_string(of.running), std::to_string(of.killed),
             std::to_string(of.left));
}

std::string joined(const std::set<std::string>& words) {
  std::string text;
  for (const std::string& word : words)
    text += (text.empty() ? "" : ", ") + word;
  return text;
}

}  // namespace

std::string counted(std::size_t number, std::string_view thing) {
  std::string text = std::to_string(number) + " " + std::string(thing);
  if (number != 1) text += thing.ends_with('s') ? "es" : "s";
  return text;
}

screen::screen() : colours_(::isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr) {}

std::string screen::styled(std::string_view style, std::string_view text) const {
  if (!colours_) return std::string(text);
  return std::string(style).append(text).append(plain);
}

void screen::heading(std::string_view text) const {
  std::cout << styled(bold, text) << '\n';
}

void screen::begin_act(std::string_view title) {
  title_ = title;
  std::cout << '\n' << styled(bold, std::to_string(++number_) + "  " + title_) << '\n';
}

void screen::line(std::string_view label, std::string_view text) const {
  std::ostringstream padded;
  padded << std::left << std::setw(label_width) << label;
  std::cout << "   " << styled(faint, padded.str()) << text << std::endl;  // at once: people watch
}

void screen::show_running(const carriers& running) {
  running_ = running.processes;
  std::string text = counted(running.processes, "process");
  if (running.sessions.size() > 1) {
    text += " in " + counted(running.sessions.size(), "session") + ": " + joined(running.programs);
  }
  line("running", text);
}

act screen::end_act(const std::string& mark, const hardstop::outcome& how,
                    const hardstop::pool_stats& stats) const {
  act done{.title = title_,
           .to_gone = stats.cancel_to_gone.max(),
           .running = running_,
           .killed = how.processes_stopped(),
           .left = find_carriers(mark).processes};
  line("gone", "confirmed " + milliseconds(done.to_gone) + " after SIGKILL, which ended " +
                   counted(done.killed, "process"));
  line("left", done.left == 0 ? styled(green, "nothing that /proc knows of")
                              : styled(red, counted(done.left, "process")));
  return done;
}

act screen::skip_act(std::string_view why) const {
  line("skipped", why);
  return {.title = title_, .played = false};
}

void screen::summary(const std::vector<act>& acts) const {
  std::cout << "\n   " << styled(faint, row("", "SIGKILL to gone", "running", "killed", "left"))
            << '\n';
  act total{.title = "all of it"};
  for (std::size_t i = 0; i < acts.size(); ++i) {
    const act& each = acts[i];
    const std::string title = std::to_string(i + 1) + "  " + each.title;
    std::cout << "   " << (each.played ? row(title, each) : title + "  (skipped)") << '\n';
    total.to_gone = std::max(total.to_gone, each.to_gone);
    total.running += each.running;
    total.killed += each.killed;
    total.left += each.left;
  }
  total.title =
      total.left == 0 ? "together: all stopped, nothing left" : "together: NOT ALL STOPPED";
  std::cout << "   " << styled(total.left == 0 ? green : red, row(total.title, total)) << '\n';
}

}  // namespace demo
