// Sleeping until any lane has something to read.
#pragma once

#include <vector>

#include "os/futex.hpp"
#include "wire/frame.hpp"
#include "wire/lane_signals.hpp"
#include "wire/spin.hpp"

namespace hardstop::engine {

class engine;

// Lanes as of a version of the engine's; changes when workers come and go.
struct lane_list {
  std::uint64_t version = 0;
  std::vector<wire::lane_signals> lanes;
};

// Used by one thread at a time.
class lane_watch {
 public:
  lane_watch(engine& home, wire::listener who) : home_(home), who_(who) {}

  // While tiny jobs stream in: short enough that no worker runs dry (256 frames of 0.2 us), long
  // enough that the next look finds many.
  static void nap();

  // The attendant only: from here to leave() workers tell us and not the resident.
  void attend();
  // True: there is something left to read, of which nobody else may have been told.
  [[nodiscard]] bool leave();

  // Takes note of workers that came and went; true: there were some. Keeps no lane of the latter
  // mapped.
  bool refresh();

  // Spins for a while, if that has paid lately, until a lane has news or over(); true: so it is.
  template <class Over>
  [[nodiscard]] bool spin(Over over) {
    refresh();
    const auto found = [&] { return any_report() || over(); };
    if (!begin_spinning()) return found();
    if (wire::spin_until(found)) {
      score_.hit();
      return true;
    }
    end_spinning_in_vain();
    return false;
  }

  // Sleeps until a lane has news, `also` changes or is rung, or the time comes. May return early
  // for no reason.
  void sleep(os::awaited_word also, os::wait_deadline until);

 private:
  [[nodiscard]] bool any_report() const;
  [[nodiscard]] bool news() const;
  [[nodiscard]] bool worth_spinning() const;
  [[nodiscard]] bool begin_spinning();
  void end_spinning_in_vain();

  engine& home_;
  const wire::listener who_;
  bool attending_ = false;
  lane_list list_;
  std::vector<os::awaited_word> words_;
  wire::spin_score score_;
};

}  // namespace hardstop::engine
