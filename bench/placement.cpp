#include "placement.hpp"

#include <sched.h>

#include <system_error>

namespace bench {

namespace {

void set_affinity(const cpu_set_t& cpus) {
  if (sched_setaffinity(0, sizeof cpus, &cpus) != 0) {
    throw std::system_error(errno, std::generic_category(), "sched_setaffinity");
  }
}

}  // namespace

cpu_pair two_cpus() {
  cpu_set_t usable;
  CPU_ZERO(&usable);
  if (sched_getaffinity(0, sizeof usable, &usable) != 0) {
    throw std::system_error(errno, std::generic_category(), "sched_getaffinity");
  }
  cpu_pair found{.first = -1, .second = -1};
  for (int cpu = 0; cpu < CPU_SETSIZE && found.second < 0; ++cpu) {
    if (!CPU_ISSET(cpu, &usable)) continue;
    (found.first < 0 ? found.first : found.second) = cpu;
  }
  if (found.second < 0) found.second = found.first;
  return found;
}

void stay_on(cpu_pair cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpus.first, &set);
  CPU_SET(cpus.second, &set);
  set_affinity(set);
}

void stay_on(int cpu) {
  stay_on({.first = cpu, .second = cpu});
}

}  // namespace bench
