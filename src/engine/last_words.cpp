// Where was it stuck? A job that is about to be killed for a limit is asked first: its worker's
// language may answer a signal with a description of where the job is, even while the job keeps
// everything to itself.
//
// The answer is one file in memory, made by the worker and named last_words_file, which ends with
// end_of_answer when it is complete. It is read through /proc while the worker still lives. It is
// asked somewhat before its deadline, so that the kill is on time (pool_policy::notice). Nothing
// may come of this but a text, and a delay of the kill by at most patience: a worker that is
// stopped, has blocked the signal or closed the file is killed without it. What is read is as
// trustworthy as the worker: a text, cut to a length.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "engine/engine.hpp"
#include "engine/scheduled.hpp"
#include "engine/worker_language.hpp"

namespace hardstop::engine {

namespace {

constexpr std::chrono::milliseconds patience{20};
constexpr std::chrono::microseconds between_looks{250};
constexpr std::size_t longest_answer = 16 * 1024;  // bytes

os::descriptor open_answer(pid_t pid) {
  const std::filesystem::path folder = "/proc/" + std::to_string(pid) + "/fd";
  const std::string wanted = std::string("/memfd:") + last_words_file;
  std::error_code failed;
  for (auto entry = std::filesystem::directory_iterator(folder, failed);
       !failed && entry != std::filesystem::directory_iterator(); entry.increment(failed)) {
    std::error_code gone;
    const auto target = std::filesystem::read_symlink(entry->path(), gone);
    if (gone || !target.native().starts_with(wanted)) continue;
    return os::descriptor{::open(entry->path().c_str(), O_RDONLY | O_CLOEXEC)};
  }
  return {};
}

// Empty until it is complete.
std::string read_answer(const os::descriptor& file) {
  std::string text(longest_answer, '\0');
  const auto length = ::pread(file.get(), text.data(), text.size(), 0);
  if (length <= 0) return {};
  text.resize(static_cast<std::size_t>(length));
  const bool complete = text.back() == end_of_answer || text.size() == longest_answer;
  if (!complete) return {};
  std::erase(text, end_of_answer);
  return text;
}

bool exceeded_a_limit(const job& which) {
  return which.stopping == schedule::stop_reason::deadline ||
         which.stopping == schedule::stop_reason::memory;
}

}  // namespace

// False: there is nobody to ask, or nothing to be learnt.
bool engine::ask_where_it_is(worker& victim, const job* front) {
  const int signal = ours(*victim.pool).language->question_signal();
  if (signal == 0 || front == nullptr || !exceeded_a_limit(*front) || !victim.process) return false;
  victim.answer = open_answer(victim.process.pid());
  if (!victim.answer || !victim.process.send_signal(signal)) return false;
  const auto time = os::now();
  victim.strike_at = time;
  if (front->stopping == schedule::stop_reason::deadline) {
    victim.strike_at = std::max(time, schedule::later(front->started_at, front->timeout));
  }
  asked_.push_back(&victim);
  next_check_ = std::min(next_check_, time + between_looks);
  return true;
}

void engine::hear_last_words(schedule::instant now) {
  std::erase_if(asked_, [&](worker* victim) {
    if (victim->last_words.empty()) victim->last_words = read_answer(victim->answer);
    const auto patient_until =
        victim->strike_at +
        (victim->last_words.empty() ? patience : std::chrono::milliseconds::zero());
    // Its job may have ended by itself meanwhile; then the worker only holds up others.
    if (now < patient_until && front_of(*victim) != nullptr) return false;
    victim->answer = {};
    strike(*victim);
    return true;
  });
}

schedule::instant engine::next_look_at_answers(schedule::instant now) const {
  schedule::instant next = schedule::never;
  for (const worker* victim : asked_) {
    next = std::min(
        next, victim->last_words.empty() ? now + between_looks : std::max(victim->strike_at, now));
  }
  return next;
}

}  // namespace hardstop::engine
