#include "guardian/birth.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

#include "guardian/birth_message.hpp"
#include "guardian/exec_image.hpp"
#include "guardian/warden.hpp"
#include "os/clock.hpp"
#include "os/exit.hpp"
#include "os/proc.hpp"
#include "os/shared_child.hpp"
#include "os/signals.hpp"

namespace hardstop::guardian {
namespace {

constexpr std::chrono::milliseconds farewell{1000};

// Everything the new process needs, made before there is one. It lives in the client; a forked
// warden works on its copy, a helper on the original.
struct delivery {
  guardian_hooks* hooks = nullptr;  // fork
  std::optional<exec_image> image;  // forkserver and spawn
  os::seqpacket control;            // the guardian's end
  os::pidfd client;

  pid_t warden = -1;
  int error = 0;
  os::pidfd warden_handle;
};

[[noreturn]] void become_warden(delivery& ours) {
  run_warden({.control = std::move(ours.control),
              .client = std::move(ours.client),
              .exec_argv = {},
              .inherited = {}},
             *ours.hooks);
}

// In a child with a descriptor table of its own, which may share our memory: nothing is left
// changed.
int execute_warden(void* argument) noexcept {
  auto& ours = *static_cast<delivery*>(argument);
  ::setsid();
  os::reset_signal_dispositions();  // an ignored signal would stay ignored
  if (!ours.image) return EINVAL;
  const int error = ours.image->execute();
  const wire::birth_failed failure{.stage = birth_stage::exec, .error = error};
  (void)ours.control.send(wire::encode(wire::report{failure}).bytes());
  return 127;
}

// In the helper, which shares memory and descriptors with the waiting client. Its own child is
// orphaned when it ends, and so the client's host has no child at all.
int deliver(void* argument) noexcept {
  auto& ours = *static_cast<delivery*>(argument);
  if (ours.image) {
    const auto born = os::run_shared_child(&execute_warden, argument, os::share_descriptors::no);
    ours.warden = born ? *born : -1;
    ours.error = born ? 0 : born.error().code;
  } else {
    // The C library's own fork, for its handlers and locks: a bare clone of a process with threads
    // would inherit them in whatever state they are.
    ours.warden = ::fork();
    if (ours.warden == 0) become_warden(ours);
    ours.error = ours.warden < 0 ? errno : 0;
  }
  // Our child and not reaped by anybody: the pid is still its.
  if (ours.warden > 0) {
    if (auto handle = os::pidfd::open(ours.warden)) ours.warden_handle = std::move(*handle);
  }
  return 0;
}

// Where the call above is refused, or cannot be followed (valgrind): a double fork, whose first
// child the host may notice. The warden's pid and pidfd come over the control socket.
void deliver_visibly(delivery& ours) {
  const pid_t between = ::fork();
  if (between < 0) {
    ours.error = errno;
    return;
  }
  if (between == 0) {
    const pid_t warden = ::fork();
    if (warden == 0) {
      if (ours.image) os::exit_now(execute_warden(&ours));
      become_warden(ours);
    }
    if (warden > 0) {
      if (const auto handle = os::pidfd::open(warden)) {
        const wire::spawned told{.worker = {}, .pid = warden};
        const std::array beside{handle->handle().get()};
        (void)ours.control.send(wire::encode(wire::report{told}).bytes(), beside);
      }
    }
    os::exit_now(warden < 0 ? errno : 0);
  }
  int status = 0;
  while (::waitpid(between, &status, 0) < 0 && errno == EINTR) {
  }
  ours.error = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  ours.warden = between;
}

bool must_be_visible() {
  const char* const way = std::getenv("HARDSTOP_BIRTH");
  return way != nullptr && std::string_view{way} == "fork";
}

void deliver_one_way_or_the_other(delivery& ours) {
  // A handler of the host's must run neither in the helper nor in the copy.
  const os::signals_blocked quiet;
  if (!must_be_visible()) {
    const auto helper = os::run_shared_child(&deliver, &ours, os::share_descriptors::yes);
    if (helper) {
      os::reap_shared_child(*helper);
      return;
    }
  }
  deliver_visibly(ours);
}

os::result<os::descriptor> spec_or_nothing(const os::descriptor& spec) {
  if (spec) return spec.duplicate();
  os::descriptor nothing{::memfd_create("hardstop-no-spec", MFD_CLOEXEC)};
  if (!nothing) return os::last_error("making a memory file");
  return nothing;
}

// Puts the first message into the socket: it waits there for whoever is born.
os::result<void> send_configuration(const birth_plan& plan, const os::seqpacket& control) {
  wire::configure settings;
  settings.start = plan.start;
  settings.oom_score_raise = static_cast<std::int16_t>(std::clamp(plan.oom_score_raise, 0, 1000));
  settings.confirm_within = plan.confirm_within;
  if (!settings.set_cgroup(plan.cgroup)) {
    return os::error{.code = ENAMETOOLONG, .operation = "the path of the cgroup"};
  }
  const auto spec = spec_or_nothing(plan.spec);
  if (!spec) return spec.error();
  const std::array beside{spec->get()};
  return control.send(wire::encode(wire::request{settings}).bytes(), beside);
}

std::optional<birth_failure> refusal() {
  const auto support = os::probe_proc();
  if (support != os::proc_support::complete) return no_containment(support);
  return std::nullopt;
}

void prepare_image(const birth_plan& plan, delivery& ours) {
  exec_role role{.part = exec_role::kind::guardian,
                 .parent = ::getpid(),
                 .descriptors = {ours.control.handle().get(), ours.client.handle().get()}};
  role.descriptors.insert(role.descriptors.end(), plan.exec_inherited.begin(),
                          plan.exec_inherited.end());
  ours.image.emplace(plan.exec_argv, role, plan.exec_environment);
}

// What await_birth was told, with what came beside it.
struct answer {
  wire::report message;
  std::array<os::descriptor, os::seqpacket::max_descriptors> beside;
};

std::optional<answer> receive_answer(const os::seqpacket& control) {
  std::array<std::byte, wire::longest_message> buffer;
  auto parcel = control.receive(buffer);
  if (!parcel || parcel->closed() || parcel->descriptors_lost) return std::nullopt;
  const auto message = wire::decode_report(std::span{buffer}.first(parcel->size));
  if (!message || parcel->descriptor_count != wire::descriptors_beside(*message)) {
    return std::nullopt;
  }
  return answer{.message = *message, .beside = std::move(parcel->descriptors)};
}

// True: there is something to receive. False: the warden is gone without a word, or the time is up.
bool wait_for_answer(const birth_in_progress& begun, os::time_point deadline) {
  for (;;) {
    if (begun.control.wait_readable(std::chrono::milliseconds{0})) return true;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - os::now());
    if (left.count() <= 0) return false;
    std::array events{
        pollfd{.fd = begun.control.handle().get(), .events = POLLIN, .revents = 0},
        pollfd{.fd = begun.warden.handle().get(), .events = POLLIN, .revents = 0},
    };
    (void)::poll(events.data(), events.size(), static_cast<int>(left.count()));
    if (events[1].revents != 0) return begun.control.wait_readable(std::chrono::milliseconds{0});
  }
}

// Leaves nothing behind. A warden that has a guardian is left to sweep after it.
void abort_birth(birth_in_progress& begun) {
  constexpr std::chrono::milliseconds patience{1000};
  begun.control = {};
  if (!begun.warden || begun.warden.ended()) {
    (void)begun.warden.reap();
    return;
  }
  std::vector<pid_t> children;
  (void)os::append_children(begun.warden.pid(), children);
  for (const pid_t child : children) {
    if (const auto process = os::pidfd::open_child_of(child, begun.warden.pid())) {
      (void)process->send_signal(SIGKILL);
    }
  }
  if (children.empty() || !begun.warden.wait_ended(patience)) {
    // It leads a group from its birth on, and while it lives nobody else can have that number.
    if (!begun.warden.ended() && begun.warden.pid() > 1) ::kill(-begun.warden.pid(), SIGKILL);
    (void)begun.warden.send_signal(SIGKILL);
    (void)begun.warden.wait_ended(patience);
  }
  (void)begun.warden.reap();  // only a host that adopts has it for a child
}

}  // namespace

os::result<birth_in_progress, birth_failure> begin_birth(const birth_plan& plan) {
  if (auto refused = refusal()) return *std::move(refused);
  auto ends = os::seqpacket::make_pair();
  if (!ends) return cannot_prepare(ends.error());
  auto client = os::pidfd::open(::getpid());
  if (!client) return cannot_prepare(client.error());
  if (const auto sent = send_configuration(plan, ends->first); !sent) {
    return cannot_prepare(sent.error());
  }

  delivery ours;
  ours.hooks = plan.hooks;
  ours.control = std::move(ends->second);
  ours.client = std::move(*client);
  if (plan.start != start_method::fork) prepare_image(plan, ours);

  const auto own = os::read_stat(::getpid());
  const int threads = own ? own->threads : 1;
  deliver_one_way_or_the_other(ours);
  if (ours.error != 0 || ours.warden < 0) return cannot_fork(ours.error);
  return birth_in_progress{.control = std::move(ends->first),
                           .warden = std::move(ours.warden_handle),
                           .start = plan.start,
                           .program = plan.exec_argv.empty() ? "" : plan.exec_argv.front(),
                           .threads_at_fork = threads};
}

os::result<born, birth_failure> await_birth(birth_in_progress begun,
                                            std::chrono::milliseconds limit) {
  const auto deadline = os::now() + limit;
  while (wait_for_answer(begun, deadline)) {
    auto told = receive_answer(begun.control);
    if (!told) {
      // Nobody holds the other end any more: the warden is about to end, and with it comes a
      // status.
      if (begun.warden) (void)begun.warden.wait_ended(farewell);
      break;
    }
    if (const auto* const greeting = std::get_if<wire::hello>(&told->message)) {
      return born{.control = std::move(begun.control),
                  .warden = os::pidfd{std::move(told->beside[0]), greeting->warden_pid},
                  .guardian = os::pidfd{std::move(told->beside[1]), greeting->guardian_pid},
                  .facts = *greeting};
    }
    if (const auto* const failed = std::get_if<wire::birth_failed>(&told->message)) {
      auto failure = told_by_newborn(begun, *failed);
      abort_birth(begun);
      return failure;
    }
    if (const auto* const visible = std::get_if<wire::spawned>(&told->message)) {
      begun.warden = os::pidfd{std::move(told->beside[0]), visible->pid};
    }
  }
  auto failure = no_answer(begun, limit);
  abort_birth(begun);
  return failure;
}

os::result<born, birth_failure> give_birth(const birth_plan& plan) {
  auto begun = begin_birth(plan);
  if (!begun) return begun.error();
  return await_birth(std::move(*begun), plan.start_timeout);
}

}  // namespace hardstop::guardian
