// Stopping a worker that has touched 1 GB, with huge pages asked for and without: freeing memory is
// most of such a death.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "cell.hpp"
#include "cells.hpp"
#include "processes.hpp"
#include "samples.hpp"
#include "two_workers.hpp"
#include "waiting.hpp"
#include <hardstop/pool.hpp>

namespace bench {

namespace {

constexpr std::size_t gigabyte = std::size_t{1} << 30;

[[noreturn]] void touch_and_burn(std::size_t size) {
  std::vector<std::byte> memory(size, std::byte{1});
  for (;;)
    asm volatile("" : : "g"(memory.data()) : "memory");
}

enum class pages : std::uint8_t { ordinary, huge };

figures measure(effort how_much, pages asked) {
  const std::size_t size = how_much == effort::quick ? gigabyte / 16 : gigabyte;
  const int rounds = times(how_much, 1, 2);
  hardstop::pool_options options = two_workers();
  options.start = hardstop::start_method::forkserver;
  options.huge_pages = asked == pages::huge;
  hardstop::process_pool pool(options);
  warm_up(pool);
  samples taken(static_cast<std::size_t>(rounds));
  for (int i = 0; i < rounds; ++i) {
    auto job = pool.submit<&touch_and_burn>(size);
    wait_until([&] { return job.pid() != 0 && resident_bytes(job.pid()) >= size; },
               "a job that has touched its memory");
    settle(pool);
    const std::int64_t began = now_ns();
    job.cancel(hardstop::cancel_mode::kill);
    job.wait();
    taken.add(now_ns() - began);
  }
  figures found;
  taken.tell(found);
  return found;
}

bool kernel_has_huge_pages() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string text;
  std::getline(file, text);
  return !text.empty() && text.find("[never]") == std::string::npos;
}

}  // namespace

figures huge_pages_asked(effort how_much) {
  if (!kernel_has_huge_pages()) throw skipped("this kernel gives no transparent huge pages");
  return measure(how_much, pages::huge);
}

figures huge_pages_not_asked(effort how_much) {
  return measure(how_much, pages::ordinary);
}

}  // namespace bench
