// No-op jobs per second: how many can be submitted, drained, and both, by one thread.
//
// Apart: while jobs are submitted both workers are held by a job that waits, so that nothing but
// the submitting runs; then they are let go, and the draining is timed. Together: submit all, get
// all, nobody held. The engine of Google Benchmark chooses the number of iterations.
#include <climits>
#include <cstdint>
#include <future>
#include <string>
#include <vector>

#include <asio/post.hpp>
#include <asio/thread_pool.hpp>
#include <benchmark/benchmark.h>

#include "cell.hpp"
#include "cells.hpp"
#include "os/futex.hpp"
#include "samples.hpp"
#include "shared_memory.hpp"
#include "two_workers.hpp"
#include "waiting.hpp"
#include <hardstop/pool.hpp>

namespace bench {

namespace {

constexpr int jobs_per_batch = 20'000;

// Holds workers until it is opened.
struct gate {
  hardstop::os::futex_word waiting{0};
  hardstop::os::futex_word open{0};
};

gate* the_gate = nullptr;

void hold() {
  the_gate->waiting.fetch_add(1);
  while (the_gate->open.load() == 0) {
    hardstop::os::futex_wait(the_gate->open, 0, hardstop::os::futex_scope::shared);
  }
}

void open_gate() {
  the_gate->open.store(1);
  hardstop::os::futex_wake(the_gate->open, hardstop::os::futex_scope::shared);
}

void nothing() {}

class pool_of_processes {
 public:
  pool_of_processes() : pool_(two_workers()) {
    warm_up(pool_);
    futures_.reserve(jobs_per_batch + 2);
  }

  void submit() { futures_.push_back(pool_.submit<&nothing>()); }

  void submit_hold() { futures_.push_back(pool_.submit<&hold>()); }

  void drain() {
    for (auto& each : futures_)
      each.get();
  }

  void forget() { futures_.clear(); }

 private:
  hardstop::process_pool pool_;
  std::vector<hardstop::future<void>> futures_;
};

// What a C++ programmer writes today to run functions elsewhere and have their results.
class pool_of_threads {
 public:
  pool_of_threads() { futures_.reserve(jobs_per_batch + 2); }

  void submit() { post(&nothing); }

  void submit_hold() { post(&hold); }

  void drain() {
    for (auto& each : futures_)
      each.get();
  }

  void forget() { futures_.clear(); }

 private:
  void post(void (*job)()) {
    std::packaged_task<void()> task(job);
    futures_.push_back(task.get_future());
    asio::post(pool_, std::move(task));
  }

  asio::thread_pool pool_{2};
  std::vector<std::future<void>> futures_;
};

template <class Pool>
void together(benchmark::State& state, Pool& pool) {
  for (auto round : state) {
    static_cast<void>(round);
    for (int i = 0; i < jobs_per_batch; ++i)
      pool.submit();
    pool.drain();
    pool.forget();
  }
  state.SetItemsProcessed(state.iterations() * jobs_per_batch);
}

enum class part : std::uint8_t { submitting, draining };

template <class Pool>
void apart(benchmark::State& state, Pool& pool, part timed) {
  for (auto round : state) {
    static_cast<void>(round);
    the_gate->waiting = 0;
    the_gate->open = 0;
    pool.submit_hold();
    pool.submit_hold();
    wait_until([] { return the_gate->waiting.load() == 2; }, "two jobs that hold the workers");
    const std::int64_t began = now_ns();
    for (int i = 0; i < jobs_per_batch; ++i)
      pool.submit();
    const std::int64_t submitted = now_ns();
    open_gate();
    pool.drain();
    const std::int64_t drained = now_ns();
    pool.forget();
    const std::int64_t time = timed == part::submitting ? submitted - began : drained - submitted;
    state.SetIterationTime(static_cast<double>(time) * 1e-9);
  }
  state.SetItemsProcessed(state.iterations() * jobs_per_batch);
}

// Keeps jobs per second by name instead of printing them.
class keeper : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context& /*context*/) override { return true; }

  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs)
      kept[run.run_name.function_name] = run.counters.at("items_per_second").value;
  }

  figures kept;
};

template <class Pool>
figures measure(effort how_much) {
  the_gate = &share<gate>();
  Pool pool;
  const double least = how_much == effort::quick ? 0.01 : 0.25;
  benchmark::RegisterBenchmark("together", [&](benchmark::State& s) { together(s, pool); })
      ->UseRealTime()
      ->MinTime(least);
  benchmark::RegisterBenchmark("submit", [&](auto& s) { apart(s, pool, part::submitting); })
      ->UseManualTime()
      ->MinTime(least / 2);
  benchmark::RegisterBenchmark("drain", [&](auto& s) { apart(s, pool, part::draining); })
      ->UseManualTime()
      ->MinTime(least / 2);
  std::string program = "hardstop_bench";
  char* arguments[] = {program.data(), nullptr};
  int count = 1;
  benchmark::Initialize(&count, arguments);
  keeper reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  benchmark::ClearRegisteredBenchmarks();
  return reporter.kept;
}

}  // namespace

figures throughput_hardstop(effort how_much) {
  return measure<pool_of_processes>(how_much);
}

figures throughput_asio(effort how_much) {
  return measure<pool_of_threads>(how_much);
}

}  // namespace bench
