// The part of hardstop.Future that is C++: the job, the state, and how the one becomes the other.
//
// A concurrent.futures.Future costs a microsecond to make, most of it a condition that hardly
// anybody asks for. Here condition and lists are made when somebody looks at them.
//
// Threads. Everything below runs with the GIL, so that looking at a member and changing it is one
// step as long as no Python code runs in between. A future is resolved once: by a thread that waits
// for it, by the one that cancels it before it started, or by the completer. Whoever comes first
// marks it `resolving`; the result is loaded (Python code: other threads run) and only then
// published. If nobody has made a condition, publishing is one store under the GIL: a waiter that
// makes a condition later looks at the state after that and finds it done. Otherwise the condition
// is taken, in Python, as concurrent.futures does.
//
// Whoever waits for a job that nobody else looks at completes its future, and no other thread is
// woken. Everything else is completed by the completer.
//
// Callbacks run in the completer's thread or in that of cancel(); never in a thread that waits.
#pragma once

#include <atomic>

#include "callbacks.hpp"
#include "completer.hpp"
#include "python.hpp"
#include <hardstop/detail/engine.hpp>

namespace hardstop::python {

struct future_object;

class future_completion final : public detail::continuation, public told {
 public:
  explicit future_completion(future_object& of) : of_(of) {}

  void run() noexcept override { completer::instance().tell(*this); }

  bool left_to_waiter() noexcept override;

  bool complete() override;

  // A thread is going to wait, and will complete the future itself, which saves waking two others.
  // False: somebody else will. With the GIL, as the following two.
  bool claim() noexcept { return move(completed_by::completer, completed_by::waiter); }

  // True: the job has been settled meanwhile, and completing is left to this thread, which calls
  // complete_here() or completer::tell(), and then completer::off_hands().
  bool end_of_wait() noexcept;
  void complete_here() noexcept;

  // It is going to be the completer who completes, unless the job has been settled.
  void insist_on_completer() noexcept;

 private:
  // `here`: settled while it was the waiter's. Then, and from `never_waiter` on, it does not
  // change.
  enum class completed_by : std::uint8_t { completer, waiter, here, never_waiter };

  // Against whatever thread settles the job, and one that waits.
  bool move(completed_by from, completed_by to) noexcept {
    return by_.compare_exchange_strong(from, to, std::memory_order_acq_rel);
  }

  future_object& of_;
  std::atomic<completed_by> by_{completed_by::completer};
};

// Made when somebody wants to be told of progress.
class future_news final : public detail::news_listener, public told {
 public:
  explicit future_news(future_object& of) : of_(of) {}

  void run() noexcept override { completer::instance().tell(*this); }

  bool complete() override;

 private:
  future_object& of_;
};

enum class resolution : std::uint8_t { none, under_way, done };

struct future_object {
  PyObject_HEAD;
  detail::job_handle job;
  future_completion completion;
  future_news news;
  resolution resolved;
  bool cancel_requested;
  std::uint64_t pool;  // the number of its pool, while it is among the unfinished
  future_object* previous;
  future_object* next;
  PyObject* state;
  PyObject* result;
  PyObject* exception;
  PyObject* condition;  // made when it is asked for
  PyObject* waiters;
  PyObject* callbacks;
  PyObject* progress_callbacks;
};

// Makes the type; null with an exception set if that fails.
PyObject* make_future_type();

// A future whose job could not even be sent ends with the Python exception that is set; without
// a job, it is from then on as those of concurrent.futures. What is no Exception is thrown instead.
void fail_with_what_is_raised(PyObject* future);

// A future takes its job, of a pool that is known by a number. Keeps it alive until the completer
// has seen it done.
void attach(PyObject* future, detail::job_handle job, std::uint64_t pool);

// A list of the pool's futures that the completer has not seen done. Null with an exception set.
PyObject* unfinished_of(std::uint64_t pool);

// The future's job is cancelled with the token of that pipe. Throws system_failure.
void follow(PyObject* future, int pipe);

}  // namespace hardstop::python
