#include "guardian/villains.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <new>

#include "guardian/test_pool.hpp"
#include "os/proc.hpp"

namespace hardstop::test {
namespace {

using guardian::worker_birth;

void say_ready(const worker_birth& birth) {
  (void)!::write(birth.lane.get(), "!", 1);
}

// Not pause(): a bug must not leave a process for ever.
[[noreturn]] void stay() {
  ::alarm(60);
  for (;;)
    ::poll(nullptr, 0, -1);
}

[[noreturn]] void stay_ready(const worker_birth& birth) {
  say_ready(birth);
  stay();
}

void idle(const worker_birth& birth) {
  stay_ready(birth);
}

void busy_loop(const worker_birth& birth) {
  ::alarm(60);
  say_ready(birth);
  for (volatile bool forever = true; forever;) {
  }
}

void ignores_signals(const worker_birth& birth) {
  for (int signal = 1; signal < NSIG; ++signal) {
    if (signal != SIGALRM) ::signal(signal, SIG_IGN);
  }
  sigset_t all;
  sigfillset(&all);
  sigdelset(&all, SIGALRM);
  ::sigprocmask(SIG_BLOCK, &all, nullptr);
  stay_ready(birth);
}

void stops_itself(const worker_birth& birth) {
  say_ready(birth);
  ::raise(SIGSTOP);
  stay();
}

void tree_of_4(const worker_birth& birth) {
  if (::fork() == 0) {
    if (::fork() == 0) stay();
    stay();
  }
  if (::fork() == 0) stay_ready(birth);
  stay();
}

void stops_its_group(const worker_birth& birth) {
  for (int i = 0; i < 3; ++i) {
    if (::fork() == 0) stay();
  }
  say_ready(birth);
  ::kill(0, SIGSTOP);
  stay();
}

void setsid_grandchild(const worker_birth& birth) {
  if (::fork() == 0) {
    if (::fork() == 0) {
      ::setsid();
      stay_ready(birth);
    }
    stay();
  }
  stay();
}

void daemon(const worker_birth& birth) {
  if (::fork() == 0) {
    ::setsid();
    if (::fork() == 0) {
      // Its parent's end makes it an orphan first.
      while (::getppid() != birth.guardian_pid && ::getppid() == ::getsid(0))
        ::usleep(100);
      stay_ready(birth);
    }
    ::_exit(0);
  }
  stay();
}

void orphans(const worker_birth& birth) {
  for (int i = 0; i < 3; ++i) {
    const pid_t middle = ::fork();
    if (middle == 0) {
      if (::fork() == 0) stay();
      ::_exit(0);
    }
    ::waitpid(middle, nullptr, 0);
  }
  stay_ready(birth);
}

// Shared by all of a multiplying tree: how many there have been, and when to stop anyhow.
struct ration {
  std::atomic<int> processes{0};
  std::chrono::steady_clock::time_point end =
      std::chrono::steady_clock::now() + std::chrono::seconds{3};

  [[nodiscard]] bool used_up(int most) {
    return processes.fetch_add(1) >= most || std::chrono::steady_clock::now() > end;
  }
};

ration& make_ration() {
  void* const memory =
      ::mmap(nullptr, sizeof(ration), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return *new (memory) ration;
}

// Each generation forks the next and ends: there is never more than a moment to catch one.
[[noreturn]] void hop(ration& shared, int most) {
  while (!shared.used_up(most)) {
    if (::fork() != 0) ::_exit(0);
    ::setsid();
  }
  stay();
}

void fork_chain(const worker_birth& birth) {
  constexpr int most = 10'000;
  constexpr int ready_after = 20;
  auto& shared = make_ration();
  if (::fork() == 0) hop(shared, most);
  while (shared.processes < ready_after)
    ::usleep(100);
  stay_ready(birth);
}

// Doubles until there are 200, each in a session of its own, still growing when it is killed.
void fork_bomb(const worker_birth& birth) {
  constexpr int most = 200;
  constexpr int ready_after = 40;
  auto& shared = make_ration();
  if (::fork() == 0) {
    while (!shared.used_up(most)) {
      if (::fork() == 0) ::setsid();
    }
    stay();
  }
  while (shared.processes < ready_after)
    ::usleep(100);
  stay_ready(birth);
}

// Many chains at once, so that somebody is being born whenever the sweep looks.
void hopping_bomb(const worker_birth& birth) {
  constexpr int chains = 32;
  constexpr int most = 4000;
  constexpr int ready_after = 64;
  auto& shared = make_ration();
  for (int chain = 0; chain < chains; ++chain) {
    if (::fork() == 0) {
      ::setsid();
      hop(shared, most);
    }
  }
  while (shared.processes < ready_after)
    ::usleep(100);
  stay_ready(birth);
}

void ptraces_its_child(const worker_birth& birth) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    stay();
  }
  ::waitpid(child, nullptr, __WALL);
  // Were it killed, it would stop once more before it is gone.
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACEEXIT);
  ::ptrace(PTRACE_CONT, child, nullptr, nullptr);
  stay_ready(birth);
}

// A daemon that traces the worker itself: the corpse belongs to the tracer first.
void traced_by_its_daemon(const worker_birth& birth) {
  const pid_t worker = ::getpid();
  ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  if (::fork() == 0) {
    ::setsid();
    if (::ptrace(PTRACE_SEIZE, worker, nullptr, nullptr) == 0) stay_ready(birth);
    ::_exit(1);
  }
  stay();
}

void closes_everything(const worker_birth& birth) {
  if (::fork() == 0) {
    ::setsid();
    say_ready(birth);
    for (int number = 0; number < 1024; ++number)
      ::close(number);
    stay();
  }
  stay();
}

void leaves_vfork_parent(const worker_birth& birth) {
  if (::fork() == 0) {
    ::setsid();
    // The parent sleeps in the kernel until its child, which never ends, has executed something.
    const pid_t child = ::vfork();
    if (child == 0) stay_ready(birth);
    ::_exit(0);
  }
  stay();
}

void gives_up_subreaping(const worker_birth& birth) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
  orphans(birth);
}

void shell_pipeline(const worker_birth& birth) {
  if (::fork() == 0) {
    ::execl("/bin/sh", "sh", "-c",
            "sleep 60 | sleep 60 & (setsid sleep 60 &) ; nohup sleep 60 > /dev/null 2>&1 & wait",
            nullptr);
    ::_exit(127);
  }
  stay_ready(birth);
}

// --- those that end by themselves, or harm others ---

void exits(const worker_birth& birth) {
  say_ready(birth);
  ::_exit(3);
}

void exits_with_children(const worker_birth& birth) {
  for (int i = 0; i < 3; ++i) {
    if (::fork() == 0) {
      if (i > 0) ::setsid();
      stay();
    }
  }
  exits(birth);
}

void aborts(const worker_birth& birth) {
  say_ready(birth);
  ::abort();
}

void stops_the_guardian(const worker_birth& birth) {
  ::kill(birth.guardian_pid, SIGSTOP);
  stay_ready(birth);
}

void stops_warden_and_guardian(const worker_birth& birth) {
  ::kill(os::read_stat(birth.guardian_pid)->parent, SIGSTOP);
  ::kill(birth.guardian_pid, SIGSTOP);
  stay_ready(birth);
}

// Keeps background children of all kinds, and ends should it lose one of its own.
void keeps_house(const worker_birth& birth) {
  for (int i = 0; i < 8; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      if (i % 2 == 0) ::setsid();
      if (i % 4 < 2) {
        if (::fork() == 0) stay();
        ::_exit(0);
      }
      stay();
    }
    if (i % 4 < 2) ::waitpid(child, nullptr, 0);
  }
  say_ready(birth);
  ::alarm(60);
  while (::waitpid(-1, nullptr, 0) < 0) {
  }
  ::_exit(1);  // a child ended
}

// A job that is a client itself: its warden is orphaned into a process that adopts.
void has_a_pool(const worker_birth& birth) {
  ::alarm(60);
  test_pool inner;
  const auto worker = inner.spawn("daemon");
  stay_ready(birth);
}

void uses_memory(const worker_birth& birth) {
  constexpr std::size_t size = 64U << 20U;
  void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  (void)memory;
  stay_ready(birth);
}

// Checks which CPU it believes to be on, having been moved to each.
void tells_cpus(const worker_birth& birth) {
  ::alarm(60);
  cpu_set_t allowed;
  ::sched_getaffinity(0, sizeof allowed, &allowed);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ::sched_setaffinity(0, sizeof one, &one);
    if (::sched_getcpu() != cpu) ::_exit(1);
  }
  exits(birth);
}

void flushes_and_exits(const worker_birth& birth) {
  std::fflush(nullptr);
  say_ready(birth);
  std::exit(0);
}

void tells_environment(const worker_birth& birth) {
  const char* const given = std::getenv("HARDSTOP_TEST_GIVEN");
  const bool clean = std::getenv("HARDSTOP_ROLE") == nullptr;
  if (!clean || given == nullptr || std::string{given} != "yes") ::_exit(1);
  exits(birth);
}

void reads_kept_descriptor(const worker_birth& birth) {
  std::array<char, 8> text{};
  const int number = std::atoi(std::getenv("HARDSTOP_TEST_KEPT"));
  if (::pread(number, text.data(), 4, 0) != 4 || std::string{text.data()} != "kept") ::_exit(1);
  exits(birth);
}

// One of the masks in /proc/self/status, bit n-1 for signal n.
unsigned long long signal_mask(const std::string& key) {
  std::ifstream status{"/proc/self/status"};
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key)) return std::stoull(line.substr(key.size()), nullptr, 16);
  }
  return ~0ULL;
}

// Checks the mask, the dispositions and the flags it was born with, as the kernel has them.
void tells_state(const worker_birth& birth) {
  // Sanitizers watch these in every program they are part of; 32 and 33 are the C library's.
  unsigned long long others = 3ULL << 31U;
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL})
    others |= 1ULL << (signal - 1U);
  if (signal_mask("SigBlk:") != 0) ::_exit(4);
  if ((signal_mask("SigIgn:") & ~others) != 0) ::_exit(5);
  if ((signal_mask("SigCgt:") & ~others) != 0) ::_exit(6);
  int death_signal = 0;
  ::prctl(PR_GET_PDEATHSIG, &death_signal, 0, 0, 0);
  int subreaper = 0;
  ::prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0);
  if (death_signal != SIGKILL || subreaper != 1 || ::getsid(0) != ::getpid()) ::_exit(7);
  exits(birth);
}

const std::map<std::string, villain_body>& killable() {
  static const std::map<std::string, villain_body> table{
      {"idle", &idle},
      {"busy_loop", &busy_loop},
      {"ignores_signals", &ignores_signals},
      {"stops_itself", &stops_itself},
      {"stops_its_group", &stops_its_group},
      {"setsid_grandchild", &setsid_grandchild},
      {"daemon", &daemon},
      {"orphans", &orphans},
      {"fork_chain", &fork_chain},
      {"fork_bomb", &fork_bomb},
      {"hopping_bomb", &hopping_bomb},
      {"ptraces_its_child", &ptraces_its_child},
      {"traced_by_its_daemon", &traced_by_its_daemon},
      {"closes_everything", &closes_everything},
      {"leaves_vfork_parent", &leaves_vfork_parent},
      {"gives_up_subreaping", &gives_up_subreaping},
      {"shell_pipeline", &shell_pipeline},
      {"stops_the_guardian", &stops_the_guardian},
      {"keeps_house", &keeps_house},
      {"has_a_pool", &has_a_pool},
      {"tree_of_4", &tree_of_4},
      {"uses_memory", &uses_memory},
  };
  return table;
}

const std::map<std::string, villain_body>& others() {
  static const std::map<std::string, villain_body> table{
      {"exits", &exits},
      {"exits_with_children", &exits_with_children},
      {"aborts", &aborts},
      {"flushes_and_exits", &flushes_and_exits},
      {"reads_kept_descriptor", &reads_kept_descriptor},
      {"stops_warden_and_guardian", &stops_warden_and_guardian},
      {"tells_cpus", &tells_cpus},
      {"tells_environment", &tells_environment},
      {"tells_state", &tells_state},
  };
  return table;
}

}  // namespace

villain_body villain_named(const std::string& name) {
  for (const auto* table : {&killable(), &others()}) {
    if (const auto found = table->find(name); found != table->end()) return found->second;
  }
  return nullptr;
}

std::vector<std::string> killable_villains() {
  std::vector<std::string> names;
  for (const auto& [name, body] : killable())
    names.push_back(name);
  return names;
}

}  // namespace hardstop::test
