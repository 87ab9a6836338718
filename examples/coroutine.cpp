// co_await a job in any C++20 coroutine.
//
// The coroutine goes on in the thread that delivers results, or where resume_on() hands it to. A
// stop token given before stops the job while it is awaited.
#include <chrono>
#include <coroutine>
#include <exception>
#include <future>
#include <iostream>
#include <stop_token>
#include <thread>

#include <hardstop/integration/coroutine.hpp>
#include <hardstop/pool.hpp>

using namespace std::chrono_literals;

// The least a coroutine can return: a promise of a std::future. Yours comes from your framework.
struct task {
  struct promise_type {
    std::promise<void> done;

    task get_return_object() { return {done.get_future()}; }

    std::suspend_never initial_suspend() noexcept { return {}; }

    std::suspend_never final_suspend() noexcept { return {}; }

    void return_void() { done.set_value(); }

    void unhandled_exception() { done.set_exception(std::current_exception()); }
  };

  std::future<void> finished;
};

int ackermann(int m, int n) {
  if (m == 0) return n + 1;
  if (n == 0) return ackermann(m - 1, 1);
  return ackermann(m - 1, ackermann(m, n - 1));
}

[[noreturn]] void spin_for_ever() {
  for (volatile int spinning = 0;;)
    spinning = 1 - spinning;
}

task work(hardstop::process_pool& pool, std::stop_token stop) {
  const int value = co_await pool.submit<&ackermann>({.timeout = 10s}, 2, 3);
  std::cout << "ackermann(2, 3) = " << value << '\n';

  auto endless = pool.submit<&spin_for_ever>({.name = "endless"});
  try {
    co_await std::move(endless.cancel_on(stop));
  } catch (const hardstop::job_cancelled& stopped) {
    std::cout << stopped.what() << '\n';
  }
}

int main() {
  hardstop::process_pool pool{{.workers = 2}};
  std::stop_source stop;

  const task running = work(pool, stop.get_token());
  std::this_thread::sleep_for(200ms);
  stop.request_stop();
  running.finished.wait();
}
