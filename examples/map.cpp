// One future per item: an item that fails, or takes its worker down, spoils nothing but itself.
#include <chrono>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include <hardstop/pool.hpp>

using namespace std::chrono_literals;

int collatz_steps(long long from) {
  if (from < 1) throw std::invalid_argument("not a natural number: " + std::to_string(from));
  int steps = 0;
  for (; from != 1; ++steps)
    from = from % 2 == 0 ? from / 2 : 3 * from + 1;
  return steps;
}

int main() {
  hardstop::process_pool pool{{.workers = 2}};
  const std::vector<long long> numbers = {27, 97, -5, 871};

  auto results = pool.map<&collatz_steps>({.timeout = 10s}, numbers);

  for (std::size_t i = 0; i < numbers.size(); ++i) {
    std::cout << numbers[i] << ": ";
    try {
      std::cout << results[i].get() << " steps\n";
    } catch (const hardstop::job_exception& failed) {
      std::cout << failed.type() << ": " << failed.message() << '\n';
    }
  }
}
