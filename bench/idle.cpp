// What an idle pool costs: how often any thread of any of its processes is woken.
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <vector>

#include "cell.hpp"
#include "cells.hpp"
#include "processes.hpp"
#include "two_workers.hpp"
#include "waiting.hpp"
#include <hardstop/pool.hpp>

namespace bench {

namespace {

void nothing() {}

pid_t who() {
  return getpid();
}

}  // namespace

figures idle_hardstop(effort how_much) {
  const std::chrono::milliseconds watched(times(how_much, 300, 2'000));
  hardstop::process_pool pool(two_workers());
  warm_up(pool);
  const pid_t worker = pool.submit<&who>().get();
  for (int i = 0; i < 1'000; ++i)
    pool.submit<&nothing>().get();
  settle(pool);
  const pool_processes found = processes_of(worker);
  std::vector<pid_t> all = found.workers;
  all.insert(all.end(), {found.guardian, found.warden, getpid()});

  sleep_for(std::chrono::milliseconds(200));  // what the last job left to do
  const std::uint64_t before = context_switches(all);
  sleep_for(watched);
  const auto woken = static_cast<double>(context_switches(all) - before);
  const double seconds = std::chrono::duration<double>(watched).count();
  return {{"per_second", woken / seconds}, {"processes", static_cast<double>(all.size())}};
}

}  // namespace bench
