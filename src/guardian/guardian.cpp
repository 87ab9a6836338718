#include "guardian/guardian.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <utility>

#include "guardian/cgroup.hpp"
#include "guardian/outbox.hpp"
#include "guardian/worker_start.hpp"
#include "guardian/worker_table.hpp"
#include "os/clock.hpp"
#include "os/exit.hpp"
#include "os/proc.hpp"
#include "os/read_file.hpp"
#include "os/signals.hpp"
#include "os/title.hpp"

namespace hardstop::guardian {
namespace {

// Between two looks at everything else.
constexpr int messages_per_turn = 64;

constexpr int exit_dismissed = 0;
constexpr int exit_protocol = 70;  // EX_SOFTWARE: what came from the client was no message
constexpr int exit_trouble = 71;   // EX_OSERR: the kernel refused what we cannot do without

std::string raised_oom_score(int raise) {
  constexpr int highest = 1000;
  const auto text = os::read_file("/proc/self/oom_score_adj");
  int own = 0;
  if (raise == 0 || !text ||
      std::from_chars(text->data(), text->data() + text->size(), own).ec != std::errc{}) {
    return {};
  }
  return std::to_string(std::min(highest, own + raise));
}

os::descriptor open_signal_descriptor() {
  sigset_t child_ended;
  sigemptyset(&child_ended);
  sigaddset(&child_ended, SIGCHLD);
  return os::descriptor{::signalfd(-1, &child_ended, SFD_CLOEXEC | SFD_NONBLOCK)};
}

class guardian_process {
 public:
  guardian_process(guardian_start start, guardian_hooks& hooks)
      : start_{std::move(start)},
        hooks_{hooks},
        workers_{start_.settings.confirm_within},
        outbox_{start_.control} {}

  [[noreturn]] void live();

 private:
  void prepare();
  [[noreturn]] void fail_birth(wire::birth_stage stage, int error) const;
  void say_hello();

  void wait();
  void drain_signals();
  void read_control();
  void handle(os::seqpacket::received& parcel, const wire::request& message);
  void spawn(const wire::spawn& order, os::seqpacket::received& parcel);
  [[nodiscard]] os::result<tracked_worker, wire::spawn_failed> make_worker(
      const wire::spawn& order, os::seqpacket::received& parcel);
  os::result<void> put_into_leaf(const wire::spawn& order, tracked_worker& worker,
                                 worker_setup& setup) const;
  [[nodiscard]] pid_t fork_forked(worker_setup setup);
  [[nodiscard]] pid_t fork_executed(worker_setup setup);

  // From now on everything dies, then we do.
  void leave(int exit_code);
  void leave_if_done();

  guardian_start start_;
  guardian_hooks& hooks_;
  worker_table workers_;
  outbox outbox_;
  os::descriptor signals_;
  cgroup_subtree subtree_;
  std::string worker_oom_score_;
  pid_t own_pid_ = ::getpid();

  struct departure {
    int exit_code;
    os::time_point deadline;
  };

  std::optional<departure> leaving_;
  bool client_watched_ = true;
  bool warden_watched_ = true;
  bool control_watched_ = true;
};

void guardian_process::live() {
  prepare();
  say_hello();
  for (;;) {
    wait();
    for (const auto& account : workers_.advance())
      outbox_.post(account);
    leave_if_done();
  }
}

void guardian_process::prepare() {
  ::setsid();
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  // Should a job have stopped us when somebody kills the warden, who would otherwise resume us.
  ::prctl(PR_SET_PDEATHSIG, SIGCONT, 0, 0, 0);
  os::set_process_title("hardstop-guard", "hardstop: guardian");
  signals_ = open_signal_descriptor();
  if (!signals_) fail_birth(wire::birth_stage::fork, errno);
  worker_oom_score_ = raised_oom_score(start_.settings.oom_score_raise);

  if (const auto path = start_.settings.cgroup(); !path.empty()) {
    auto subtree = cgroup_subtree::open(path);
    if (!subtree) fail_birth(wire::birth_stage::cgroup, subtree.error().code);
    subtree_ = std::move(*subtree);
    subtree_.remove_stale();
  }
  if (const int error = hooks_.in_guardian(start_.spec); error != 0) {
    fail_birth(wire::birth_stage::hooks, error);
  }
  // Whatever the hooks did to it: an ignored SIGCHLD would reap behind our back.
  ::signal(SIGCHLD, SIG_DFL);
  os::block_all_signals();
  std::vector<pid_t> children;
  (void)os::append_children(own_pid_, children);
  workers_.leave_alone(std::move(children));
}

void guardian_process::fail_birth(wire::birth_stage stage, int error) const {
  const auto message = wire::encode(wire::report{wire::birth_failed{stage, error}});
  (void)start_.control.send(message.bytes());
  (void)stop_tree(0, start_.settings.confirm_within);  // what the hooks may have started
  os::exit_now(1);
}

void guardian_process::say_hello() {
  const auto own = os::pidfd::open(own_pid_);
  if (!own) fail_birth(wire::birth_stage::containment, own.error().code);
  const bool limits_memory = subtree_ && subtree_.limits_memory();
  const wire::hello greeting{
      .warden_pid = start_.warden.pid(),
      .guardian_pid = own_pid_,
      .kill = subtree_ ? wire::kill_containment::cgroup : wire::kill_containment::sweep,
      .memory = limits_memory ? wire::memory_containment::cgroup : wire::memory_containment::watch,
      .oom = limits_memory ? wire::oom_attribution::cgroup : wire::oom_attribution::guess,
  };
  const std::array pidfds{start_.warden.handle().get(), own->handle().get()};
  (void)start_.control.send(wire::encode(wire::report{greeting}).bytes(), pidfds);
}

void guardian_process::wait() {
  const auto watch = [](bool wanted, const os::descriptor& handle, short events) {
    return pollfd{.fd = wanted ? handle.get() : -1, .events = events, .revents = 0};
  };
  const short control_events = outbox_.empty() ? POLLIN : POLLIN | POLLOUT;
  std::array events{
      watch(true, signals_, POLLIN),
      watch(control_watched_, start_.control.handle(), control_events),
      watch(client_watched_, start_.client.handle(), POLLIN),
      watch(warden_watched_, start_.warden.handle(), POLLIN),
  };
  auto wake = workers_.next_wake();
  if (leaving_) wake = std::min(wake, leaving_->deadline);
  timespec limit{};
  if (wake != os::time_point::max()) {
    const auto pause = std::chrono::nanoseconds{std::max(wake - os::now(), os::duration::zero())};
    limit = {.tv_sec = pause.count() / 1'000'000'000, .tv_nsec = pause.count() % 1'000'000'000};
  }
  const bool bounded = wake != os::time_point::max();
  if (::ppoll(events.data(), events.size(), bounded ? &limit : nullptr, nullptr) <= 0) return;

  if (events[0].revents != 0) drain_signals();
  if ((events[1].revents & POLLOUT) != 0) outbox_.flush();
  if ((events[1].revents & ~POLLOUT) != 0) read_control();
  if (events[2].revents != 0) {
    client_watched_ = false;
    leave(exit_dismissed);
  }
  if (events[3].revents != 0) {
    warden_watched_ = false;
    leave(exit_dismissed);
  }
}

void guardian_process::drain_signals() {
  // One is all there is: SIGCHLD does not queue.
  signalfd_siginfo told;
  (void)!::read(signals_.get(), &told, sizeof told);
}

void guardian_process::read_control() {
  std::array<std::byte, wire::longest_message> buffer;
  for (int count = 0; count < messages_per_turn; ++count) {
    auto parcel = start_.control.receive(buffer);
    if (!parcel && parcel.error().code == EAGAIN) return;
    if (!parcel || parcel->closed()) {
      control_watched_ = false;
      leave(exit_dismissed);
      return;
    }
    const auto message = wire::decode_request(std::span{buffer}.first(parcel->size));
    if (!message) {
      leave(exit_protocol);
      return;
    }
    handle(*parcel, *message);
  }
}

void guardian_process::handle(os::seqpacket::received& parcel, const wire::request& message) {
  if (const auto* const order = std::get_if<wire::spawn>(&message)) {
    spawn(*order, parcel);
  } else if (const auto* const victim = std::get_if<wire::kill>(&message)) {
    workers_.stop(victim->worker);
    // A job may have stopped the warden, and nobody tells a child of its parent's being stopped.
    (void)start_.warden.send_signal(SIGCONT);
  } else if (const auto* const question = std::get_if<wire::ping>(&message)) {
    outbox_.post(wire::pong{question->number});
  } else if (std::holds_alternative<wire::dismiss>(message)) {
    leave(exit_dismissed);
  } else {
    leave(exit_protocol);  // configured already
  }
}

void guardian_process::spawn(const wire::spawn& order, os::seqpacket::received& parcel) {
  auto made = make_worker(order, parcel);
  if (!made) {
    outbox_.post(made.error());
    return;
  }
  // The descriptors that came with the order are closed by now, so there is room for this one.
  auto handle = os::pidfd::open(made->pid);
  if (!handle) {
    leave(exit_trouble);
    return;
  }
  outbox_.post(wire::spawned{.worker = order.worker, .pid = made->pid},
               std::move(*handle).release());
  if (start_.settings.start != wire::start_method::spawn) {
    made->memory_at_birth = os::read_resident_memory(made->pid).value_or(0);
  }
  workers_.add(std::move(*made));
}

os::result<tracked_worker, wire::spawn_failed> guardian_process::make_worker(
    const wire::spawn& order, os::seqpacket::received& parcel) {
  const auto failed = [&](wire::birth_stage stage, int error) {
    return wire::spawn_failed{.worker = order.worker, .stage = stage, .error = error};
  };
  if (leaving_) return failed(wire::birth_stage::worker, ESHUTDOWN);
  if (workers_.knows(order.worker)) return failed(wire::birth_stage::worker, EEXIST);
  if (parcel.descriptors_lost) return failed(wire::birth_stage::socket, EMFILE);
  if (parcel.descriptor_count != wire::descriptors_beside(order)) {
    return failed(wire::birth_stage::socket, EBADMSG);
  }
  auto spec = start_.spec.duplicate();
  if (!spec) return failed(wire::birth_stage::socket, spec.error().code);

  auto& [lane, results, arguments, output, errors, unused1, unused2, unused3] = parcel.descriptors;
  worker_setup setup{
      .birth = {.worker = order.worker,
                .start = start_.settings.start,
                .guardian_pid = own_pid_,
                .spec = std::move(*spec),
                .lane = std::move(lane),
                .results = std::move(results),
                .arguments = std::move(arguments),
                .standard_output = std::move(output),
                .standard_error = std::move(errors)},
      .oom_score = worker_oom_score_,
      .cgroup_procs = {},
      .failure = {},
  };
  tracked_worker worker;
  worker.id = order.worker;
  if (const auto put = put_into_leaf(order, worker, setup); !put) {
    return failed(wire::birth_stage::cgroup, put.error().code);
  }
  const bool executes = start_.settings.start == wire::start_method::spawn;
  if (executes || worker.leaf) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) < 0) {
      return failed(wire::birth_stage::socket, errno);
    }
    worker.failure = os::descriptor{ends[0]};
    setup.failure = os::descriptor{ends[1]};
  }
  worker.pid = executes ? fork_executed(std::move(setup)) : fork_forked(std::move(setup));
  if (worker.pid < 0) {
    const int error = errno;
    worker.leaf.remove();
    return failed(wire::birth_stage::worker, error);
  }
  return worker;
}

os::result<void> guardian_process::put_into_leaf(const wire::spawn& order, tracked_worker& worker,
                                                 worker_setup& setup) const {
  if (!subtree_) return {};
  auto leaf = subtree_.make_leaf(static_cast<std::uint64_t>(order.worker));
  if (!leaf) return leaf.error();
  auto processes = leaf->open_processes();
  if (!processes) {
    leaf->remove();
    return processes.error();
  }
  // Without the controller the client watches memory itself.
  if (subtree_.limits_memory()) (void)leaf->limit_memory(order.memory_limit);
  worker.leaf = std::move(*leaf);
  setup.cgroup_procs = std::move(*processes);
  return {};
}

// One thread, every signal blocked: the child goes on from a consistent state.
pid_t guardian_process::fork_forked(worker_setup setup) {
  const pid_t pid = hooks_.fork_worker();
  if (pid == 0) start_worker(std::move(setup), hooks_);
  return pid;
}

pid_t guardian_process::fork_executed(worker_setup setup) {
  const auto& birth = setup.birth;
  const exec_role role{
      .part = exec_role::kind::worker,
      .worker = static_cast<std::uint64_t>(birth.worker),
      .parent = own_pid_,
      .descriptors = {birth.spec.get(), birth.lane.get(), birth.results.get(),
                      birth.arguments.get(), birth.standard_output.get(),
                      birth.standard_error.get()},
  };
  exec_image image{start_.exec_argv, role, {}};
  image.keep(start_.inherited);
  const pid_t pid = ::fork();
  if (pid == 0) exec_worker(std::move(setup), image);
  return pid;
}

void guardian_process::leave(int exit_code) {
  if (leaving_) return;
  // A little more than what any one tree is given, for the whole.
  constexpr std::chrono::seconds allowance{1};
  leaving_ = {.exit_code = exit_code,
              .deadline = os::now() + start_.settings.confirm_within + allowance};
  workers_.stop_all();
}

void guardian_process::leave_if_done() {
  if (!leaving_) return;
  // Whoever will not die by then is the warden's.
  if (workers_.empty() || os::now() >= leaving_->deadline) os::exit_now(leaving_->exit_code);
}

}  // namespace

void run_guardian(guardian_start start, guardian_hooks& hooks) {
  guardian_process self{std::move(start), hooks};
  self.live();
}

}  // namespace hardstop::guardian
