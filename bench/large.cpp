// 64 MB of doubles: from submit() to the job having read the first and the last of them, and from
// a job's return to the client having the vector.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "cell.hpp"
#include "cells.hpp"
#include "samples.hpp"
#include "shared_memory.hpp"
#include "two_workers.hpp"
#include <hardstop/pool.hpp>

namespace bench {

namespace {

constexpr std::size_t elements = std::size_t{64} * 1024 * 1024 / sizeof(double);

std::atomic<std::int64_t>* returns_at = nullptr;

// Keeps the compiler from seeing that nobody needs a value.
template <class T>
void use(const T& value) {
  asm volatile("" : : "g"(&value) : "memory");
}

std::int64_t read_ends(std::span<const double> values) {
  const volatile double first = values.front();
  const volatile double last = values.back();
  return first == 1.0 && last == 1.0 ? now_ns() : -1;
}

std::vector<double> make() {
  std::vector<double> made(elements, 1.0);
  *returns_at = now_ns();
  return made;
}

void check(const std::vector<double>& values) {
  if (values.size() != elements || values.front() != 1.0 || values.back() != 1.0) {
    throw wrong("a vector changed on its way");
  }
}

template <class Step>
std::int64_t timed(Step step) {
  const std::int64_t began = now_ns();
  step();
  return now_ns() - began;
}

// A job that reads, and a memcpy into memory that is there already. In turns within one process:
// how fast a process copies depends on which pages it was given.
void measure_arguments(hardstop::process_pool& pool, int rounds, figures& into) {
  const std::vector<double> values(elements, 1.0);
  std::vector<double> copy(elements, 0.0);
  samples jobs(static_cast<std::size_t>(rounds));
  samples copies(static_cast<std::size_t>(rounds));
  for (int i = -3; i < rounds; ++i) {
    const std::int64_t began = now_ns();
    const std::int64_t read = pool.submit<&read_ends>(values).get();
    if (read < 0) throw wrong("a job read other values than it was given");
    if (i == -3) into["argument_first"] = static_cast<double>(read - began);
    const std::int64_t copied = timed([&] {
      std::memcpy(copy.data(), values.data(), elements * sizeof(double));
      use(copy);
    });
    if (i < 0) continue;
    jobs.add(read - began);
    copies.add(copied);
  }
  jobs.tell(into, "argument_");
  copies.tell(into, "memcpy_");
}

// A job that returns, and the copy of such a vector into a new one, whose pages the kernel makes
// meanwhile.
void measure_results(hardstop::process_pool& pool, int rounds, figures& into) {
  const std::vector<double> values(elements, 1.0);
  samples jobs(static_cast<std::size_t>(rounds));
  samples copies(static_cast<std::size_t>(rounds));
  for (int i = -3; i < rounds; ++i) {
    std::int64_t had = 0;
    {
      const std::vector<double> made = pool.submit<&make>().get();
      had = now_ns();
      check(made);
    }
    std::optional<std::vector<double>> copy;
    const std::int64_t copied = timed([&] { copy.emplace(values); });
    check(*copy);
    if (i < 0) continue;
    jobs.add(had - *returns_at);
    copies.add(copied);
  }
  jobs.tell(into, "result_");
  copies.tell(into, "copy_");
}

}  // namespace

figures large_hardstop(effort how_much) {
  const int rounds = times(how_much, 3, 25);
  returns_at = &share<std::atomic<std::int64_t>>();
  hardstop::process_pool pool(two_workers());
  warm_up(pool);
  figures found;
  measure_arguments(pool, rounds, found);
  measure_results(pool, rounds, found);
  return found;
}

}  // namespace bench
