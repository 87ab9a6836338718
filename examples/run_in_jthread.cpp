// run(): one blocking call that really stops, for code that sits in somebody else's thread.
//
// A std::jthread's request_stop() only asks. Around a call that never looks at its stop token,
// run() makes it true: the work happens in a process, and the token kills that.
#include <chrono>
#include <iostream>
#include <stop_token>
#include <thread>

#include <hardstop/run.hpp>

using namespace std::chrono_literals;

// Third-party code as we know it: slow, and deaf.
long long busy_beaver(long long rounds) {
  volatile long long beaver = 0;
  for (long long i = 0; i < rounds; ++i)
    beaver = beaver + i % 7;
  return beaver;
}

int main() {
  std::jthread worker([](std::stop_token stop) {
    std::cout << "a short one: " << hardstop::run<&busy_beaver>(1000) << '\n';
    try {
      hardstop::run<&busy_beaver>({.timeout = 60s, .stop = stop}, 1'000'000'000'000'000);
    } catch (const hardstop::job_cancelled& stopped) {
      std::cout << "a long one: " << stopped.what() << '\n';
    }
  });

  std::this_thread::sleep_for(200ms);
  worker.request_stop();  // and the work is gone when the thread goes on
}
