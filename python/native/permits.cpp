#include "permits.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "completer.hpp"
#include "errors.hpp"
#include "interrupts.hpp"
#include "python_runtime.hpp"
#include "seconds.hpp"
#include "worker/requests.hpp"
#include <hardstop/semaphore.hpp>

namespace nb = nanobind;

namespace hardstop::python {

namespace {

using clock = std::chrono::steady_clock;
using detail::permit_hold;

// Signal handlers are looked for so often while a thread waits.
constexpr auto slice = std::chrono::milliseconds(500);

template <class Work>
auto translating(Work work) {
  try {
    return work();
  } catch (const hardstop::error&) {
    set_exception_in_flight();
    throw nb::python_error();
  }
}

// Called back in the completer's thread when a claim is granted; frees itself then.
class grant_listener final : public detail::continuation, public told {
 public:
  explicit grant_listener(nb::callable callback) : callback_(std::move(callback)) {}

  void run() noexcept override { completer::instance().tell(*this); }

  bool complete() override {
    const std::unique_ptr<grant_listener> last(this);
    try {
      callback_();
    } catch (nb::python_error& error) {
      error.discard_as_unraisable("hardstop: a semaphore's waiter");
    }
    return true;
  }

 private:
  nb::callable callback_;
};

// Permits that are held, or asked for.
class permit_object {
 public:
  explicit permit_object(permit_hold held) : held_(std::move(held)) {}

  permit_object(const permit_object&) = delete;
  permit_object& operator=(const permit_object&) = delete;

  ~permit_object() { withdraw(); }

  [[nodiscard]] bool held() const { return held_.granted(); }

  [[nodiscard]] std::uint64_t fence() const { return held_.fence(); }

  [[nodiscard]] bool abandoned() const { return held_.abandoned(); }

  void release() {
    translating([&] { held_.give_back(); });
  }

  // Waits, without the GIL, at most until then. Signal handlers may raise.
  bool wait(std::optional<clock::time_point> until) {
    while (held_ && !held_.granted()) {
      if (until && clock::now() >= *until) return look();
      const auto next = clock::now() + slice;
      const bool granted = translating([&] {
        const gil_released others_run;
        return held_.wait(until ? std::min(*until, next) : next);
      });
      if (granted) return true;
      if (PyErr_CheckSignals() != 0) throw nb::python_error();
    }
    return held_.granted();
  }

  // Whether it is granted by now.
  bool look() {
    return translating([&] { return held_ && held_.wait(clock::now()); });
  }

  // False: it is granted already.
  bool call_when_granted(nb::callable callback) {
    completer::instance().start();
    auto listening = std::make_unique<grant_listener>(std::move(callback));
    if (!translating([&] { return held_.on_granted(*listening); })) return false;
    listener_ = listening.release();
    return true;
  }

  // What it has, or would get, goes to the next.
  void withdraw() {
    grant_listener* const listening = std::exchange(listener_, nullptr);
    if (held_.withdraw()) delete listening;
  }

 private:
  permit_hold held_;
  grant_listener* listener_ = nullptr;  // its own, once it was called
};

constexpr std::uint64_t no_block = 0;
constexpr std::uint64_t block_of_thread = 1;

// What was acquired of one semaphore and not yet returned: by which thread or task, and, of a block
// in a coroutine, in which frame: an abandoned generator is closed by another task than began it.
struct entry {
  std::uint64_t frame;
  std::uint64_t owner;
  nb::object permit;
};

permit_object& permit_in(const nb::object& holder) {
  return *nb::inst_ptr<permit_object>(holder);
}

class semaphore_object {
 public:
  semaphore_object(std::uint32_t permits, const std::string& name) : handle_(permits, name) {}

  explicit semaphore_object(detail::semaphore_handle handle) : handle_(std::move(handle)) {}

  [[nodiscard]] const detail::semaphore_handle& handle() const { return handle_; }

  // A claim that waits, or not; owner 0 is this thread.
  nb::object ask(std::uint32_t count, bool wait, std::uint64_t owner, const std::string& name) {
    const detail::wanted_permits wanted{&handle_, count};
    auto claim = translating([&] {
      return permit_hold::ask({&wanted, 1},
                              wait ? permit_hold::patience::wait : permit_hold::patience::try_now,
                              {.context = owner, .name = name});
    });
    return nb::cast(new permit_object(std::move(claim)), nb::rv_policy::take_ownership);
  }

  // None if the time came first. `timeout` None: no limit; below zero: not at all.
  nb::object acquire(std::uint32_t count, std::optional<double> timeout,
                     std::uint64_t frame = no_block) {
    const bool patient = !timeout || *timeout >= 0;
    nb::object claim = ask(count, patient, 0, {});
    permit_object& permit = permit_in(claim);
    if (!permit.held()) {
      std::optional<clock::time_point> until;
      if (patient && timeout) {
        until = clock::now() + to_duration(*timeout);
      }
      if (!permit.wait(until)) {
        permit.withdraw();
        return nb::none();
      }
    }
    keep(frame, this_thread(), claim);
    return claim;
  }

  nb::object enter() { return acquire(1, std::nullopt, block_of_thread); }

  // Three arguments and not a tuple of them, which would have to be made.
  void leave(nb::handle /*type*/, nb::handle /*value*/, nb::handle /*trace*/) {
    leave_block(block_of_thread, this_thread());
  }

  void keep(std::uint64_t frame, std::uint64_t owner, nb::object permit) {
    // Those that were returned by themselves.
    while (!kept_.empty() && kept_.back().frame == no_block &&
           !permit_in(kept_.back().permit).held())
      kept_.pop_back();
    kept_.push_back({frame, owner, std::move(permit)});
  }

  // Of this owner, the last it acquired; false: it has none.
  bool give_back(std::uint64_t owner) {
    return pop(
        [&](const entry& each) { return each.owner == owner && permit_in(each.permit).held(); });
  }

  // The end of a block, wherever it began. What it has returned already is not returned again, and
  // nothing else is in its place.
  void leave_block(std::uint64_t frame, std::uint64_t owner) {
    const bool threads = frame == block_of_thread;
    const auto alike = [&](const entry& each) {
      return each.frame != no_block && (each.frame == block_of_thread) == threads;
    };
    if (!threads && pop([&](const entry& each) { return each.frame == frame; })) return;
    if (pop([&](const entry& each) { return alike(each) && each.owner == owner; })) return;
    // Closed by somebody else than began it: of the last one.
    static_cast<void>(pop(alike));
  }

  static std::uint64_t this_thread() { return PyThread_get_thread_ident(); }

 private:
  // Returns the last for which that is true.
  template <class Is>
  bool pop(Is is_it) {
    for (std::size_t at = kept_.size(); at-- > 0;) {
      if (!is_it(kept_[at])) continue;
      const nb::object permit = std::move(kept_[at].permit);
      kept_.erase(kept_.begin() + static_cast<std::ptrdiff_t>(at));
      if (permit_in(permit).held()) permit_in(permit).release();
      return true;
    }
    return false;
  }

  detail::semaphore_handle handle_;
  std::vector<entry> kept_;
};

nb::list owners(const std::vector<permit_owner>& all) {
  nb::list told;
  for (const permit_owner& each : all) {
    told.append(nb::make_tuple(each.who, each.count, each.fence,
                               std::chrono::duration<double>(each.since).count(),
                               each.unconfirmed));
  }
  return told;
}

nb::dict stats_of(const semaphore_object& of) {
  const semaphore_stats now = translating([&] { return of.handle().stats(); });
  nb::dict told;
  told["name"] = now.name;
  told["permits"] = now.permits;
  told["available"] = now.available;
  told["holders"] = owners(now.holders);
  told["waiters"] = owners(now.waiters);
  told["longest_wait"] = std::chrono::duration<double>(now.longest_wait).count();
  told["grants"] = now.grants;
  told["returned_by_death"] = now.returned_by_death;
  told["deadlock"] = now.deadlock;
  return told;
}

// Several semaphores in one claim: (pairs, wait, owner, name) -> Permit.
nb::object ask_for_all(const nb::list& pairs, bool wait, std::uint64_t owner,
                       const std::string& name) {
  std::vector<detail::wanted_permits> wants;
  for (const nb::handle pair : pairs) {
    const auto& of = nb::cast<const semaphore_object&>(pair[0]);
    wants.push_back({&of.handle(), nb::cast<std::uint32_t>(pair[1])});
  }
  auto claim = translating([&] {
    return permit_hold::ask(wants,
                            wait ? permit_hold::patience::wait : permit_hold::patience::try_now,
                            {.context = owner, .name = name});
  });
  return nb::cast(new permit_object(std::move(claim)), nb::rv_policy::take_ownership);
}

nb::object needed_of(const semaphore_object& of) {
  auto held = translating([&] {
    const gil_released others_run;
    return permit_hold::needed(of.handle());
  });
  if (!held) return nb::none();
  return nb::cast(new permit_object(std::move(*held)), nb::rv_policy::take_ownership);
}

}  // namespace

void add_permits(PyObject* into) {
  auto module = nb::borrow<nb::module_>(into);
  nb::class_<permit_object>(module, "Permit", nb::is_weak_referenceable())
      .def_prop_ro("held", &permit_object::held)
      .def_prop_ro("fence", &permit_object::fence)
      .def_prop_ro("abandoned", &permit_object::abandoned)
      .def("release", &permit_object::release)
      .def("withdraw", &permit_object::withdraw)
      .def("look", &permit_object::look)
      .def(
          "wait",
          [](permit_object& self, std::optional<double> seconds) {
            if (!seconds) return self.wait(std::nullopt);
            return self.wait(clock::now() + to_duration(*seconds));
          },
          nb::arg("seconds").none())
      .def("call_when_granted", &permit_object::call_when_granted)
      .def("__enter__", [](nb::object self) { return self; })
      .def(
          "__exit__",
          [](permit_object& self, nb::handle /*type*/, nb::handle /*value*/, nb::handle /*trace*/) {
            if (self.held()) self.release();
          },
          nb::arg("type").none(), nb::arg("value").none(), nb::arg("trace").none());
  nb::class_<semaphore_object>(module, "SemaphoreCore")
      .def("__init__",
           [](semaphore_object* made, std::uint32_t permits, const std::string& name) {
             translating([&] { new (made) semaphore_object(permits, name); });
           })
      .def_static("find",
                  [](nb::type_object type, std::uint64_t id, std::uint32_t permits) {
                    auto handle =
                        translating([&] { return detail::semaphore_handle(id, permits); });
                    nb::object made = nb::inst_alloc(type);
                    new (nb::inst_ptr<semaphore_object>(made)) semaphore_object(std::move(handle));
                    nb::inst_mark_ready(made);
                    return made;
                  })
      .def("travel",
           [](const semaphore_object& self) {
             self.handle().travel();
             return nb::make_tuple(self.handle().id(), self.handle().permits());
           })
      .def_prop_ro("permits", [](const semaphore_object& self) { return self.handle().permits(); })
      .def_prop_ro("_name", [](const semaphore_object& self) { return self.handle().name(); })
      .def(
          "_acquire",
          [](semaphore_object& self, std::uint32_t count, std::optional<double> timeout) {
            return self.acquire(count, timeout);
          },
          nb::arg("count"), nb::arg("timeout").none())
      .def("_ask", &semaphore_object::ask)
      .def("_keep", &semaphore_object::keep)
      .def("_give_back", &semaphore_object::give_back)
      .def("_leave_block", &semaphore_object::leave_block)
      .def("_needed", &needed_of)
      .def("_stats", &stats_of)
      .def("__enter__", &semaphore_object::enter)
      .def("__exit__", &semaphore_object::leave, nb::arg("type").none(), nb::arg("value").none(),
           nb::arg("trace").none());
  module.def("ask_for_all", &ask_for_all);
  module.def("shield", [](double longest, const std::string& reason) {
    worker::requests* const here = worker::requests::of_this_process();
    if (here == nullptr) return std::uint64_t{0};
    return static_cast<std::uint64_t>(here->shield(to_duration(longest), reason));
  });
  module.def("unshield", [](std::uint64_t attempt) {
    if (worker::requests* const here = worker::requests::of_this_process())
      here->unshield(wire::ticket{attempt});
  });
  module.def("shielded", [] {
    const worker::requests* const here = worker::requests::of_this_process();
    return here != nullptr && here->shielded();
  });
  // Whether a job's request would be sent at once.
  module.def("can_ask", [] {
    worker::requests* const here = worker::requests::of_this_process();
    return here == nullptr || here->has_room();
  });
  module.def("interrupt_when_asked", &interrupt_when_asked);
  module.def("stop_interrupting", &stop_interrupting);
  module.def("job_number", [] { return static_cast<std::uint64_t>(the_running_job().ticket); });
}

void add_shields(PyObject* told, const pool_stats& now) {
  auto all = nb::borrow<nb::dict>(told);
  nb::list sections;
  for (const pool_stats::shielded_job& each : now.shielded_now) {
    sections.append(
        nb::make_tuple(each.job, each.reason, std::chrono::duration<double>(each.since).count()));
  }
  all["shields"] = now.shields;
  all["shielded"] = std::chrono::duration<double>(now.shielded).count();
  all["shielded_now"] = sections;
}

needs needs_of(PyObject* pairs) {
  if (pairs == Py_None) return {};
  std::vector<need> all;
  for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(pairs); ++at) {
    PyObject* pair = PyTuple_GET_ITEM(pairs, at);
    const auto* of = nb::inst_ptr<semaphore_object>(PyTuple_GET_ITEM(pair, 0));
    const long count = PyLong_AsLong(PyTuple_GET_ITEM(pair, 1));
    if (count == -1 && PyErr_Occurred() != nullptr) throw python_error();
    all.emplace_back(&of->handle(), static_cast<std::uint32_t>(count));
  }
  return needs(std::span<const need>(all));
}

}  // namespace hardstop::python
