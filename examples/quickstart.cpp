// The first program of README.md: a pool, a job that finishes, and one that is stopped.
#include <chrono>
#include <cmath>
#include <iostream>
#include <vector>

#include <hardstop/pool.hpp>

using namespace std::chrono_literals;

double relax(std::vector<double> rod, long rounds) {
  for (long round = 0; round < rounds; ++round) {
    for (std::size_t i = 1; i + 1 < rod.size(); ++i)
      rod[i] = (rod[i - 1] + rod[i + 1]) / 2;
  }
  return rod[rod.size() / 2];
}

int main() {
  hardstop::process_pool pool{{.workers = 2}};
  std::vector<double> rod(100);
  rod.front() = 20.0;

  auto quick = pool.submit<&relax>(rod, 10'000);
  auto endless = pool.submit<&relax>({.timeout = 60s, .name = "endless"}, rod, 1'000'000'000'000);

  std::cout << "the rod's middle: " << quick.get() << " degrees\n";

  endless.cancel();  // never blocks; a thread could not be stopped here
  try {
    endless.get();
  } catch (const hardstop::job_cancelled& stopped) {
    std::cout << stopped.what() << '\n';  // and its process is gone
  }
}
