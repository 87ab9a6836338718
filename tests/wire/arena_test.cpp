// Arenas: which range is given out, what stays warm, what goes back to the system, who frees.
#include "wire/arena.hpp"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "wire/extents.hpp"
#include "wire/lane_pair.hpp"
#include "wire/results.hpp"

namespace hardstop::wire {
namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t mib = std::size_t{1} << 20;

// Bytes of memory behind a file.
std::size_t backing(const os::descriptor& file) {
  struct stat facts {};

  EXPECT_EQ(fstat(file.get(), &facts), 0);
  return static_cast<std::size_t>(facts.st_blocks) * 512;
}

TEST(Extents, GiveOutTheSmallestWarmOneThatFits) {
  free_extents free{100 * page};
  const auto a = free.take(10 * page);
  const auto gap = free.take(page);
  const auto b = free.take(4 * page);
  const auto rest = free.take(page);
  ASSERT_TRUE(a && gap && b && rest);
  EXPECT_EQ(a->pages, temperature::cold);
  free.give_back(a->place, temperature::warm);
  free.give_back(b->place, temperature::warm);
  EXPECT_EQ(free.warm_bytes(), 14 * page);
  const auto again = free.take(3 * page);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->place.offset, b->place.offset);
  EXPECT_EQ(again->pages, temperature::warm);
}

TEST(Extents, MergeNeighboursOfOneTemperature) {
  free_extents free{3 * page};
  const auto a = free.take(page);
  const auto b = free.take(page);
  const auto c = free.take(page);
  EXPECT_FALSE(free.take(page));
  free.give_back(a->place, temperature::warm);
  free.give_back(c->place, temperature::warm);
  EXPECT_FALSE(free.take(2 * page));
  free.give_back(b->place, temperature::warm);
  EXPECT_TRUE(free.take(3 * page));
}

TEST(Extents, NeverOverlapAndNeverLeak) {
  constexpr std::uint64_t size = 1000 * page;
  free_extents free{size};
  std::map<std::uint64_t, std::uint64_t> taken;
  std::mt19937_64 dice{3};
  for (int step = 0; step < 200'000; ++step) {
    if (dice() % 2 == 0) {
      const std::uint64_t length = (1 + dice() % 40) * page;
      if (const auto grant = free.take(length)) {
        ASSERT_EQ(grant->place.length, length);
        ASSERT_LE(grant->place.offset + length, size);
        const auto next = taken.lower_bound(grant->place.offset);
        ASSERT_TRUE(next == taken.end() || next->first >= grant->place.offset + length);
        ASSERT_TRUE(next == taken.begin() ||
                    std::prev(next)->first + std::prev(next)->second <= grant->place.offset);
        taken.emplace(grant->place.offset, length);
      }
    } else if (!taken.empty()) {
      auto which = taken.lower_bound(dice() % size);
      if (which == taken.end()) which = taken.begin();
      free.give_back({.offset = which->first, .length = which->second}, temperature::warm);
      taken.erase(which);
      const std::uint64_t keep = 100 * page;
      for (const byte_range& cold : free.take_surplus(keep)) {
        free.give_back(cold, temperature::cold);
      }
      ASSERT_LE(free.warm_bytes(), keep);
    }
  }
  for (const auto& [offset, length] : taken) {
    free.give_back({.offset = offset, .length = length}, temperature::cold);
  }
  for (const byte_range& cold : free.take_surplus(0))
    free.give_back(cold, temperature::cold);
  EXPECT_TRUE(free.take(size)) << "all of it is in one piece again";
}

TEST(ArgumentArena, AWorkerReadsWhatTheClientWrote) {
  auto arena = *argument_arena::create();
  auto range = *arena->allocate(3 * page + 5);
  ASSERT_EQ(range.bytes().size(), 3 * page + 5);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(range.bytes().data()) % page, 0U);
  std::memset(range.bytes().data(), 'x', range.bytes().size());
  const auto view = argument_view::open(arena->memory());
  ASSERT_TRUE(view) << view.error().message();
  const auto seen = view->at(range.place());
  ASSERT_TRUE(seen);
  EXPECT_EQ(as_text(*seen), std::string(3 * page + 5, 'x'));
}

TEST(ArgumentArena, AWorkerCannotMapItForWriting) {
  auto arena = *argument_arena::create();
  EXPECT_EQ(mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, arena->memory().get(), 0),
            MAP_FAILED);
}

TEST(ArgumentArena, ARangeOutsideIsNotRead) {
  auto arena = *argument_arena::create({.reserve = 64 * mib});
  const auto view = *argument_view::open(arena->memory());
  EXPECT_TRUE(view.at({.offset = 0, .length = 64 * mib}));
  EXPECT_FALSE(view.at({.offset = 1, .length = 64 * mib}));
  EXPECT_FALSE(view.at({.offset = 64 * mib + page, .length = 0}));
  EXPECT_FALSE(view.at({.offset = page, .length = ~std::uint64_t{0}}));
}

TEST(ArgumentArena, FreedRangesAreUsedAgainWarm) {
  auto arena = *argument_arena::create();
  const auto first = arena->allocate(8 * mib)->place();
  EXPECT_EQ(arena->used().kept_warm, 8 * mib);
  EXPECT_EQ(arena->used().in_use, 0U);
  const auto range = *arena->allocate(8 * mib);
  EXPECT_EQ(range.place(), first);
  EXPECT_EQ(arena->used().kept_warm, 0U);
  EXPECT_EQ(arena->used().in_use, 8 * mib);
}

TEST(ArgumentArena, WarmMemoryIsBounded) {
  auto arena = *argument_arena::create({.keep_warm = 4 * mib});
  std::array<arena_range, 10> ranges;
  for (arena_range& range : ranges)
    range = *arena->allocate(mib);
  EXPECT_GE(backing(arena->memory()), 10 * mib);
  ranges = {};
  EXPECT_EQ(arena->used().kept_warm, 4 * mib);
  EXPECT_LE(backing(arena->memory()), 5 * mib);
}

TEST(ArgumentArena, SaysWhenItIsFull) {
  auto arena = *argument_arena::create({.reserve = 64 * mib});
  const auto most = arena->allocate(60 * mib);
  ASSERT_TRUE(most);
  const auto refused = arena->allocate(8 * mib);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ENOMEM);
  EXPECT_FALSE(arena->allocate(~std::size_t{0}));
}

TEST(ArgumentArena, TakesWhatAddressSpaceThereIs) {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit{.rlim_cur = std::size_t{8} << 30, .rlim_max = std::size_t{8} << 30};
    setrlimit(RLIMIT_AS, &limit);
    const auto arena = argument_arena::create();
    _exit(arena && (*arena)->allocate(mib) ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
#if !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)  // whose shadow is larger than that
  EXPECT_EQ(status, 0);
#endif
}

// The mapping is not there, and its lock may be held by a thread that is not, either.
TEST(ArgumentArena, IsSilentInAForkedChild) {
  auto arena = *argument_arena::create();
  auto range = std::make_unique<arena_range>(*arena->allocate(page));
  const pid_t child = fork();
  if (child == 0) {
    range.reset();
    arena.reset();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  range->bytes()[0] = std::byte{1};
}

TEST(ArgumentArena, IsUsedByManyThreads) {
  auto arena = *argument_arena::create({.reserve = 256 * mib, .keep_warm = mib});
  std::array<std::jthread, 4> threads;
  for (std::size_t i = 0; i < threads.size(); ++i) {
    threads[i] = std::jthread([&arena, i] {
      std::mt19937_64 dice{i};
      std::vector<arena_range> mine;
      for (int step = 0; step < 500; ++step) {
        auto range = arena->allocate(1 + dice() % (64 * page));
        ASSERT_TRUE(range);
        std::memset(range->bytes().data(), static_cast<int>(i), range->bytes().size());
        mine.push_back(std::move(*range));
        if (mine.size() > 10) {
          const arena_range& oldest = mine.front();
          for (const std::byte byte : oldest.bytes())
            ASSERT_EQ(byte, static_cast<std::byte>(i));
          mine.erase(mine.begin());
        }
      }
    });
  }
  for (std::jthread& thread : threads)
    thread.join();
  EXPECT_EQ(arena->used().in_use, 0U);
}

struct results_pair {
  explicit results_pair(const arena_options& options = {})
      : client(*client_results::create(lane.client.signals(), options)),
        worker(std::move(*worker_results::open(client->memory()))) {}

  lane_pair lane;
  std::shared_ptr<client_results> client;
  worker_results worker;
};

TEST(Results, TheClientReadsInPlaceWhatTheWorkerWrote) {
  results_pair arena;
  const auto place = arena.worker.allocate(page + 1, arena.lane.worker);
  ASSERT_TRUE(place);
  std::memset(arena.worker.at(*place).data(), 'r', page + 1);
  const auto range = arena.client->adopt(*place);
  ASSERT_TRUE(range);
  EXPECT_EQ(as_text(range->bytes()), std::string(page + 1, 'r'));
}

TEST(Results, ReleasedRangesAreUsedAgain) {
  results_pair arena;
  const auto first = *arena.worker.allocate(8 * mib, arena.lane.worker);
  arena.client->adopt(first).reset();
  const auto second = *arena.worker.allocate(8 * mib, arena.lane.worker);
  EXPECT_EQ(second, first);
}

TEST(Results, NothingIsAdoptedThatCannotBe) {
  results_pair arena{{.reserve = 64 * mib}};
  EXPECT_FALSE(arena.client->adopt({.offset = 1, .length = 1})) << "not on a page's start";
  EXPECT_FALSE(arena.client->adopt({.offset = 0, .length = 0}));
  EXPECT_FALSE(arena.client->adopt({.offset = 64 * mib, .length = 1}));
  EXPECT_FALSE(arena.client->adopt({.offset = page, .length = ~std::uint64_t{0}}));
  const auto held = arena.client->adopt({.offset = 0, .length = page});
  EXPECT_TRUE(held);
  EXPECT_FALSE(arena.client->adopt({.offset = 0, .length = page})) << "twice";
}

TEST(Results, NoMoreAreAliveThanTheRingOfReleasesHolds) {
  results_pair arena;
  std::vector<result_range> ranges;
  for (std::size_t i = 0; i < live_ranges; ++i) {
    auto range = arena.client->adopt({.offset = i * page, .length = 1});
    ASSERT_TRUE(range);
    ranges.push_back(std::move(*range));
  }
  EXPECT_TRUE(arena.client->crowded());
  EXPECT_FALSE(arena.client->adopt({.offset = live_ranges * page, .length = 1}));
}

// The worker waits for a release and for nothing else.
TEST(Results, AWorkerAtTheLimitGoesOnWithTheFirstRelease) {
  results_pair arena;
  std::vector<result_range> ranges;
  ranges.reserve(live_ranges);
  for (std::size_t i = 0; i < live_ranges; ++i) {
    ranges.push_back(*arena.client->adopt(*arena.worker.allocate(1, arena.lane.worker)));
  }
  std::atomic<bool> done{false};
  std::thread worker([&] {
    EXPECT_TRUE(arena.worker.allocate(1, arena.lane.worker));
    done = true;
  });
  // Until it sleeps.
  while ((arena.lane.client.layout().worker.worker_sleep & 0xffU) == 0)
    std::this_thread::yield();
  EXPECT_FALSE(done);
  ranges.erase(ranges.begin() + 17);
  worker.join();
}

TEST(Results, ReleasesComeFromManyThreads) {
  results_pair arena;
  for (int round = 0; round < 20; ++round) {
    std::array<std::vector<result_range>, 4> shares;
    for (std::size_t i = 0; i < 400; ++i) {
      shares[i % 4].push_back(
          *arena.client->adopt(*arena.worker.allocate(page, arena.lane.worker)));
    }
    std::array<std::jthread, 4> threads;
    for (std::size_t i = 0; i < threads.size(); ++i) {
      threads[i] = std::jthread([&share = shares[i]] { share.clear(); });
    }
  }
  EXPECT_LE(backing(arena.client->memory()), 450 * page) << "all rounds used the same ranges";
}

TEST(Results, TheClientBoundsWhatASleepingWorkerKeepsWarm) {
  results_pair arena{{.keep_warm = 4 * mib}};
  std::array<result_range, 16> ranges;
  for (result_range& range : ranges) {
    range = std::move(*arena.client->adopt(*arena.worker.allocate(mib, arena.lane.worker)));
  }
  EXPECT_GE(backing(arena.client->memory()), 16 * mib);
  ranges = {};
  EXPECT_LE(backing(arena.client->memory()), 5 * mib);
}

TEST(Results, OutliveTheirWorkerAndKeepOnlyTheirOwnMemory) {
  results_pair arena;
  const auto kept = *arena.worker.allocate(mib, arena.lane.worker);
  const auto lost = *arena.worker.allocate(8 * mib, arena.lane.worker);
  std::memset(arena.worker.at(kept).data(), 'k', mib);
  std::memset(arena.worker.at(lost).data(), 'l', 8 * mib);
  auto range = arena.client->adopt(kept);
  arena.client->worker_gone();
  EXPECT_LE(backing(arena.client->memory()), 2 * mib);
  EXPECT_EQ(as_text(range->bytes()), std::string(mib, 'k'));
  range.reset();
  EXPECT_EQ(backing(arena.client->memory()), 0U);
}

TEST(Results, AreReadableWhenLaneAndArenaAreForgotten) {
  std::optional<result_range> range;
  {
    results_pair arena;
    const auto place = *arena.worker.allocate(page, arena.lane.worker);
    std::memset(arena.worker.at(place).data(), 'o', page);
    range = arena.client->adopt(place);
  }
  EXPECT_EQ(as_text(range->bytes()), std::string(page, 'o'));
}

TEST(Results, AreSilentInAForkedChild) {
  results_pair arena;
  auto range = arena.client->adopt(*arena.worker.allocate(page, arena.lane.worker));
  const pid_t child = fork();
  if (child == 0) {
    range.reset();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(Results, WhatIsNotReportedIsGivenBack) {
  results_pair arena;
  const auto first = *arena.worker.allocate(mib, arena.lane.worker);
  arena.worker.give_back(first);
  EXPECT_EQ(*arena.worker.allocate(mib, arena.lane.worker), first);
}

TEST(Results, SayWhenTheArenaIsFull) {
  results_pair arena{{.reserve = 64 * mib}};
  ASSERT_TRUE(arena.worker.allocate(60 * mib, arena.lane.worker));
  EXPECT_FALSE(arena.worker.allocate(8 * mib, arena.lane.worker));
}

}  // namespace
}  // namespace hardstop::wire
