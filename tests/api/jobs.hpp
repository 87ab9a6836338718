// Functions that tests submit.
#pragma once

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <hardstop/future.hpp>

namespace hardstop::test {

inline int square(int x) {
  return x * x;
}

inline void do_nothing() {}

/// Runs until it is killed.
inline void hang() {
  while (true)
    ::pause();
}

inline int hang_and_return_int(int /*unused*/) {
  hang();
  return 0;
}

/// Runs until it is asked to stop.
inline int until_asked(std::stop_token token) {
  while (!token.stop_requested())
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return 7;
}

inline int throw_if_odd(int x) {
  if (x % 2 != 0) throw std::invalid_argument("odd: " + std::to_string(x));
  return x;
}

inline void crash() {
  ::raise(SIGSEGV);
}

inline int worker_pid() {
  return ::getpid();
}

/// Waits until an attempt of the job runs.
template <class T>
void wait_until_running(const future<T>& job) {
  while (job.pid() == 0)
    std::this_thread::sleep_for(std::chrono::microseconds(100));
}

inline bool is_gone(int pid) {
  return ::kill(pid, 0) != 0;
}

}  // namespace hardstop::test
