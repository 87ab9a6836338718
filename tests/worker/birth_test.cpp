// How a worker comes to be what its pool's options say.
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <array>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <new>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/worker_process.hpp"

namespace hardstop::worker {
namespace {

using detail::incoming_call;
using testing::HasSubstr;
using wire::report_kind;

void answer(incoming_call& call, std::string_view text) {
  call.append(std::as_bytes(std::span{text}));
}

spec with(environment chosen) {
  spec told;
  told.environment = std::move(chosen);
  return told;
}

// What a worker with this environment answers.
std::string answer_of(detail::thunk job, environment chosen) {
  worker_process worker{with(std::move(chosen))};
  worker.start_ready();
  const auto end = worker.run(job);
  return end ? end->payload : "died";
}

TEST(Birth, SetsVariables) {
  setenv("HARDSTOP_TEST_KEPT", "kept", 1);
  setenv("HARDSTOP_TEST_GONE", "here", 1);
  const auto job = [](incoming_call& call) {
    for (const char* name : {"HARDSTOP_TEST_KEPT", "HARDSTOP_TEST_GONE", "HARDSTOP_TEST_NEW"}) {
      const char* const value = std::getenv(name);
      answer(call, value == nullptr ? "-" : value);
      answer(call, " ");
    }
  };
  EXPECT_EQ(answer_of(job, {.variables = {{"HARDSTOP_TEST_GONE", std::nullopt},
                                          {"HARDSTOP_TEST_NEW", "new"}}}),
            "kept - new ");
  EXPECT_EQ(
      answer_of(job, {.inherit_variables = false, .variables = {{"HARDSTOP_TEST_NEW", "new"}}}),
      "- - new ");
}

TEST(Birth, ChangesDirectoryAndUmask) {
  const auto job = [](incoming_call& call) {
    answer(call, std::filesystem::current_path().string() + " " + std::to_string(umask(0)));
  };
  EXPECT_EQ(answer_of(job, {.working_directory = "/tmp", .umask = 027}), "/tmp 23");
}

TEST(Birth, SetsPriorityAndAffinity) {
  const auto job = [](incoming_call& call) {
    cpu_set_t cpus;
    sched_getaffinity(0, sizeof cpus, &cpus);
    answer(call, std::to_string(getpriority(PRIO_PROCESS, 0)) + " " +
                     std::to_string(CPU_COUNT(&cpus)) + " " + std::to_string(CPU_ISSET(0, &cpus)));
  };
  const int here = getpriority(PRIO_PROCESS, 0);
  EXPECT_EQ(answer_of(job, {.nice = 3, .affinity = {0}}), std::to_string(here + 3) + " 1 1");
}

TEST(Birth, SetsLimits) {
  const auto job = [](incoming_call& call) {
    rlimit core{};
    rlimit files{};
    getrlimit(RLIMIT_CORE, &core);
    getrlimit(RLIMIT_NOFILE, &files);
    answer(call, std::to_string(core.rlim_cur) + " " + std::to_string(files.rlim_cur));
  };
  EXPECT_EQ(answer_of(job, {.limits = {{.resource = RLIMIT_CORE, .soft = 0, .hard = 0},
                                       {.resource = RLIMIT_NOFILE, .soft = 77, .hard = 78}}}),
            "0 77");
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// What we reserve does not count.
TEST(Birth, ALimitOfAddressSpaceIsTheJobsOwn) {
  constexpr std::uint64_t limit = std::uint64_t{1} << 30;
  const auto job = [](incoming_call& call) {
    const auto can_have = [](std::size_t size) {
      void* const memory = ::operator new(size, std::nothrow);
      ::operator delete(memory);
      return memory != nullptr;
    };
    answer(call, can_have(limit / 2) ? "half " : "-");
    answer(call, can_have(2 * limit) ? "double" : "-");
  };
  EXPECT_EQ(answer_of(job, {.limits = {{.resource = RLIMIT_AS, .soft = limit, .hard = limit}}}),
            "half -");
}
#endif

TEST(Birth, ResetsSignals) {
  signal(SIGUSR2, SIG_IGN);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigprocmask(SIG_BLOCK, &blocked, nullptr);
  const auto job = [](incoming_call& call) {
    sigset_t mask;
    sigprocmask(SIG_SETMASK, nullptr, &mask);
    struct sigaction action {};
    sigaction(SIGUSR2, nullptr, &action);
    answer(call, std::to_string(sigismember(&mask, SIGUSR1)) + " " +
                     (action.sa_handler == SIG_DFL ? "default" : "other"));
  };
  EXPECT_EQ(answer_of(job, {}), "0 default");
  EXPECT_EQ(answer_of(job, {.reset_signals = false}), "1 other");
  sigprocmask(SIG_UNBLOCK, &blocked, nullptr);
  signal(SIGUSR2, SIG_DFL);
}

TEST(Birth, LeavesNoDescriptorOfOurs) {
  const auto job = [](incoming_call& call) {
    for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) {
      const auto target = std::filesystem::read_symlink(entry.path()).string();
      if (target.find("memfd:hardstop") != std::string::npos) answer(call, target + "\n");
    }
  };
  // A client keeps its descriptors close-on-exec, but this test forks without exec: so from a
  // client that has none.
  worker_process worker{with({.standard_output = stream::capture})};
  worker.output_file = *make_capture_file("hardstop-test-output");
  worker.start_ready();
  std::string ours;
  {
    // Those the fork copied are there as well; each of them once.
    const auto end = worker.run(job);
    ours = end->payload;
  }
  std::size_t files = 0;
  for (std::size_t at = ours.find("memfd:"); at != std::string::npos;
       at = ours.find("memfd:", at + 1)) {
    ++files;
  }
  EXPECT_EQ(files, 3U + 2U) << "lane, two arenas and the output of the parent, and our output\n"
                            << ours;
}

// --- standard streams

std::string content(const os::descriptor& file, std::uint64_t begin, std::uint64_t end) {
  std::string text(end - begin, '\0');
  const auto got = pread(file.get(), text.data(), text.size(), static_cast<off_t>(begin));
  EXPECT_EQ(got, static_cast<ssize_t>(text.size()));
  return text;
}

TEST(BirthStreams, AreCapturedPerAttempt) {
  worker_process worker{
      with({.standard_output = stream::capture, .standard_error = stream::capture})};
  worker.output_file = *make_capture_file("hardstop-test-output");
  worker.error_file = *make_capture_file("hardstop-test-error");
  worker.start_ready();
  const auto job = [](incoming_call&) {
    static int number = 0;
    std::printf("out %d", ++number);  // not flushed by the job
    std::fprintf(stderr, "err %d", number);
    if (std::system("printf ' and a child'") != 0) std::abort();
  };
  std::uint64_t out = 0;
  std::uint64_t err = 0;
  for (int i = 1; i <= 3; ++i) {
    const auto end = worker.run(job);
    ASSERT_TRUE(end && end->captured);
    EXPECT_EQ(content(worker.output_file, out, end->captured->out_end),
              " and a childout " + std::to_string(i));
    EXPECT_EQ(content(worker.error_file, err, end->captured->err_end), "err " + std::to_string(i));
    out = end->captured->out_end;
    err = end->captured->err_end;
  }
}

TEST(BirthStreams, ACaptureThatTheJobClosedIsLost) {
  worker_process worker{with({.standard_output = stream::capture})};
  worker.output_file = *make_capture_file("hardstop-test-output");
  worker.start_ready();
  const auto end = worker.run([](incoming_call&) { close(STDOUT_FILENO); });
  ASSERT_TRUE(end && end->captured);
  EXPECT_EQ(end->captured->out_end, wire::captured_output::lost);
  EXPECT_EQ(end->captured->err_end, 0U);
}

TEST(BirthStreams, AreTheNullDeviceWhereSaid) {
  const auto job = [](incoming_call& call) {
    answer(call, std::filesystem::read_symlink("/proc/self/fd/0").string() + " " +
                     std::filesystem::read_symlink("/proc/self/fd/1").string());
  };
  EXPECT_EQ(answer_of(job, {.standard_output = stream::null}), "/dev/null /dev/null");
}

// A fork copies what the host has not written yet; it must not be written twice.
TEST(BirthStreams, DoNotRepeatWhatTheHostHasNotFlushed) {
  const auto file = *make_capture_file("hardstop-test-host");
  std::fflush(stdout);
  const int before = dup(STDOUT_FILENO);
  dup2(file.get(), STDOUT_FILENO);
  std::printf("once");
  {
    worker_process worker;
    worker.start_ready();
    worker.lane.request_exit();
    worker.ring();
    EXPECT_EQ(worker.exit_status(), 0);
  }
  std::fflush(stdout);
  dup2(before, STDOUT_FILENO);
  close(before);

  struct stat facts {};

  fstat(file.get(), &facts);
  EXPECT_EQ(content(file, 0, static_cast<std::uint64_t>(facts.st_size)), "once");
}

// --- what goes wrong

kept_report first_report(const spec& told) {
  worker_process worker{told};
  worker.start();
  auto report = worker.next();
  EXPECT_EQ(worker.exit_status(), static_cast<int>(exit_code::start_failed));
  return report ? std::move(*report) : kept_report{};
}

TEST(BirthFailure, NamesTheOption) {
  const auto report = first_report(with({.working_directory = "/no/such/place"}));
  EXPECT_EQ(report.kind, report_kind::start_failed);
  EXPECT_THAT(report.failure().what, HasSubstr("working_directory '/no/such/place'"));
  EXPECT_THAT(report.failure().what, HasSubstr("No such file"));
}

TEST(BirthFailure, NamesEachOptionThatTheKernelRefuses) {
  EXPECT_THAT(first_report(with({.affinity = {60'000}})).failure().what, HasSubstr("affinity"));
  EXPECT_THAT(first_report(with({.affinity = {-1}})).failure().what, HasSubstr("affinity"));
  EXPECT_THAT(
      first_report(with({.limits = {{.resource = 999, .soft = 0, .hard = 0}}})).failure().what,
      HasSubstr("resource limit 999"));
  EXPECT_THAT(first_report(with({.variables = {{"a=b", "c"}}})).failure().what,
              HasSubstr("variable 'a=b'"));
}

spec with_initializer(detail::thunk function, std::string_view argument) {
  const auto place = os::locate(reinterpret_cast<const void*>(function));
  spec told;
  told.initializer = {.module = place->module, .offset = place->offset};
  const auto bytes = std::as_bytes(std::span{argument});
  told.initializer_arguments = {bytes.begin(), bytes.end()};
  return told;
}

std::string remembered;

TEST(BirthInitializer, RunsBeforeTheFirstJob) {
  worker_process worker{with_initializer(
      [](incoming_call& call) {
        remembered.assign(reinterpret_cast<const char*>(call.arguments().data()),
                          call.arguments().size());
        answer(call, "a result that nobody wants");
      },
      "told once")};
  worker.start_ready();
  EXPECT_EQ(worker.run([](incoming_call& call) { answer(call, remembered); })->payload,
            "told once");
}

TEST(BirthInitializer, ItsExceptionIsWhyTheWorkerDidNotStart) {
  const auto report = first_report(with_initializer(
      [](incoming_call& call) {
        try {
          throw std::bad_alloc();
        } catch (...) {
          detail::report_current_exception(call);
        }
      },
      ""));
  EXPECT_EQ(report.kind, report_kind::start_failed);
  EXPECT_EQ(report.failure().type, "std::bad_alloc");
}

TEST(BirthInitializer, OfAnotherBuildIsRefused) {
  spec told;
  told.initializer = {.module = 4711, .offset = 16};
  EXPECT_EQ(first_report(told).failure().type, "hardstop::other_build");
}

TEST(Spec, SurvivesTheJourney) {
  spec told = with({.standard_input = stream::inherit,
                    .standard_output = stream::capture,
                    .standard_error = stream::null,
                    .inherit_variables = false,
                    .variables = {{"A", "1"}, {"B", std::nullopt}},
                    .working_directory = "/somewhere",
                    .umask = 077,
                    .nice = -5,
                    .affinity = {1, 2, 3},
                    .limits = {{.resource = 7, .soft = 1, .hard = RLIM_INFINITY}},
                    .reset_signals = false});
  told.initializer = {.module = 1, .offset = 2};
  told.initializer_arguments = {std::byte{1}, std::byte{2}};
  told.pages = wire::page_choice::huge;
  told.most_zombies = 9;
  told.runtime = {std::byte{3}};
  const auto read = read_spec(*write_spec(told));
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(encode_spec(*read), encode_spec(told));
  EXPECT_EQ(read->environment.variables, told.environment.variables);
  EXPECT_EQ(read->environment.limits.at(0).hard, RLIM_INFINITY);
  EXPECT_EQ(read->initializer, told.initializer);
}

TEST(Spec, ThatIsCutOrTooLongIsRefused) {
  auto bytes = encode_spec(with({.working_directory = "/somewhere"}));
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(decode_spec(std::span{bytes}.first(length))) << length;
  }
  bytes.push_back(std::byte{0});
  EXPECT_FALSE(decode_spec(bytes));
}

TEST(Spec, OfAnUnknownChoiceIsRefused) {
  auto bytes = encode_spec({});
  bytes[0] = std::byte{99};
  EXPECT_FALSE(decode_spec(bytes));
}

}  // namespace
}  // namespace hardstop::worker
