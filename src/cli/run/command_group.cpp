#include "cli/run/command_group.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "cli/run/tree_walk.hpp"
#include "os/pidfd.hpp"
#include "os/proc.hpp"

namespace hardstop::cli {
namespace {

bool wakes(int signal) {
  return signal == SIGTERM || signal == SIGINT || signal == SIGHUP || signal == SIGQUIT;
}

// The caller's group holds others, too: ourselves, whoever is in the same pipeline. Only the tree
// is meant, so it is walked.
bool is_in_group(const descendant& process, pid_t group) {
  const auto stat = os::read_stat(process.pid);
  return stat && stat->group == group && !stat->dead();
}

// Found first and then signalled: who loses its parent to the signal would not be found any more.
void send_in_tree(int signal, pid_t command) {
  const auto command_stat = os::read_stat(command);
  const pid_t group = command_stat ? command_stat->group : 0;
  std::vector<os::pidfd> meant;
  for (const auto& process : descendants_of(::getpid())) {
    auto handle = os::pidfd::open_child_of(process.pid, process.parent);
    if (!handle) continue;
    if (process.pid == command || is_in_group(process, group)) meant.push_back(std::move(*handle));
  }
  for (const auto& process : meant)
    (void)process.send_signal(signal);
}

}  // namespace

void command_group::send(int signal) const {
  if (where_ == placing::foreground) {
    send_in_tree(signal, command_);
  } else {
    ::kill(-command_, signal);
  }
  if (wakes(signal)) send(SIGCONT);
}

void command_group::ask(int signal) const {
  send(signal);
  if (!wakes(signal)) send(SIGCONT);
}

bool command_group::empty() const {
  if (where_ == placing::own_group) return ::kill(-command_, 0) < 0 && errno == ESRCH;
  // We are in a group of our own; the command was in our parent's.
  const pid_t group = ::getpgid(::getppid());
  const auto tree = descendants_of(::getpid());
  return std::none_of(tree.begin(), tree.end(),
                      [&](const descendant& each) { return is_in_group(each, group); });
}

}  // namespace hardstop::cli
