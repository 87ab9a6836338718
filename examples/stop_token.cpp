// A job that can be asked: it takes a std::stop_token first, and gets time to answer.
//
// cancel() requests the token; when the grace is over the process tree is killed all the same. A
// job that returns within its grace delivers what it has.
#include <chrono>
#include <iostream>
#include <stop_token>
#include <thread>

#include <hardstop/pool.hpp>

using namespace std::chrono_literals;

struct estimate {
  double pi = 0;
  long terms = 0;
};

template <>
struct hardstop::plain<estimate> : std::true_type {};

estimate leibniz(std::stop_token stop) {
  estimate best;
  for (double sign = 1; !stop.stop_requested(); sign = -sign, ++best.terms)
    best.pi += sign * 4 / static_cast<double>(2 * best.terms + 1);
  return best;
}

// The same in a hurry that it never looks up from.
estimate stubborn(std::stop_token /*stop*/) {
  estimate best;
  for (double sign = 1;; sign = -sign, ++best.terms)
    best.pi += sign * 4 / static_cast<double>(2 * best.terms + 1);
}

int main() {
  hardstop::process_pool pool{{.workers = 2}};

  auto polite = pool.submit<&leibniz>({.grace = 5s, .name = "polite"});
  auto deaf = pool.submit<&stubborn>({.grace = 50ms, .name = "deaf"});
  while (polite.pid() == 0 || deaf.pid() == 0)
    std::this_thread::sleep_for(1ms);         // what has not started need not be asked
  static_cast<void>(polite.wait_for(100ms));  // waiting never stops a job

  polite.cancel();
  deaf.cancel();

  std::cout << polite.outcome().describe() << '\n';
  std::cout << "  its answer so far: " << polite.get().pi << '\n';
  std::cout << deaf.outcome().describe() << '\n';
}
