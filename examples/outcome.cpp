// How a job ended: a record with one of seven alternatives, to look at instead of catching.
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include <hardstop/pool.hpp>

using namespace std::chrono_literals;

int misbehave(const std::string& how) {
  if (how == "throws") throw std::runtime_error("out of paper");
  if (how == "aborts") std::abort();
  if (how == "exits") std::_Exit(3);
  for (volatile int spinning = 0; how == "spins";)
    spinning = 1 - spinning;
  return 42;
}

int main() {
  hardstop::process_pool pool{{.workers = 2}};
  const std::vector<std::string> ways = {"behaves", "throws", "aborts", "exits", "spins"};

  for (auto& job : pool.map<&misbehave>({.timeout = 200ms}, ways)) {
    const hardstop::outcome how = job.outcome();  // waits, and throws nothing
    std::cout << how.describe() << '\n';
    const auto* died = how.as<hardstop::outcome::worker_died>();
    if (died != nullptr && died->signal) std::cout << "  signal " << *died->signal << '\n';
  }

  const auto ended = pool.stats().ended;
  std::cout << ended.value << " returned, " << ended.exception << " threw, " << ended.worker_died
            << " died, " << ended.timed_out << " timed out\n";
}
