// What the demo prints: acts of labelled lines, and a table at the end. Colours on a terminal only.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "carriers.hpp"
#include <hardstop/outcome.hpp>
#include <hardstop/stats.hpp>

namespace demo {

// What an act comes to.
struct act {
  std::string title;
  bool played = true;                  // false: it had nothing to stop
  std::chrono::nanoseconds to_gone{};  // SIGKILL to the confirmed end of the tree
  std::size_t running = 0;             // processes before the stop, by /proc
  unsigned killed = 0;                 // of them; others end when their neighbours do
  std::size_t left = 0;                // processes after it, by /proc
};

class screen {
 public:
  screen();

  void heading(std::string_view text) const;
  void begin_act(std::string_view title);
  void line(std::string_view label, std::string_view text) const;

  // Who bears the mark before the stop, which shows that the search finds what is there.
  void show_running(const carriers& running);

  // How the job ended, and who is left of it.
  act end_act(const std::string& mark, const hardstop::outcome& how,
              const hardstop::pool_stats& stats) const;
  [[nodiscard]] act skip_act(std::string_view why) const;

  void summary(const std::vector<act>& acts) const;

 private:
  [[nodiscard]] std::string styled(std::string_view style, std::string_view text) const;

  bool colours_ = false;
  int number_ = 0;
  std::string title_;
  std::size_t running_ = 0;
};

std::string counted(std::size_t number, std::string_view thing);

}  // namespace demo
