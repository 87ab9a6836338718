// Large arguments are copied once, into shared memory, and read there by the job.
//
// A parameter of type std::span<const T> (or std::string_view) is that memory itself: nothing is
// copied in the worker, however large the data. The span is good for as long as the call lasts.
#include <chrono>
#include <iostream>
#include <numeric>
#include <span>
#include <vector>

#include <hardstop/pool.hpp>

double mean(std::span<const double> samples) {
  return std::accumulate(samples.begin(), samples.end(), 0.0) / static_cast<double>(samples.size());
}

// A large result comes back the same way, and is copied once, into the vector that get() returns.
std::vector<float> narrowed(std::span<const double> samples) {
  return {samples.begin(), samples.end()};
}

int main() {
  hardstop::process_pool pool{{.workers = 2}};
  std::vector<double> samples(8'000'000);  // 64 MB
  std::iota(samples.begin(), samples.end(), 0.0);

  std::cout << "mean: " << pool.submit<&mean>(samples).get() << '\n';

  const std::span first_half(samples.data(), samples.size() / 2);
  std::cout << "of the first half: " << pool.submit<&mean>(first_half).get() << '\n';

  const std::vector<float> small = pool.submit<&narrowed>(samples).get();
  std::cout << "narrowed: " << small.size() << " values, the last one " << small.back() << '\n';
}
