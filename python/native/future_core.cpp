#include "future_core.hpp"

#include <structmember.h>

#include <chrono>
#include <cmath>
#include <new>
#include <optional>

#include "codec.hpp"
#include "errors.hpp"
#include "results.hpp"
#include "seconds.hpp"
#include "tokens.hpp"
#include <hardstop/errors.hpp>

namespace hardstop::python {

namespace {

using clock = std::chrono::steady_clock;

// Signal handlers run in the main thread, between two waits.
constexpr auto signal_slice = std::chrono::milliseconds(50);

future_object& core(PyObject* self) {
  return *reinterpret_cast<future_object*>(self);
}

// --- resolving

struct end {
  object state;
  object result;
  object exception;
};

// Whether what is raised now is not the job's: a signal handler of the client's has spoken, in the
// middle of loading a result. Handlers run in the main thread only, so never in the completer's.
bool interrupted() {
  return PyErr_Occurred() != nullptr && PyErr_ExceptionMatches(PyExc_Exception) == 0;
}

// Throws python_error if a signal handler raised meanwhile: to be tried again.
end read_end(future_object& self) {
  const object none = object::borrow(Py_None);
  const object finished = object::borrow(states().finished);
  const outcome_kind kind = self.job.kind();
  if (kind == outcome_kind::value || kind == outcome_kind::exception) {
    loaded_result read = load_result(self.job);
    if (read.value) return {finished, std::move(read.value), none};
    if (read.exception) return {finished, none, std::move(read.exception)};
    if (interrupted()) throw python_error();
    return {finished, none, take_raised()};  // what went wrong when the result was read
  }
  const object how = describe(self.job.outcome());
  const object pair = how ? object::steal(PyObject_CallFunctionObjArgs(
                                the_callbacks().explain.get(), reinterpret_cast<PyObject*>(&self),
                                how.get(), nullptr))
                          : object();
  if (!pair && interrupted()) throw python_error();
  if (!pair) return {finished, none, take_raised()};
  return {object::borrow(PyTuple_GetItem(pair.get(), 0)), none,
          object::borrow(PyTuple_GetItem(pair.get(), 1))};
}

void set_slot(PyObject*& slot, const object& value) {
  PyObject* old = std::exchange(slot, Py_NewRef(value.get()));
  Py_XDECREF(old);
}

// Takes the turn to resolve, and gives it back if that came to nothing.
class resolving {
 public:
  explicit resolving(future_object& of) : of_(of) { of_.resolved = resolution::under_way; }

  resolving(const resolving&) = delete;
  resolving& operator=(const resolving&) = delete;

  ~resolving() {
    if (of_.resolved == resolution::under_way) of_.resolved = resolution::none;
  }

  void done() { of_.resolved = resolution::done; }

 private:
  future_object& of_;
};

bool is_looked_at(const future_object& self) {
  return self.condition != nullptr || self.waiters != nullptr;
}

void publish_with_condition(future_object& self, const end& how) {
  checked(PyObject_CallFunctionObjArgs(the_callbacks().publish.get(),
                                       reinterpret_cast<PyObject*>(&self), how.state.get(),
                                       how.result.get(), how.exception.get(), nullptr));
}

// Throws python_error if a signal handler raised meanwhile; then it is not resolved, and may be by
// whoever comes next.
void resolve(future_object& self) {
  if (self.resolved != resolution::none) return;
  resolving turn(self);
  const end how = read_end(self);
  if (is_looked_at(self)) {
    publish_with_condition(self, how);
  } else {
    set_slot(self.result, how.result);
    set_slot(self.exception, how.exception);
    set_slot(self.state, how.state);
  }
  turn.done();
  release_result(self.job);
}

// What is raised now, whatever it is, becomes the future's exception.
void fail_to_resolve(future_object& self) {
  const object what = take_raised();
  resolving turn(self);
  const end how{object::borrow(states().finished), object::borrow(Py_None), what};
  const object told = object::steal(PyObject_CallFunctionObjArgs(
      the_callbacks().publish.get(), reinterpret_cast<PyObject*>(&self), how.state.get(),
      how.result.get(), how.exception.get(), nullptr));
  if (!told) PyErr_WriteUnraisable(reinterpret_cast<PyObject*>(&self));
  turn.done();
}

enum class caller : std::uint8_t { completer, user };

// False, with an exception set: what a callback raised that is no Exception, such as
// KeyboardInterrupt, goes to a user who called; in the completer's thread it has nowhere to go.
bool call_back(PyObject* self, PyObject* callback, caller whose) {
  const object returned = object::steal(PyObject_CallOneArg(callback, self));
  if (returned) return true;
  if (whose == caller::user && interrupted()) return false;
  // Logged as concurrent.futures logs it.
  const object what = take_raised();
  const object reported = object::steal(PyObject_CallFunctionObjArgs(
      the_callbacks().report_callback.get(), self, what ? what.get() : Py_None, nullptr));
  if (!reported) PyErr_WriteUnraisable(callback);
  return true;
}

bool run_callbacks(PyObject* self, caller whose) {
  const object list = object::steal(std::exchange(core(self).callbacks, nullptr));
  if (!list) return true;
  // By index: a callback may add another.
  for (Py_ssize_t at = 0; at < PyList_GET_SIZE(list.get()); ++at) {
    const object each = object::borrow(PyList_GET_ITEM(list.get(), at));
    if (!call_back(self, each.get(), whose)) return false;
  }
  return true;
}

// --- methods

std::optional<clock::time_point> deadline_of(PyObject* timeout) {
  if (timeout == Py_None) return std::nullopt;
  const double seconds = PyFloat_AsDouble(timeout);
  if (seconds == -1.0 && PyErr_Occurred() != nullptr) throw python_error();
  if (std::isnan(seconds)) return std::nullopt;
  return clock::now() + to_duration(std::max(seconds, 0.0));
}

bool wait_slice(const detail::job_handle& job, std::optional<clock::time_point> until) {
  const gil_released others_run;
  return job.wait_until(until);
}

// While a thread waits for a future that only it looks at.
class claim_of_waiter {
 public:
  explicit claim_of_waiter(future_object& of)
      : of_(of),
        // Callbacks are the completer's to run, and progress is told before the end.
        claimed_(of.callbacks == nullptr && of.progress_callbacks == nullptr &&
                 of.completion.claim()) {}

  claim_of_waiter(const claim_of_waiter&) = delete;
  claim_of_waiter& operator=(const claim_of_waiter&) = delete;

  ~claim_of_waiter() {
    if (!claimed_ || !of_.completion.end_of_wait()) return;
    const bool nothing_more = of_.resolved == resolution::done && of_.callbacks == nullptr;
    if (nothing_more) {
      of_.completion.complete_here();
    } else {
      completer::instance().tell(of_.completion);
    }
    completer::instance().off_hands();
  }

 private:
  future_object& of_;
  bool claimed_;
};

// True: resolved. False: the time is over. Nothing: the job has ended, and the condition of the
// future tells when it is resolved.
std::optional<bool> wait(PyObject* self, PyObject* timeout) {
  future_object& of = core(self);
  const auto deadline = deadline_of(timeout);
  // Its own handle: another thread may drop the future meanwhile.
  const detail::job_handle job = of.job;
  const object kept = object::borrow(self);
  const claim_of_waiter claim(of);
  while (of.resolved != resolution::done) {
    const auto now = clock::now();
    if (deadline && now >= *deadline && !job.wait_until(now)) return false;
    auto until = now + signal_slice;
    if (deadline && *deadline < until) until = *deadline;
    if (wait_slice(job, until)) {
      if (of.resolved == resolution::under_way) {
        const gil_released others_run;
        std::this_thread::yield();
      }
      // Whoever waits with a condition is told by the completer, whom no signal handler can stop
      // half-way.
      if (is_looked_at(of) && !completer::instance().is_here()) return {};
      resolve(of);
    }
    if (PyErr_CheckSignals() != 0) throw python_error();
  }
  return true;
}

template <PyObject* (*Body)(PyObject*, PyObject*)>
PyObject* guarded(PyObject* self, PyObject* argument) {
  return translated([&] { return Body(self, argument); });
}

PyObject* wait_method(PyObject* self, PyObject* timeout) {
  if (!core(self).job) Py_RETURN_NONE;  // somebody else's future: not made by a pool
  const std::optional<bool> resolved = wait(self, timeout);
  if (!resolved) Py_RETURN_NONE;
  return PyBool_FromLong(*resolved ? 1 : 0);
}

// The way of nearly all: no time limit, a value. Everything else is Python's.
PyObject* result_method(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  return translated([&]() -> PyObject* {
    future_object& of = core(self);
    const bool plain = count == 0 && names == nullptr && of.job;
    if (plain && (of.resolved == resolution::done || wait(self, Py_None)) &&
        of.state == states().finished && of.exception == Py_None) {
      return Py_NewRef(of.result);
    }
    const object otherwise = checked(PyObject_GetAttrString(self, "_result_or_error"));
    return PyObject_Vectorcall(otherwise.get(), args, static_cast<std::size_t>(count), names);
  });
}

PyObject* cancel_method(PyObject* self, PyObject* args) {
  int mode = 0;
  PyObject* grace = nullptr;
  if (PyArg_ParseTuple(args, "iO", &mode, &grace) == 0) return nullptr;
  future_object& of = core(self);
  if (!of.job) Py_RETURN_NONE;
  std::optional<std::chrono::nanoseconds> time;
  if (grace != Py_None) {
    const double seconds = PyFloat_AsDouble(grace);
    if (seconds == -1.0 && PyErr_Occurred() != nullptr) return nullptr;
    if (!(seconds >= 0)) {
      PyErr_Format(PyExc_ValueError, "grace=%R: give 0 or more seconds", grace);
      return nullptr;
    }
    time = std::chrono::nanoseconds(static_cast<std::int64_t>(std::min(seconds, 1e9) * 1e9));
  }
  const auto how = static_cast<cancel_mode>(mode);
  const cancel_result answer = of.job.cancel(how, time);
  if (answer == cancel_result::cancelled) {
    of.cancel_requested = true;
    resolve(of);
    if (!run_callbacks(self, caller::user)) return nullptr;
  } else if (answer == cancel_result::requested && how != cancel_mode::ask) {
    of.cancel_requested = true;
  }
  return PyLong_FromLong(static_cast<long>(answer));
}

PyObject* add_done_callback(PyObject* self, PyObject* callback) {
  future_object& of = core(self);
  if (!of.job) Py_RETURN_NOTIMPLEMENTED;
  if (of.resolved == resolution::done) {
    if (!call_back(self, callback, caller::user)) return nullptr;
    Py_RETURN_NONE;
  }
  if (of.callbacks == nullptr && (of.callbacks = PyList_New(0)) == nullptr) return nullptr;
  if (PyList_Append(of.callbacks, callback) != 0) return nullptr;
  Py_RETURN_NONE;
}

// The last progress, as the job gave it: (done, total, message); None if there was none or it
// cannot be read.
PyObject* progress_method(PyObject* self, PyObject* /*none*/) {
  if (!core(self).job) Py_RETURN_NONE;
  const auto news = core(self).job.news();
  if (news.empty()) Py_RETURN_NONE;
  constexpr segment_lookup no_segments{
      [](const void*, std::size_t) { return std::span<const std::byte>(); }, nullptr};
  PyObject* read = read_plain(news, no_segments);
  if (read != nullptr) return read;
  PyErr_Clear();
  Py_RETURN_NONE;
}

PyObject* add_progress_callback(PyObject* self, PyObject* callback) {
  future_object& of = core(self);
  if (!of.job) Py_RETURN_NOTIMPLEMENTED;
  const bool first = of.progress_callbacks == nullptr;
  if (first && (of.progress_callbacks = PyList_New(0)) == nullptr) return nullptr;
  if (PyList_Append(of.progress_callbacks, callback) != 0) return nullptr;
  if (first) {
    of.completion.insist_on_completer();
    of.job.listen(of.news);
  }
  Py_RETURN_NONE;
}

PyObject* job_state_method(PyObject* self, PyObject* /*none*/) {
  if (!core(self).job) Py_RETURN_NONE;
  return PyLong_FromLong(static_cast<long>(core(self).job.state()));
}

PyObject* pid_method(PyObject* self, PyObject* /*none*/) {
  if (!core(self).job) Py_RETURN_NONE;
  return PyLong_FromLong(core(self).job.pid());
}

PyObject* outcome_method(PyObject* self, PyObject* /*none*/) {
  if (!core(self).job || core(self).job.state() != job_state::done) Py_RETURN_NONE;
  return describe(core(self).job.outcome()).release();
}

// --- those that are not finished, of all pools, oldest first; with the GIL

class unfinished_futures {
 public:
  void add(future_object& of, std::uint64_t pool) {
    of.pool = pool;
    of.previous = last_;
    of.next = nullptr;
    (last_ == nullptr ? first_ : last_->next) = &of;
    last_ = &of;
  }

  void remove(future_object& of) {
    if (of.pool == 0) return;
    (of.previous == nullptr ? first_ : of.previous->next) = of.next;
    (of.next == nullptr ? last_ : of.next->previous) = of.previous;
    of.pool = 0;
  }

  // Looked at when a pool is left in a hurry, and never otherwise.
  [[nodiscard]] object of_pool(std::uint64_t pool) const {
    object list = checked(PyList_New(0));
    for (future_object* at = first_; at != nullptr; at = at->next) {
      if (at->pool != pool) continue;
      if (PyList_Append(list.get(), reinterpret_cast<PyObject*>(at)) != 0) throw python_error();
    }
    return list;
  }

 private:
  future_object* first_ = nullptr;
  future_object* last_ = nullptr;
};

unfinished_futures unfinished;

// --- members made when asked for

PyObject* get_condition(PyObject* self, void* /*closure*/) {
  PyObject*& condition = core(self).condition;
  if (condition == nullptr) {
    PyObject* made = PyObject_CallNoArgs(the_callbacks().make_condition.get());
    if (made == nullptr) return nullptr;
    // Another thread may have made one meanwhile.
    if (condition == nullptr) {
      condition = made;
    } else {
      Py_DECREF(made);
    }
  }
  return Py_NewRef(condition);
}

template <PyObject* future_object::*Member>
PyObject* get_list(PyObject* self, void* /*closure*/) {
  PyObject*& list = core(self).*Member;
  if (list == nullptr && (list = PyList_New(0)) == nullptr) return nullptr;
  return Py_NewRef(list);
}

template <PyObject* future_object::*Member>
int set_member(PyObject* self, PyObject* value, void* /*closure*/) {
  PyObject* old = std::exchange(core(self).*Member, Py_XNewRef(value));
  Py_XDECREF(old);
  return 0;
}

template <PyObject* future_object::*Member>
PyObject* get_member(PyObject* self, void* /*closure*/) {
  PyObject* value = core(self).*Member;
  return Py_NewRef(value == nullptr ? Py_None : value);
}

PyObject* get_cancel_requested(PyObject* self, void* /*closure*/) {
  return PyBool_FromLong(core(self).cancel_requested ? 1 : 0);
}

// --- the type

PyObject* make(PyTypeObject* type, PyObject* /*args*/, PyObject* /*kwargs*/) {
  PyObject* self = type->tp_alloc(type, 0);
  if (self == nullptr) return nullptr;
  future_object& of = core(self);
  new (&of.job) detail::job_handle();
  new (&of.completion) future_completion(of);
  new (&of.news) future_news(of);
  of.resolved = resolution::none;
  of.cancel_requested = false;
  of.state = Py_NewRef(states().pending);
  return self;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  future_object& of = core(self);
  Py_VISIT(of.result);
  Py_VISIT(of.exception);
  Py_VISIT(of.condition);
  Py_VISIT(of.waiters);
  Py_VISIT(of.callbacks);
  Py_VISIT(of.progress_callbacks);
  Py_VISIT(Py_TYPE(self));
  return 0;
}

int clear(PyObject* self) {
  future_object& of = core(self);
  Py_CLEAR(of.result);
  Py_CLEAR(of.exception);
  Py_CLEAR(of.condition);
  Py_CLEAR(of.waiters);
  Py_CLEAR(of.callbacks);
  Py_CLEAR(of.progress_callbacks);
  return 0;
}

void destroy(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  static_cast<void>(clear(self));
  future_object& of = core(self);
  Py_CLEAR(of.state);
  of.job.~job_handle();
  of.completion.~future_completion();
  of.news.~future_news();
  type->tp_free(self);
  Py_DECREF(type);
}

PyMethodDef methods[] = {
    {"_wait", &guarded<wait_method>, METH_O,
     "Waits for the job's end, seconds or None; true if it has ended, None without a job."},
    {"result", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&result_method)),
     METH_FASTCALL | METH_KEYWORDS,
     "result($self, /, timeout=None)\n--\n\n"
     "The job's result, or its exception. A ``timeout`` never stops the job, it only alerts."},
    {"_cancel", &guarded<cancel_method>, METH_VARARGS, "(mode, grace or None) -> what it did"},
    {"_add_done_callback", &guarded<add_done_callback>, METH_O, nullptr},
    {"_progress", &guarded<progress_method>, METH_NOARGS, nullptr},
    {"_add_progress_callback", &guarded<add_progress_callback>, METH_O, nullptr},
    {"_job_state", &guarded<job_state_method>, METH_NOARGS, nullptr},
    {"_job_pid", &guarded<pid_method>, METH_NOARGS, nullptr},
    {"_job_outcome", &guarded<outcome_method>, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef members[] = {
    {"_state", &get_member<&future_object::state>, &set_member<&future_object::state>, nullptr,
     nullptr},
    {"_result", &get_member<&future_object::result>, &set_member<&future_object::result>, nullptr,
     nullptr},
    {"_exception", &get_member<&future_object::exception>, &set_member<&future_object::exception>,
     nullptr, nullptr},
    {"_condition", &get_condition, &set_member<&future_object::condition>, nullptr, nullptr},
    {"_waiters", &get_list<&future_object::waiters>, &set_member<&future_object::waiters>, nullptr,
     nullptr},
    {"_done_callbacks", &get_list<&future_object::callbacks>,
     &set_member<&future_object::callbacks>, nullptr, nullptr},
    {"_cancel_requested", &get_cancel_requested, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(&make)},
    {Py_tp_dealloc, reinterpret_cast<void*>(&destroy)},
    {Py_tp_traverse, reinterpret_cast<void*>(&traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(&clear)},
    {Py_tp_methods, methods},
    {Py_tp_getset, members},
    {0, nullptr},
};

PyType_Spec spec{
    .name = "hardstop._engine.FutureCore",
    .basicsize = sizeof(future_object),
    .itemsize = 0,
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

}  // namespace

bool future_completion::left_to_waiter() noexcept {
  // Most have nobody who waits, and need not be counted.
  if (by_.load(std::memory_order_relaxed) != completed_by::waiter) return false;
  // Counted first: whoever sees the job settled may then look whether anything is in hand.
  completer::instance().taken_in_hand();
  if (move(completed_by::waiter, completed_by::here)) return true;
  completer::instance().off_hands();
  return false;
}

bool future_completion::end_of_wait() noexcept {
  if (move(completed_by::waiter, completed_by::completer)) return false;
  return by_.load(std::memory_order_acquire) == completed_by::here;
}

void future_completion::insist_on_completer() noexcept {
  if (!move(completed_by::completer, completed_by::never_waiter)) {
    (void)move(completed_by::waiter, completed_by::never_waiter);
  }
}

void future_completion::complete_here() noexcept {
  unfinished.remove(of_);
  Py_DECREF(reinterpret_cast<PyObject*>(&of_));  // attach()'s
}

bool future_completion::complete() {
  if (of_.resolved == resolution::under_way) return false;
  auto* self = reinterpret_cast<PyObject*>(&of_);
  try {
    resolve(of_);
  } catch (const python_error&) {
    // Not a signal handler's here: something raised SystemExit or the like while it was read.
    fail_to_resolve(of_);
  }
  unfinished.remove(of_);
  run_callbacks(self, caller::completer);
  Py_DECREF(self);  // attach()'s; may destroy *this
  return true;
}

// Before the future is completed, since the engine tells of news before the end.
bool future_news::complete() {
  arrived();
  const object list = object::borrow(of_.progress_callbacks);
  if (!list) return true;
  auto* self = reinterpret_cast<PyObject*>(&of_);
  for (Py_ssize_t at = 0; at < PyList_GET_SIZE(list.get()); ++at) {
    const object each = object::borrow(PyList_GET_ITEM(list.get(), at));
    call_back(self, each.get(), caller::completer);
  }
  return true;
}

PyObject* make_future_type() {
  return PyType_FromSpec(&spec);
}

void fail_with_what_is_raised(PyObject* future) {
  if (interrupted()) throw python_error();
  future_object& of = core(future);
  set_slot(of.exception, take_raised());
  set_slot(of.state, object::borrow(states().finished));
  of.resolved = resolution::done;
}

PyObject* unfinished_of(std::uint64_t pool) {
  return translated([&] { return unfinished.of_pool(pool).release(); });
}

void attach(PyObject* future, detail::job_handle job, std::uint64_t pool) {
  future_object& of = core(future);
  of.job = std::move(job);
  unfinished.add(of, pool);
  Py_INCREF(future);
  of.job.on_done(of.completion);
}

void follow(PyObject* future, int pipe) {
  future_object& of = core(future);
  if (!of.job) return;
  token_watch::instance().follow(pipe, of.job);
}

}  // namespace hardstop::python
