// One worker at a time: what jobs get, what they give, and what they do to it.
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <stdexcept>
#include <stop_token>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/layout.hpp"
#include "worker/worker_process.hpp"

namespace hardstop::worker {
namespace {

using detail::incoming_call;
using testing::HasSubstr;
using wire::report_kind;

void answer(incoming_call& call, std::string_view text) {
  call.append(std::as_bytes(std::span{text}));
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void nothing(incoming_call&) {}

void echo(incoming_call& call) {
  call.append(call.arguments());
}

class Worker : public testing::Test {
 protected:
  void SetUp() override { worker.start_ready(); }

  // A worker that dies of its job tells the engine nothing more; the code tells people.
  void expect_death(detail::thunk job, int exit_status) {
    EXPECT_FALSE(worker.run(job));
    EXPECT_EQ(worker.exit_status(), exit_status);
  }

  worker_process worker;
};

// --- results

TEST_F(Worker, RunsAFunctionAndReturnsWhatItWrote) {
  const auto end = worker.run(&echo, "hello");
  ASSERT_TRUE(end);
  EXPECT_EQ(end->kind, report_kind::value);
  EXPECT_EQ(end->payload, "hello");
  EXPECT_EQ(end->forked, wire::forked::no);
  EXPECT_FALSE(end->captured);
}

TEST_F(Worker, RunsManyInOrder) {
  std::array<wire::ticket, 200> tickets{};
  for (std::size_t i = 0; i < tickets.size(); ++i) {
    tickets[i] = worker.put(&echo, std::to_string(i));
  }
  for (std::size_t i = 0; i < tickets.size(); ++i) {
    const auto end = worker.next();
    ASSERT_TRUE(end);
    EXPECT_EQ(end->ticket, tickets[i]);
    EXPECT_EQ(end->payload, std::to_string(i));
  }
}

TEST_F(Worker, SleepsBetweenJobsAndWakes) {
  for (int i = 0; i < 20; ++i) {
    // Until it has fallen asleep.
    while ((worker.lane.layout().worker.worker_sleep & 0xffU) == 0)
      std::this_thread::yield();
    ASSERT_TRUE(worker.run(&nothing));
  }
}

TEST_F(Worker, AlignsArguments) {
  const auto check = [](incoming_call& call) {
    const auto address = reinterpret_cast<std::uintptr_t>(call.arguments().data());
    answer(call, address % 16 == 0 ? "aligned" : "not aligned");
  };
  for (const std::size_t length : {1, 17, 79, 80, 81, 1000, 8000}) {
    EXPECT_EQ(worker.run(check, std::string(length, 'x'))->payload, "aligned") << length;
  }
}

TEST_F(Worker, ReportsAnException) {
  const auto end = worker.run([](incoming_call& call) {
    try {
      throw std::out_of_range("no such thing");
    } catch (...) {
      answer(call, "half a result");
      detail::report_current_exception(call);
      answer(call, "and the other half");
    }
  });
  ASSERT_TRUE(end);
  EXPECT_EQ(end->kind, report_kind::exception);
  EXPECT_EQ(end->failure().type, "std::out_of_range");
  EXPECT_EQ(end->failure().what, "no such thing");
  EXPECT_EQ(worker.run(&echo, "next")->payload, "next");
}

TEST_F(Worker, ReadsSegmentsInPlace) {
  auto first = *worker.arguments->allocate(100'000);
  auto second = *worker.arguments->allocate(5);
  std::memset(first.bytes().data(), 'a', 100'000);
  std::memcpy(second.bytes().data(), "bytes", 5);
  worker.put(
      [](incoming_call& call) {
        const auto large = text_of(call.segment(0));
        const bool right = large == std::string(100'000, 'a') && call.segment(2).empty();
        answer(call, right ? text_of(call.segment(1)) : "wrong");
      },
      {}, {first.place(), second.place()});
  EXPECT_EQ(worker.next()->payload, "bytes");
}

TEST_F(Worker, ReadsLargeArgumentsFromTheArena) {
  auto range = *worker.arguments->allocate(1'000'000);
  std::memset(range.bytes().data(), 'l', 1'000'000);
  worker.put(&echo, {}, {}, range.place());
  const auto end = worker.next();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->payload, std::string(1'000'000, 'l'));
}

TEST_F(Worker, ReturnsSegments) {
  const auto end = worker.run([](incoming_call& call) {
    const std::string a(100'000, 'a');
    const std::string b(70'000, 'b');
    call.append_segment(std::as_bytes(std::span{a}));
    answer(call, "between");
    call.append_segment(std::as_bytes(std::span{b}));
  });
  ASSERT_TRUE(end);
  EXPECT_EQ(end->payload, "between");
  ASSERT_EQ(end->segments.size(), 2U);
  EXPECT_EQ(text_of(end->segments[0].bytes()), std::string(100'000, 'a'));
  EXPECT_EQ(text_of(end->segments[1].bytes()), std::string(70'000, 'b'));
}

TEST_F(Worker, ReturnsResultsOfEverySize) {
  for (std::size_t length = 0; length < 300'000; length = length * 5 / 4 + 3) {
    const std::string text(length, 'r');
    auto range = *worker.arguments->allocate(length + 1);
    std::memcpy(range.bytes().data(), text.data(), length);
    auto place = range.place();
    place.length = length;
    worker.put(&echo, {}, {}, place);
    const auto end = worker.next();
    ASSERT_TRUE(end);
    ASSERT_EQ(end->payload, text);
  }
}

TEST_F(Worker, SaysSoWhenAResultHasTooManyParts) {
  const auto end = worker.run([](incoming_call& call) {
    try {
      const std::array<std::byte, 1> part{};
      for (std::size_t i = 0; i < wire::max_ranges; ++i)
        call.append_segment(part);
    } catch (...) {
      detail::report_current_exception(call);
    }
  });
  ASSERT_TRUE(end);
  EXPECT_EQ(end->failure().type, "std::length_error");
  EXPECT_TRUE(end->segments.empty());
  EXPECT_EQ(worker.run(&echo, "next")->payload, "next");
}

TEST_F(Worker, SaysSoWhenAResultDoesNotFit) {
  const auto end = worker.run([](incoming_call& call) {
    try {
      // More than there is address space for in the arena; never touched.
      const std::span<const std::byte> endless{call.arguments().data(), std::size_t{1} << 40};
      call.append_segment(endless);
    } catch (...) {
      detail::report_current_exception(call);
    }
  });
  ASSERT_TRUE(end);
  EXPECT_THAT(end->failure().what, HasSubstr("does not fit"));
}

TEST_F(Worker, UsesReleasedResultMemoryAgain) {
  const auto job = [](incoming_call& call) {
    const std::string large(1'000'000, 'x');
    call.append_segment(std::as_bytes(std::span{large}));
  };
  const std::byte* place = worker.run(job)->segments.front().bytes().data();
  for (int i = 0; i < 20; ++i) {
    const auto end = worker.run(job);
    ASSERT_TRUE(end);
    EXPECT_EQ(end->segments.front().bytes().data(), place);
  }
}

TEST_F(Worker, DoesNotKnowAFunctionOfAnotherBuild) {
  ASSERT_TRUE(worker.lane.put(
      {.ticket = static_cast<wire::ticket>(900), .function = {.module = 12345, .offset = 0x1000}}));
  worker.ring();
  const auto end = worker.next();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->failure().type, "hardstop::other_build");
  EXPECT_THAT(end->failure().what, HasSubstr("build"));
}

// --- stopping

TEST_F(Worker, AStopTokenIsRequestedWhenTheAttemptIsAsked) {
  const wire::ticket ticket = worker.put([](incoming_call& call) {
    const std::stop_token token = call.stop_token();
    std::mutex lock;
    std::condition_variable_any stopped;
    std::unique_lock hold{lock};
    stopped.wait(hold, token, [] { return false; });
    answer(call, token.stop_requested() ? "stopped" : "not stopped");
  });
  worker.lane.ask(ticket);
  EXPECT_EQ(worker.next()->payload, "stopped");
}

TEST_F(Worker, AStopTokenIsRequestedOnlyForItsOwnAttempt) {
  const auto job = [](incoming_call& call) {
    const std::stop_token token = call.stop_token();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    answer(call, token.stop_requested() ? "stopped" : "not stopped");
  };
  const wire::ticket first = worker.put(job);
  const wire::ticket second = worker.put(job);
  EXPECT_EQ(worker.next()->ticket, first);
  worker.lane.ask(first);
  const auto end = worker.next();
  EXPECT_EQ(end->ticket, second);
  EXPECT_EQ(end->payload, "not stopped");
}

TEST_F(Worker, AnAttemptAskedBeforeItBeganFindsItsTokenRequested) {
  worker.put([](incoming_call&) { std::this_thread::sleep_for(std::chrono::milliseconds(5)); });
  const wire::ticket ticket = worker.put([](incoming_call& call) {
    answer(call, call.stop_token().stop_requested() ? "stopped" : "not stopped");
  });
  worker.lane.ask(ticket);
  ASSERT_TRUE(worker.next());
  EXPECT_EQ(worker.next()->payload, "stopped");
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they have threads, too
TEST_F(Worker, HasOneThreadUntilSomebodyWantsAToken) {
  const auto count_threads = [](incoming_call& call) {
    std::size_t threads = 0;
    for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/task"}) {
      (void)entry;
      ++threads;
    }
    answer(call, std::to_string(threads));
  };
  EXPECT_EQ(worker.run(count_threads)->payload, "1");
  worker.run([](incoming_call& call) { (void)call.stop_token(); });
  worker.run([](incoming_call& call) { (void)call.stop_token(); });
  EXPECT_EQ(worker.run(count_threads)->payload, "2");
}
#endif

TEST_F(Worker, LeavesWhenAskedAndFlushesFirst) {
  worker.lane.request_exit();
  worker.ring();
  EXPECT_EQ(worker.exit_status(), static_cast<int>(exit_code::left));
}

TEST_F(Worker, RunsWhatWasPutBeforeTheRequestToLeave) {
  std::array<wire::ticket, 50> tickets{};
  for (wire::ticket& ticket : tickets)
    ticket = worker.put(&nothing);
  worker.lane.request_exit();
  worker.ring();
  for (const wire::ticket ticket : tickets)
    EXPECT_EQ(worker.next()->ticket, ticket);
  EXPECT_EQ(worker.exit_status(), static_cast<int>(exit_code::left));
}

// --- what jobs do to it

TEST_F(Worker, DiesWithAJobThatExits) {
  expect_death([](incoming_call&) { std::exit(3); }, 3);
}

TEST_F(Worker, DiesWithAJobThatExitsSilently) {
  expect_death([](incoming_call&) { _exit(0); }, 0);
}

TEST_F(Worker, DiesWithAJobThatAborts) {
  EXPECT_FALSE(worker.run([](incoming_call&) {
    signal(SIGABRT, SIG_DFL);
    std::abort();
  }));
  const int status = worker.status();
  EXPECT_TRUE(WIFSIGNALED(status));
}

TEST_F(Worker, DiesWithAJobThatEndsItsThread) {
  worker.run([](incoming_call& call) { (void)call.stop_token(); });  // another thread lives on
  expect_death([](incoming_call&) { pthread_exit(nullptr); },
               static_cast<int>(exit_code::thread_exited));
}

TEST_F(Worker, WorksOnWhenAJobHasClosedEveryDescriptor) {
  const auto close_all = [](incoming_call&) { syscall(SYS_close_range, 0U, ~0U, 0U); };
  ASSERT_TRUE(worker.run(close_all));
  EXPECT_EQ(worker.run(&echo, "still here")->payload, "still here");
  const std::string large(100'000, 'x');
  auto range = *worker.arguments->allocate(large.size());
  std::memcpy(range.bytes().data(), large.data(), large.size());
  worker.put(&echo, {}, {}, range.place());
  EXPECT_EQ(worker.next()->payload, large);
}

TEST_F(Worker, WorksOnWhenAJobJumpsOutOfNestedCalls) {
  const auto end = worker.run([](incoming_call& call) {
    static std::jmp_buf back;
    if (setjmp(back) == 0) std::longjmp(back, 1);
    answer(call, "jumped");
  });
  EXPECT_EQ(end->payload, "jumped");
}

TEST_F(Worker, TellsThatAnAttemptForked) {
  const auto job = [](incoming_call& call) {
    if (fork() == 0) _exit(0);
    answer(call, "forked");
  };
  EXPECT_EQ(worker.run(job)->forked, wire::forked::yes);
  EXPECT_EQ(worker.run(&nothing)->forked, wire::forked::no);
}

// The child must not touch the lane, whatever it does on its way back.
TEST_F(Worker, AForkedChildThatComesBackIsSentAway) {
  const auto job = [](incoming_call& call) {
    const std::string large(100'000, 'x');
    const std::stop_token token = call.stop_token();
    const pid_t child = fork();
    if (child == 0) {
      answer(call, "I am the worker now");
      if (text_of(call.arguments()) == "with a segment") {
        call.append_segment(std::as_bytes(std::span{large}));
      }
      return;
    }
    int status = 0;
    waitpid(child, &status, 0);
    answer(call, std::to_string(WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status)));
  };
  const auto sent_away = std::to_string(static_cast<int>(exit_code::not_the_worker));
  EXPECT_EQ(worker.run(job)->payload, sent_away);
  EXPECT_EQ(worker.run(job, "with a segment")->payload, sent_away);
  EXPECT_EQ(worker.run(&echo, "next")->payload, "next");
}

TEST_F(Worker, AForkedChildReadsTheArguments) {
  auto range = *worker.arguments->allocate(100'000);
  std::memset(range.bytes().data(), 'q', 100'000);
  worker.put(
      [](incoming_call& call) {
        const pid_t child = fork();
        if (child == 0) _exit(static_cast<char>(call.segment(0)[99'999]) == 'q' ? 7 : 8);
        int status = 0;
        waitpid(child, &status, 0);
        answer(call, std::to_string(WEXITSTATUS(status)));
      },
      {}, {range.place()});
  EXPECT_EQ(worker.next()->payload, "7");
}

TEST_F(Worker, RunsTheNextJobWhenOneScribblesOverTheStatesOfFrames) {
  worker.put([](incoming_call&) {
    // As a wild pointer would: find the lane and destroy its states of frames.
    std::FILE* const maps = std::fopen("/proc/self/maps", "r");
    std::array<char, 512> line{};
    while (std::fgets(line.data(), line.size(), maps) != nullptr) {
      const bool writable = std::strstr(line.data(), " rw-s ") != nullptr;
      if (!writable || std::strstr(line.data(), "hardstop-lane") == nullptr) continue;
      const auto begin = std::strtoull(line.data(), nullptr, 16);
      std::memset(reinterpret_cast<void*>(begin), 0x55,  // NOLINT(performance-no-int-to-ptr)
                  sizeof(wire::worker_half::states) + sizeof(wire::worker_half::stamps));
    }
  });
  worker.put(&nothing);
  EXPECT_EQ(worker.next()->ticket, static_cast<wire::ticket>(1));
  EXPECT_EQ(worker.next()->ticket, static_cast<wire::ticket>(2));
}

// --- zombies

TEST(WorkerZombies, AWorkerFullOfThemAsksToBeReplaced) {
  worker_process worker{{.most_zombies = 5}};
  worker.start_ready();
  const auto leave_zombies = [](incoming_call&) {
    for (int i = 0; i < 8; ++i) {
      if (fork() == 0) _exit(0);
    }
    // They are all dead.
    siginfo_t facts{};
    for (int i = 0; i < 8; ++i) {
      while (waitid(P_ALL, 0, &facts, WEXITED | WNOWAIT) != 0) {
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  };
  ASSERT_EQ(worker.run(leave_zombies)->kind, report_kind::value);
  const auto next = worker.next();
  ASSERT_TRUE(next);
  EXPECT_EQ(next->kind, report_kind::recycle);
}

TEST(WorkerZombies, NobodyReapsAJobsChildren) {
  worker_process worker{{.most_zombies = 0}};
  worker.start_ready();
  static pid_t child = 0;
  worker.put([](incoming_call&) {
    child = fork();
    if (child == 0) _exit(9);
  });
  ASSERT_TRUE(worker.next());
  worker.put([](incoming_call& call) {
    int status = 0;
    const bool reaped = waitpid(child, &status, 0) == child;
    answer(call, std::to_string(reaped ? WEXITSTATUS(status) : -1));
  });
  auto end = worker.next();
  if (end->kind == report_kind::recycle) end = worker.next();
  EXPECT_EQ(end->payload, "9");
}

}  // namespace
}  // namespace hardstop::worker
