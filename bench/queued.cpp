// A million jobs in the queue, while both workers are held: what each submit costs at the
// beginning and at the end, and what each waiting job takes of memory.
#include <sys/types.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <future>
#include <utility>
#include <vector>

#include <asio/post.hpp>
#include <asio/thread_pool.hpp>

#include "cell.hpp"
#include "cells.hpp"
#include "os/futex.hpp"
#include "processes.hpp"
#include "samples.hpp"
#include "shared_memory.hpp"
#include "two_workers.hpp"
#include <hardstop/pool.hpp>

namespace bench {

namespace {

constexpr std::size_t batch = 1'000;

hardstop::os::futex_word* the_gate = nullptr;

void hold() {
  while (the_gate->load() == 0) {
    hardstop::os::futex_wait(*the_gate, 0, hardstop::os::futex_scope::shared);
  }
}

void open_gate() {
  the_gate->store(1);
  hardstop::os::futex_wake(*the_gate, hardstop::os::futex_scope::shared);
}

void nothing() {}

// Batches from the first tenth, without the very first ones that find everything cold, and from the
// last; the median of each.
template <class Future, class Submit>
figures measure(effort how_much, Submit submit) {
  const auto jobs = static_cast<std::size_t>(times(how_much, 50'000, 1'000'000));
  const std::size_t batches = jobs / batch;
  // Resident before it is measured: what the futures themselves take is the client's own.
  std::vector<Future> futures(jobs);
  samples early(batches);
  samples late(batches);
  const std::uint64_t before = resident_bytes(getpid());
  const std::int64_t began = now_ns();
  for (std::size_t done = 0; done < batches; ++done) {
    const std::int64_t batch_began = now_ns();
    for (std::size_t i = 0; i < batch; ++i)
      futures[done * batch + i] = submit();
    const std::int64_t each = (now_ns() - batch_began) / static_cast<std::int64_t>(batch);
    if (done >= batches / 50 && done < batches / 10) early.add(each);
    if (done >= batches - batches / 10) late.add(each);
  }
  const std::int64_t submitted = now_ns();
  const std::uint64_t after = resident_bytes(getpid());
  open_gate();
  for (auto& each : futures)
    each.get();
  const std::int64_t drained = now_ns();

  const auto count = static_cast<double>(jobs);
  return {{"early", early.percentile(0.5)},
          {"late", late.percentile(0.5)},
          {"growth", late.percentile(0.5) / early.percentile(0.5)},
          {"bytes", (static_cast<double>(after) - static_cast<double>(before)) / count},
          {"submit", static_cast<double>(submitted - began) / count},
          {"drain", static_cast<double>(drained - submitted) / count}};
}

}  // namespace

figures queued_hardstop(effort how_much) {
  the_gate = &share<hardstop::os::futex_word>();
  hardstop::process_pool pool(two_workers());
  std::vector<hardstop::future<void>> held;
  for (int worker = 0; worker < 2; ++worker)
    held.push_back(pool.submit<&hold>());
  settle(pool);
  return measure<hardstop::future<void>>(how_much, [&] { return pool.submit<&nothing>(); });
}

figures queued_asio(effort how_much) {
  the_gate = &share<hardstop::os::futex_word>();
  asio::thread_pool pool(2);
  for (int worker = 0; worker < 2; ++worker)
    asio::post(pool, &hold);
  return measure<std::future<void>>(how_much, [&] {
    std::packaged_task<void()> task(&nothing);
    auto promised = task.get_future();
    asio::post(pool, std::move(task));
    return promised;
  });
}

}  // namespace bench
