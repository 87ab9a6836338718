// What client and guardian say to each other: small messages over a SEQPACKET socket.
//
// Each message is a magic number, a kind and the fields of a structure below one after the other,
// in the machine's byte order (both ends are one build on one machine), with the descriptors it
// names beside it. Decoding checks everything: kind, size, every enumeration, every length; bytes
// that are no message yield EBADMSG and nothing else (G12).
//
// The conversation:
//   client:   configure, then any of spawn, kill, ping; dismiss ends it
//   guardian: hello or birth_failed first; then per spawn either spawn_failed, or spawned and, some
//   time later, gone;
//             a pong for each ping
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include "os/error.hpp"
#include "os/pidfd.hpp"

namespace hardstop::wire {

// Names a worker for its pool's life; never used again. Chosen by the client.
enum class worker_id : std::uint64_t {};

// --- client to guardian
// ---------------------------------------------------------------------------------------------

// How guardian and workers come to be; see guardian/birth.hpp.
enum class start_method : std::uint8_t { fork, forkserver, spawn };

// The first message. Beside it: the spec, a descriptor that is handed to every worker unread.
struct configure {
  static constexpr std::size_t longest_path = 1024;

  start_method start = start_method::fork;
  std::int16_t oom_score_raise = 0;  // added to each worker's oom_score_adj
  std::chrono::milliseconds confirm_within{
      1000};  // after that a `gone` names whom the kernel would not kill
  std::array<char, longest_path> cgroup_path{};  // a delegated cgroup v2 subtree; empty: none

  [[nodiscard]] std::string_view cgroup() const { return {cgroup_path.data()}; }

  // False if it is too long.
  [[nodiscard]] bool set_cgroup(std::string_view path);
};

enum class capture : std::uint8_t { no, yes };

// Make a worker. Beside it: lane, results, arguments, and what takes its standard
// output and standard error if `captured`.
struct spawn {
  worker_id worker{};
  std::uint64_t memory_limit =
      0;  // bytes for its whole tree, where there is a memory cgroup; 0: none
  capture captured = capture::no;
};

// Stop a worker and everything descended from it. Answered by `gone`. Unknown workers are ignored:
// it was gone already.
struct kill {
  worker_id worker{};
};

// Are you there? Answered by `pong` with the same number.
struct ping {
  std::uint64_t number = 0;
};

// Stop everything and exit with status 0.
struct dismiss {};

using request = std::variant<configure, spawn, kill, ping, dismiss>;

// --- guardian to client
// ---------------------------------------------------------------------------------------------

enum class kill_containment : std::uint8_t { sweep, cgroup };
enum class memory_containment : std::uint8_t { watch, cgroup };
enum class oom_attribution : std::uint8_t { guess, cgroup };

// Everything is ready. Beside it: pidfds of warden and guardian.
struct hello {
  pid_t warden_pid = 0;
  pid_t guardian_pid = 0;
  kill_containment kill = kill_containment::sweep;
  memory_containment memory = memory_containment::watch;
  oom_attribution oom = oom_attribution::guess;
};

// Where a birth ended.
enum class birth_stage : std::uint8_t {
  containment,  // this machine cannot contain: no /proc, no children files, no pidfds
  socket,       // making descriptors in the client
  fork,         // forking out of the client, or the warden's fork of the guardian
  exec,         // executing the program named in exec_argv
  hooks,        // the guardian's own preparation: hooks.in_guardian
  cgroup,       // the delegated subtree is not usable
  answer,       // it died, or said nothing in time
  worker,       // forking a worker
};

// No guardian came to be; nothing is left of it.
struct birth_failed {
  birth_stage stage = birth_stage::fork;
  int error = 0;  // errno
};

// A worker exists. Beside it: its pidfd.
struct spawned {
  worker_id worker{};
  pid_t pid = 0;
};

// No process came to be; no `gone` follows.
struct spawn_failed {
  worker_id worker{};
  birth_stage stage = birth_stage::fork;
  int error = 0;  // errno
};

// Why a process of a tree could not be confirmed dead.
enum class survival : std::uint8_t {
  none,             // the whole tree is confirmed gone
  uninterruptible,  // sleeps in the kernel and cannot be woken, not even by SIGKILL
  traced,           // a tracer outside the tree holds its corpse
  permission,       // we may not signal it: it runs as another user (set-uid)
  ending,           // killed, but the kernel has not finished taking it apart (much memory)
};

// A worker has ended and so has everything it started, but for `unconfirmed`.
struct gone {
  worker_id worker{};
  pid_t pid = 0;
  os::exit_status status;  // meaningless if unconfirmed.pid == pid: then it has not ended
  std::chrono::microseconds cpu_time{
      0};  // user and system, of the worker and all that was stopped with it
  // The largest resident size of any one process of the tree. A forked process is born with its
  // parent's pages counted in: `memory_at_birth` is what the worker had when it had done nothing
  // yet; the job's own share is at least the difference.
  std::uint64_t peak_memory = 0;
  std::uint64_t memory_at_birth = 0;
  // Seen to end by SIGKILL, whoever sent it, the worker included. A process whose own dying parent
  // was quicker to reap it is not seen.
  std::uint32_t processes_stopped = 0;
  std::int32_t oom_kills = -1;  // of its memory cgroup; -1: no such cgroup to ask

  struct {
    survival reason = survival::none;
    pid_t pid = 0;
    pid_t tracer = 0;          // if traced
    std::uint32_t others = 0;  // more processes in the same state of things
  } unconfirmed;

  std::chrono::nanoseconds confirm_latency{
      0};  // from the kill request, or the worker's own death, to this message
  // Set if it died before it could run a job because its birth went wrong (exec failed, cgroup
  // refused).
  birth_stage birth = birth_stage::worker;
  int birth_error = 0;  // errno; 0: its birth went well
};

struct pong {
  std::uint64_t number = 0;
};

using report = std::variant<hello, birth_failed, spawned, spawn_failed, gone, pong>;

// --- bytes
// ----------------------------------------------------------------------------------------------------------

// Large enough for every message.
inline constexpr std::size_t longest_message = 1280;

class encoded {
 public:
  [[nodiscard]] std::span<const std::byte> bytes() const { return {bytes_.data(), size_}; }

 private:
  friend encoded encode(const request& message);
  friend encoded encode(const report& message);
  std::array<std::byte, longest_message> bytes_;
  std::size_t size_ = 0;
};

// Neither allocates; both may be called between fork and exec.
[[nodiscard]] encoded encode(const request& message);
[[nodiscard]] encoded encode(const report& message);

[[nodiscard]] os::result<request> decode_request(std::span<const std::byte> bytes);
[[nodiscard]] os::result<report> decode_report(std::span<const std::byte> bytes);

// How many descriptors must come with a message; any other number is as wrong as wrong bytes.
[[nodiscard]] std::size_t descriptors_beside(const request& message);
[[nodiscard]] std::size_t descriptors_beside(const report& message);

}  // namespace hardstop::wire
