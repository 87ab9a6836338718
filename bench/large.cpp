// 64 MB of doubles: from submit() to the job having read the first and the last of them, and from
// a job's return to the client having the vector.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
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
  use(values.front());
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

}  // namespace

figures large_hardstop(effort how_much) {
  const int rounds = times(how_much, 3, 25);
  returns_at = &share<std::atomic<std::int64_t>>();
  const std::vector<double> values(elements, 1.0);
  hardstop::process_pool pool(two_workers());
  warm_up(pool);
  samples there(static_cast<std::size_t>(rounds));
  samples back(static_cast<std::size_t>(rounds));
  figures found;
  for (int i = -3; i < rounds; ++i) {
    const std::int64_t began = now_ns();
    const std::int64_t read = pool.submit<&read_ends>(values).get();
    if (read < 0) throw wrong("a job read other values than it was given");
    if (i == -3) found["first"] = static_cast<double>(read - began);
    if (i >= 0) there.add(read - began);
  }
  for (int i = -3; i < rounds; ++i) {
    const std::vector<double> made = pool.submit<&make>().get();
    const std::int64_t had = now_ns();
    check(made);
    if (i >= 0) back.add(had - *returns_at);
  }
  there.tell(found, "argument_");
  back.tell(found, "result_");
  return found;
}

// The same bytes copied once within one process: into memory that is there already (warm), and into
// a new vector, whose pages the kernel makes meanwhile.
figures large_memcpy(effort how_much) {
  const int rounds = times(how_much, 3, 25);
  const std::vector<double> values(elements, 1.0);
  std::vector<double> copy(elements, 0.0);
  samples warm(static_cast<std::size_t>(rounds));
  samples fresh(static_cast<std::size_t>(rounds));
  for (int i = -3; i < rounds; ++i) {
    const std::int64_t began = now_ns();
    std::memcpy(copy.data(), values.data(), elements * sizeof(double));
    use(copy);
    const std::int64_t copied = now_ns();
    if (i >= 0) warm.add(copied - began);
  }
  for (int i = -3; i < rounds; ++i) {
    const std::int64_t began = now_ns();
    const std::vector<double> made(values);
    use(made);
    const std::int64_t copied = now_ns();
    check(made);
    if (i >= 0) fresh.add(copied - began);
  }
  figures found;
  warm.tell(found, "argument_");
  fresh.tell(found, "result_");
  return found;
}

}  // namespace bench
