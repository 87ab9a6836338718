#include "os/proc.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "os/descriptor.hpp"
#include "os/read_file.hpp"

namespace hardstop::os {
namespace {

using path_buffer = std::array<char, 64>;

path_buffer path_of(pid_t pid, const char* file) {
  path_buffer path;
  std::snprintf(path.data(), path.size(), "/proc/%d/%s", pid, file);
  return path;
}

// Cuts the next word off the front of `text`.
std::string_view next_word(std::string_view& text) {
  const auto begin = text.find_first_not_of(" \t\n");
  if (begin == std::string_view::npos) return text = {};
  const auto end = std::min(text.find_first_of(" \t\n", begin), text.size());
  const auto word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  return word;
}

template <class Number>
Number to_number(std::string_view word, int base = 10) {
  Number number{};
  std::from_chars(word.data(), word.data() + word.size(), number, base);
  return number;
}

// The word after `key` at the beginning of a line.
std::string_view value_of(std::string_view text, std::string_view key) {
  for (auto at = text.find(key); at != std::string_view::npos; at = text.find(key, at + 1)) {
    if (at != 0 && text[at - 1] != '\n') continue;
    auto rest = text.substr(at + key.size());
    return next_word(rest);
  }
  return {};
}

error malformed(const char* operation) {
  return {.code = EBADMSG, .operation = operation};
}

// Calls visit(thread) for the entries of a task directory.
template <class Visit>
result<void> for_each_thread(const descriptor& directory, Visit visit) {
  alignas(8) std::array<std::byte, 4096> buffer;
  for (;;) {
    const auto size = ::syscall(SYS_getdents64, directory.get(), buffer.data(), buffer.size());
    if (size < 0) return last_error("listing threads");
    if (size == 0) return {};
    for (long at = 0; at < size;) {
      dirent64 entry;
      std::memcpy(&entry, &buffer[static_cast<std::size_t>(at)],
                  std::min<std::size_t>(sizeof entry, static_cast<std::size_t>(size - at)));
      if (const auto thread = to_number<pid_t>(entry.d_name); thread > 0) visit(thread);
      at += entry.d_reclen;
    }
  }
}

void append_numbers(std::string_view text, std::vector<pid_t>& into) {
  for (auto word = next_word(text); !word.empty(); word = next_word(text)) {
    into.push_back(to_number<pid_t>(word));
  }
}

result<descriptor> open_task_directory(pid_t pid) {
  descriptor directory{::open(path_of(pid, "task").data(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!directory) return last_error("listing threads");
  return directory;
}

}  // namespace

result<process_stat> read_stat(pid_t pid) {
  const auto text = read_file(path_of(pid, "stat").data());
  if (!text) return text.error();
  // The name may hold anything, parentheses and blanks included: it ends at the last parenthesis.
  const auto name_begin = text->find('(');
  const auto name_end = text->rfind(')');
  if (name_begin == std::string::npos || name_end == std::string::npos || name_end < name_begin) {
    return malformed("reading /proc/PID/stat");
  }
  std::string_view rest{*text};
  rest.remove_prefix(name_end + 1);
  std::array<std::string_view, 48> field;  // the first is number 3 in proc(5)
  for (auto& word : field)
    word = next_word(rest);
  if (field[0].empty()) return malformed("reading /proc/PID/stat");

  const auto numbered = [&](std::size_t number) { return field[number - 3]; };
  return process_stat{
      .pid = pid,
      .name = text->substr(name_begin + 1, name_end - name_begin - 1),
      .state = numbered(3).front(),
      .parent = to_number<pid_t>(numbered(4)),
      .group = to_number<pid_t>(numbered(5)),
      .session = to_number<pid_t>(numbered(6)),
      .threads = to_number<int>(numbered(20)),
      .start_time = to_number<std::uint64_t>(numbered(22)),
      .arguments_begin = to_number<std::uint64_t>(numbered(48)),
      .arguments_end = to_number<std::uint64_t>(numbered(49)),
  };
}

result<std::string> read_thread_states(pid_t pid) {
  const auto directory = open_task_directory(pid);
  if (!directory) return directory.error();
  std::string states;
  auto listed = for_each_thread(*directory, [&](pid_t thread) {
    path_buffer path;
    std::snprintf(path.data(), path.size(), "%d/stat", thread);
    const auto text = read_file(directory->get(), path.data());
    if (!text) return;
    const auto name_end = text->rfind(')');
    if (name_end != std::string::npos && name_end + 2 < text->size())
      states += (*text)[name_end + 2];
  });
  if (!listed) return listed.error();
  return states;
}

result<process_status> read_status(pid_t pid) {
  const auto text = read_file(path_of(pid, "status").data());
  if (!text) return text.error();
  auto users = std::string_view{*text};
  const auto at = users.find("\nUid:");
  if (at == std::string_view::npos) return malformed("reading /proc/PID/status");
  users.remove_prefix(at + 5);
  next_word(users);  // the real one
  return process_status{
      .tracer = to_number<pid_t>(value_of(*text, "TracerPid:")),
      .blocked_signals = to_number<std::uint64_t>(value_of(*text, "SigBlk:"), 16),
      .effective_user = to_number<std::uint32_t>(next_word(users)),
  };
}

result<std::uint64_t> read_resident_memory(pid_t pid) {
  const auto text = read_file(path_of(pid, "statm").data());
  if (!text) return text.error();
  std::string_view rest{*text};
  next_word(rest);  // the size of the address space
  const auto pages = next_word(rest);
  if (pages.empty()) return malformed("reading /proc/PID/statm");
  return to_number<std::uint64_t>(pages) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

result<own_children> own_children::open() {
  const pid_t self = ::getpid();
  auto tasks = open_task_directory(self);
  if (!tasks) return tasks.error();
  path_buffer path;
  std::snprintf(path.data(), path.size(), "%d/children", self);
  descriptor of_first{::openat(tasks->get(), path.data(), O_RDONLY | O_CLOEXEC)};
  if (!of_first) return last_error("opening a list of children");
  return own_children{std::move(*tasks), std::move(of_first)};
}

result<void> own_children::append(std::vector<pid_t>& into) const {
  // The directory has a link for each thread, besides its own two.
  constexpr nlink_t links_with_one_thread = 3;

  struct stat directory {};

  if (::fstat(tasks_.get(), &directory) < 0 || directory.st_nlink != links_with_one_thread) {
    return append_children(::getpid(), into);
  }
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    const auto size =
        ::pread(of_first_.get(), buffer.data(), buffer.size(), static_cast<off_t>(text.size()));
    if (size < 0) return last_error("reading a list of children");
    if (size == 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  append_numbers(text, into);
  return {};
}

result<void> append_children(pid_t pid, std::vector<pid_t>& into) {
  const auto directory = open_task_directory(pid);
  if (!directory) return directory.error();
  result<void> outcome;
  auto listed = for_each_thread(*directory, [&](pid_t thread) {
    path_buffer path;
    std::snprintf(path.data(), path.size(), "%d/children", thread);
    const auto text = read_file(directory->get(), path.data());
    if (!text) {
      // A thread may end between the listing and the reading; its children are another's then.
      if (text.error().code != ENOENT && text.error().code != ESRCH) outcome = text.error();
      return;
    }
    append_numbers(*text, into);
  });
  if (!listed) return listed;
  return outcome;
}

proc_support probe_proc() {
  if (::access("/proc/self/stat", R_OK) != 0) return proc_support::no_proc;
  if (::access("/proc/thread-self/children", R_OK) != 0) return proc_support::no_children_files;
  return proc_support::complete;
}

}  // namespace hardstop::os
