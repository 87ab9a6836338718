// Sleeping until any lane has something to read.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/engine.hpp"
#include "os/futex.hpp"
#include "wire/spin.hpp"

namespace hardstop::engine {

enum class sleeper : std::uint8_t { delivery, helper };

// Used by one thread.
class lane_watch {
 public:
  lane_watch(engine& home, sleeper who) : home_(home), who_(who) {}

  // Spins for a while if that has paid lately, then sleeps until a lane has news, `also` changes or is rung, or the
  // time comes. May return early for no reason.
  void sleep(os::awaited_word also, os::wait_deadline until);

 private:
  [[nodiscard]] bool news() const;
  [[nodiscard]] bool worth_spinning() const;

  engine& home_;
  sleeper who_;
  engine::lane_list list_;
  std::vector<os::awaited_word> words_;
  wire::spin_score score_;
};

}  // namespace hardstop::engine
