// From making a pool to its first result, in a process that never had one: small, and with 1 GB of
// touched memory, which a fork has to copy the page tables of. And the end: until every process of
// the pool is gone.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "cell.hpp"
#include "cells.hpp"
#include "child.hpp"
#include "processes.hpp"
#include "samples.hpp"
#include "two_workers.hpp"
#include <hardstop/pool.hpp>

namespace bench {

namespace {

constexpr std::size_t gigabyte = std::size_t{1} << 30;
constexpr std::size_t small_at_most = std::size_t{10} << 20;

// Memory as a program has it that loaded a gigabyte of something.
std::unique_ptr<std::byte[]> touched(std::size_t size) {
  auto memory = std::make_unique_for_overwrite<std::byte[]>(size);
  for (std::size_t at = 0; at < size; at += 4096)
    memory[at] = std::byte{1};
  return memory;
}

void nothing() {}

figures start_pool() {
  const auto resident = static_cast<double>(resident_bytes(getpid()));
  const std::int64_t began = now_ns();
  std::optional<hardstop::process_pool> pool(two_workers());
  pool->submit<&nothing>().get();
  const std::int64_t first = now_ns();
  warm_up(*pool);
  const std::int64_t leaving = now_ns();
  pool.reset();
  const std::int64_t gone = now_ns();
  return {{"first_result", static_cast<double>(first - began)},
          {"end", static_cast<double>(gone - leaving)},
          {"resident", resident}};
}

// A child that says hello through a pipe: the least there is to a worker.
figures start_fork() {
  int ends[2];
  if (pipe(ends) != 0) throw wrong("pipe");
  const auto resident = static_cast<double>(resident_bytes(getpid()));
  const std::int64_t began = now_ns();
  const child hello([&] {
    const char word = 'h';
    static_cast<void>(!write(ends[1], &word, 1));
  });
  char word = 0;
  if (read(ends[0], &word, 1) != 1) throw wrong("no hello");
  const std::int64_t heard = now_ns();
  return {{"first_result", static_cast<double>(heard - began)}, {"resident", resident}};
}

figures small(figures (*start)()) {
  figures found = start();
  if (found["resident"] > static_cast<double>(small_at_most)) {
    throw wrong("this process is not small");
  }
  return found;
}

figures with_gigabyte(figures (*start)()) {
  const auto memory = touched(gigabyte);
  return start();
}

}  // namespace

figures start_hardstop(effort /*how_much*/) {
  return small(start_pool);
}

figures start_bare(effort /*how_much*/) {
  return small(start_fork);
}

figures start_gigabyte_hardstop(effort /*how_much*/) {
  return with_gigabyte(start_pool);
}

figures start_gigabyte_bare(effort /*how_much*/) {
  return with_gigabyte(start_fork);
}

}  // namespace bench
