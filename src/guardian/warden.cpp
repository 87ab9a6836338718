#include "guardian/warden.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <optional>
#include <utility>

#include "guardian/cgroup.hpp"
#include "guardian/guardian.hpp"
#include "guardian/tree_sweep.hpp"
#include "os/exit.hpp"
#include "os/shared_child.hpp"
#include "os/signals.hpp"
#include "os/title.hpp"
#include "wire/control.hpp"

namespace hardstop::guardian {
namespace {

// The client sends its configuration before the birth, so this is not really a wait.
constexpr std::chrono::seconds configure_limit{10};
// For trees that resist; what is left then is init's.
constexpr std::chrono::seconds sweep_limit{10};
// What a guardian needs at most, beyond the time for one tree, to notice that its client is gone.
constexpr std::chrono::seconds guardian_allowance{3};

constexpr int signal_offset = 128;

struct order {
  wire::configure settings;
  os::descriptor spec;
};

std::optional<order> receive_order(const os::seqpacket& control) {
  if (!control.wait_readable(configure_limit)) return std::nullopt;
  std::array<std::byte, wire::longest_message> buffer;
  auto parcel = control.receive(buffer);
  if (!parcel || parcel->closed() || parcel->descriptor_count != 1) return std::nullopt;
  const auto message = wire::decode_request(std::span{buffer}.first(parcel->size));
  if (!message || !std::holds_alternative<wire::configure>(*message)) return std::nullopt;
  return order{.settings = std::get<wire::configure>(*message),
               .spec = std::move(parcel->descriptors[0])};
}

[[noreturn]] void fail_birth(const os::seqpacket& control, wire::birth_stage stage, int error) {
  (void)control.send(wire::encode(wire::report{wire::birth_failed{stage, error}}).bytes());
  os::exit_now(1);
}

// Waits until the guardian is gone, and sees to it that it goes when the client does. Returns its
// exit status, or 128 and the signal, as shells do: all that a client learns of a failed birth.
int watch(const os::pidfd& guardian, const os::pidfd& client, std::chrono::milliseconds grace) {
  sigset_t child_changed;
  sigemptyset(&child_changed);
  sigaddset(&child_changed, SIGCHLD);
  const os::descriptor signals{::signalfd(-1, &child_changed, SFD_CLOEXEC | SFD_NONBLOCK)};
  bool client_watched = true;
  for (;;) {
    siginfo_t change{};
    ::waitid(P_PID, static_cast<id_t>(guardian.pid()), &change,
             WEXITED | WSTOPPED | WNOHANG | __WALL);
    if (change.si_pid == guardian.pid()) {
      if (change.si_code == CLD_EXITED) return change.si_status;
      if (change.si_code != CLD_STOPPED) return signal_offset + change.si_status;
      (void)guardian.send_signal(SIGCONT);
    }

    std::array events{
        pollfd{.fd = signals.get(), .events = POLLIN, .revents = 0},
        pollfd{.fd = client_watched ? client.handle().get() : -1, .events = POLLIN, .revents = 0},
    };
    const int limit = client_watched ? -1 : static_cast<int>(grace.count());
    if (::poll(events.data(), events.size(), limit) == 0) (void)guardian.send_signal(SIGKILL);
    signalfd_siginfo told;
    while (::read(signals.get(), &told, sizeof told) > 0) {
    }
    if (events[1].revents != 0) client_watched = false;
  }
}

[[noreturn]] void stand_guard(const os::pidfd& guardian, const os::pidfd& client,
                              const wire::configure& settings) {
  // The host's descriptors are none of ours: a pipe kept open here would never end for its reader.
  const std::array kept{guardian.handle().get(), client.handle().get()};
  os::close_all_but(kept);
  const int status = watch(guardian, client, settings.confirm_within + guardian_allowance);
  (void)stop_tree(0, sweep_limit);
  if (const auto path = settings.cgroup(); !path.empty()) {
    if (const auto subtree = cgroup_subtree::open(path)) subtree->remove_stale();
  }
  os::exit_now(status);
}

}  // namespace

void run_warden(warden_start start, guardian_hooks& hooks) {
  os::block_all_signals();
  ::signal(SIGCHLD, SIG_DFL);
  os::restore_rseq();
  ::setsid();
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  const std::array kept{start.control.handle().get(), start.client.handle().get()};
  os::disown_inherited(kept);
  const os::seqpacket control{os::descriptor{start.control.release().release()}};
  const pid_t client_pid = start.client.pid();
  os::pidfd client{os::descriptor{std::move(start.client).release().release()}, client_pid};
  os::set_process_title("hardstop-warden", "hardstop: warden");

  auto ordered = receive_order(control);
  if (!ordered) fail_birth(control, wire::birth_stage::answer, EPROTO);
  auto own = os::pidfd::open(::getpid());
  if (!own) fail_birth(control, wire::birth_stage::containment, own.error().code);

  // A copy of a host with threads: the C library has made its own locks usable, and nothing of the
  // host's is called before hooks.in_guardian.
  const pid_t child = ::fork();
  if (child < 0) fail_birth(control, wire::birth_stage::fork, errno);
  if (child == 0) {
    const std::array still_needed{control.handle().get(), client.handle().get(),
                                  own->handle().get(), ordered->spec.get()};
    os::disown_inherited(still_needed);
    run_guardian(
        {
            .control = os::seqpacket{os::descriptor{control.handle().get()}},
            .client = os::pidfd{os::descriptor{client.handle().get()}, client_pid},
            .warden = os::pidfd{os::descriptor{own->handle().get()}, own->pid()},
            .settings = ordered->settings,
            .spec = os::descriptor{ordered->spec.release()},
            .exec_argv = std::move(start.exec_argv),
            .inherited = std::move(start.inherited),
        },
        hooks);
  }
  const auto guardian = os::pidfd::open(child);
  if (!guardian) {
    kill_root(child);
    fail_birth(control, wire::birth_stage::containment, guardian.error().code);
  }
  stand_guard(*guardian, client, ordered->settings);
}

}  // namespace hardstop::guardian
