// hardstop._engine: the engine, for the Python package and nobody else.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <structmember.h>

#include <cstddef>

#include "callbacks.hpp"
#include "codec.hpp"
#include "completer.hpp"
#include "errors.hpp"
#include "future_core.hpp"
#include "permits.hpp"
#include "pool.hpp"
#include "python_language.hpp"
#include "python_runtime.hpp"
#include "queues.hpp"
#include "seconds.hpp"
#include "service.hpp"
#include "tokens.hpp"
#include <hardstop/errors.hpp>
#include <hardstop/version.hpp>

namespace nb = nanobind;

namespace hardstop::python {

callbacks& the_callbacks() {
  static auto* const all = new callbacks();
  return *all;
}

const state_names& states() {
  static const state_names all{.pending = PyUnicode_InternFromString("PENDING"),
                               .cancelled = PyUnicode_InternFromString("CANCELLED_AND_NOTIFIED"),
                               .finished = PyUnicode_InternFromString("FINISHED")};
  return all;
}

namespace {

object from(nb::handle value) {
  return object::borrow(value.ptr());
}

nb::object to_python(PyObject* made) {
  if (made == nullptr) throw nb::python_error();
  return nb::steal(made);
}

void use_callbacks(const nb::dict& given) {
  callbacks& all = the_callbacks();
  const std::pair<const char*, object*> slots[] = {
      {"make_condition", &all.make_condition},
      {"load_result", &all.load_result},
      {"explain", &all.explain},
      {"publish", &all.publish},
      {"report_callback", &all.report_callback},
      {"engine_errors", &all.engine_errors},
      {"dump_result", &all.dump_result},
      {"dump_exception", &all.dump_exception},
      {"load_call", &all.load_call},
      {"load_function", &all.load_function},
      {"unreadable_call", &all.unreadable_call},
      {"runs_in_event_loop", &all.runs_in_event_loop},
      {"worker_main", &all.worker_main},
      {"worker_initialize", &all.worker_initialize},
      {"rehearsal", &all.rehearsal},
      {"guardian_main", &all.guardian_main},
      {"answer_signal", &all.answer_signal},
      {"before_fork", &all.before_fork},
      {"message_refused", &all.message_refused},
      {"timeout", &the_option_types().timeout},
      {"cancel_timeout", &the_option_types().cancel_timeout},
      {"future", &the_option_types().future},
      {"dump_call", &the_option_types().dump_call},
      {"dump_arguments", &the_option_types().dump_arguments},
      {"name_function", &the_option_types().name_function},
      {"job_name", &the_option_types().job_name},
  };
  for (const auto& [name, slot] : slots) {
    if (given.contains(name)) *slot = from(given[name]);
  }
}

class progress_writer final : public writer {
 public:
  void put(const void* from, std::size_t size) override {
    const auto* begin = static_cast<const std::byte*>(from);
    bytes.insert(bytes.end(), begin, begin + size);
  }

  bool put_segment(std::span<const std::byte> /*bytes*/) override { return false; }

  std::vector<std::byte> bytes;
};

start_method start_of(const std::string& name) {
  if (name == "fork") return start_method::fork;
  if (name == "forkserver") return start_method::forkserver;
  if (name == "spawn") return start_method::spawn;
  throw nb::value_error(("no start method is called '" + name + "'").c_str());
}

template <class T>
void read(const nb::dict& given, const char* name, T& into) {
  if (given.contains(name) && !given[name].is_none()) into = nb::cast<T>(given[name]);
}

template <class T>
void read(const nb::dict& given, const char* name, std::optional<T>& into) {
  if (given.contains(name) && !given[name].is_none()) into = nb::cast<T>(given[name]);
}

void read_time(const nb::dict& given, const char* name, auto& into) {
  if (!given.contains(name) || given[name].is_none()) return;
  into = to_duration(nb::cast<double>(given[name]));
}

pool_options options_of(const nb::dict& given) {
  pool_options options;
  read(given, "workers", options.workers);
  read(given, "min_workers", options.min_workers);
  read_time(given, "idle_timeout", options.idle_timeout);
  read(given, "spares", options.spares);
  options.start = start_of(nb::cast<std::string>(given["start"]));
  read(given, "max_jobs_per_worker", options.max_jobs_per_worker);
  read(given, "max_memory", options.max_memory);
  read(given, "max_pending", options.max_pending);
  bool reject = false;
  read(given, "reject_when_full", reject);
  options.when_full = reject ? when_full::reject : when_full::block;
  read_time(given, "start_timeout", options.start_timeout);
  read(given, "huge_pages", options.huge_pages);
  read(given, "cgroup", options.cgroup);
  read(given, "name", options.name);
  worker_environment& environment = options.environment;
  read(given, "variables", environment.variables);
  read(given, "descriptors", environment.descriptors);
  environment.reset_signals = false;  // Python's own handlers are put in place in the worker
  return options;
}

void make_pool(pool_object* into, const nb::dict& given, nb::object key,
               std::vector<std::string> program, nb::object make_runtime) {
  // The engine lets go of it wherever it likes.
  auto language = std::make_shared<python_language>(std::move(program), from(make_runtime));
  try {
    new (into) pool_object(options_of(given), std::move(language), from(key));
  } catch (const hardstop::error&) {
    set_exception_in_flight();
    throw nb::python_error();
  }
}

// The part of an executor that is C++: submit(), without a Python function around it.
struct submitter_object {
  PyObject_HEAD;
  PyObject* pool;  // a Pool, or None or null: to be started, or shut down
};

submitter_object& submitter(PyObject* self) {
  return *reinterpret_cast<submitter_object*>(self);
}

object pool_of(PyObject* self) {
  PyObject* pool = submitter(self).pool;
  if (pool != nullptr && pool != Py_None) return object::borrow(pool);
  return object::steal(PyObject_CallMethod(self, "_start", nullptr));
}

object dictionary_of(PyObject* const* values, PyObject* names) {
  object dict = object::steal(PyDict_New());
  for (Py_ssize_t at = 0; dict && at < PyTuple_GET_SIZE(names); ++at) {
    if (PyDict_SetItem(dict.get(), PyTuple_GET_ITEM(names, at), values[at]) != 0) return {};
  }
  return dict;
}

PyObject* submit_method(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  if (count < 1) {
    PyErr_SetString(PyExc_TypeError, "submit() missing 1 required positional argument: 'fn'");
    return nullptr;
  }
  const object pool = pool_of(self);  // another thread may shut down meanwhile
  if (!pool) return nullptr;
  const object rest = object::steal(PyTuple_New(count - 1));
  if (!rest) return nullptr;
  for (Py_ssize_t at = 1; at < count; ++at)
    PyTuple_SET_ITEM(rest.get(), at - 1, Py_NewRef(args[at]));
  const object keywords = names == nullptr ? object() : dictionary_of(args + count, names);
  if (names != nullptr && !keywords) return nullptr;
  auto* native = nb::inst_ptr<pool_object>(pool.get());
  return native->submit(args[0], rest.get(), keywords.get(), nullptr);
}

int traverse_submitter(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(submitter(self).pool);
  Py_VISIT(Py_TYPE(self));
  return 0;
}

int clear_submitter(PyObject* self) {
  Py_CLEAR(submitter(self).pool);
  return 0;
}

void destroy_submitter(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  static_cast<void>(clear_submitter(self));
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* make_submitter_type() {
  static PyMethodDef methods[] = {
      {"submit", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&submit_method)),
       METH_FASTCALL | METH_KEYWORDS,
       "submit($self, fn, /, *args, **kwargs)\n--\n\n"
       "Runs ``fn(*args, **kwargs)`` in a worker; returns its :class:`Future`.\n\n"
       "``ProcessTimeout`` and ``ProcessCancelTimeout`` among the arguments, or as ``timeout_=``\n"
       "and ``after_cancel_timeout_=``, are options of the job and never reach ``fn``."},
      {nullptr, nullptr, 0, nullptr},
  };
  static PyMemberDef members[] = {
      {"_pool", T_OBJECT, offsetof(submitter_object, pool), 0, nullptr},
      {nullptr, 0, 0, 0, nullptr},
  };
  static PyType_Slot slots[] = {
      {Py_tp_methods, methods},
      {Py_tp_members, members},
      {Py_tp_traverse, reinterpret_cast<void*>(&traverse_submitter)},
      {Py_tp_clear, reinterpret_cast<void*>(&clear_submitter)},
      {Py_tp_dealloc, reinterpret_cast<void*>(&destroy_submitter)},
      {0, nullptr},
  };
  static PyType_Spec spec{.name = "hardstop._engine.Submitter",
                          .basicsize = sizeof(submitter_object),
                          .itemsize = 0,
                          .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
                          .slots = slots};
  return PyType_FromSpec(&spec);
}

}  // namespace

NB_MODULE(_engine, module) {
  nb::set_leak_warnings(false);
  module.attr("__version__") = nb::str(std::string(version()).c_str());
  module.attr("FutureCore") = to_python(make_future_type());
  module.attr("Submitter") = to_python(make_submitter_type());
  module.def("use", &use_callbacks);

  nb::class_<pool_object>(module, "Pool")
      .def("__init__", &make_pool)
      .def(
          "submit",
          [](pool_object& self, nb::handle function, nb::handle args, nb::handle kwargs,
             nb::handle options) {
            return to_python(self.submit(function.ptr(), args.ptr(), kwargs.ptr(), options.ptr()));
          },
          nb::arg("function").none(), nb::arg("args"), nb::arg("kwargs").none(),
          nb::arg("options").none())
      .def(
          "submit_all",
          [](pool_object& self, nb::handle function, nb::handle calls, nb::handle options,
             nb::handle futures) {
            if (!self.submit_all(function.ptr(), calls.ptr(), options.ptr(), futures.ptr())) {
              throw nb::python_error();
            }
          },
          nb::arg("function"), nb::arg("calls"), nb::arg("options").none(), nb::arg("futures"))
      .def(
          "shut_down",
          [](pool_object& self, bool cancel_pending, std::optional<double> timeout) {
            try {
              self.shut_down(cancel_pending, timeout);
            } catch (const hardstop::error&) {
              set_exception_in_flight();
              throw nb::python_error();
            }
          },
          nb::arg("cancel_pending"), nb::arg("timeout").none())
      .def("wait_closed", &pool_object::wait_closed)
      .def("workers",
           [](const pool_object& self, bool fill) { return to_python(self.workers(fill)); })
      .def("broken", [](const pool_object& self) { return to_python(self.broken()); })
      .def("wait_begun", [](pool_object& self) { return to_python(self.wait_begun()); })
      .def("unfinished", [](const pool_object& self) { return to_python(self.unfinished()); })
      .def("stats", [](const pool_object& self) { return to_python(self.stats()); });

  nb::register_exception_translator([](const std::exception_ptr& thrown, void* /*payload*/) {
    try {
      std::rethrow_exception(thrown);
    } catch (const hardstop::error&) {
      set_exception_in_flight();
    }
  });
  add_permits(module.ptr());
  add_queues(module);
  add_service(module);
  module.def("serve_role", [] { serve_role(); });
  module.def("serve_jobs", [] { serve_jobs(); });
  module.def("stop_completer", [] {
    token_watch::instance().stop();
    completer::instance().stop();
  });
  module.def("flush_completer", [] { completer::instance().flush(); });
  module.def("token_grace", &look_into);
  module.def("follow_token", [](int pipe, nb::handle future) {
    try {
      follow(future.ptr(), pipe);
    } catch (const hardstop::error&) {
      set_exception_in_flight();
      throw nb::python_error();
    }
  });
  module.def("containment", [](const std::string& cgroup) {
    pool_options options;
    options.workers = 1;
    options.cgroup = cgroup;
    const containment_report found = detail::pool_handle(options).containment();
    const auto row = [](const auto& answer) {
      return nb::make_tuple(std::string(to_string(answer.level)), answer.explanation, answer.cure);
    };
    return nb::make_tuple(row(found.kill), row(found.memory), row(found.oom_attribution));
  });
  module.def("limit_kept_memory", [](std::uint64_t bytes) { limit_kept_memory(bytes); });
  module.def("attempt", [] { return the_running_job().attempt; });
  module.def("deadline", [] { return the_running_job().deadline; });
  module.def("send_progress", [](nb::handle done_total_message) {
    const running_job& job = the_running_job();
    progress_writer out;
    return job.output != nullptr && write_plain(done_total_message.ptr(), out) &&
           job.output->send(job.ticket, wire::report_kind::progress, out.bytes);
  });
  module.def("usable_cpus", [] { return usable_cpus(); });
  module.def("in_job", [] { return the_running_job().ticket != wire::ticket::none; });
  module.def("cancel_requested", [] {
    const running_job& job = the_running_job();
    return job.words != nullptr && job.ticket != wire::ticket::none &&
           job.words->asked() == job.ticket;
  });
}

}  // namespace hardstop::python
