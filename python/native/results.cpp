#include "results.hpp"

#include <new>
#include <string>
#include <variant>

#include "callbacks.hpp"
#include "codec.hpp"

namespace hardstop::python {

namespace {

std::span<const std::byte> segment_of(const void* job, std::size_t index) {
  return static_cast<const detail::job_handle*>(job)->segment(index);
}

// A payload may lie in memory that the worker can still write to, unless it is as small as this:
// nothing is unpickled there.
constexpr std::size_t longest_private_payload = 1024;

object bytes_of(std::span<const std::byte> bytes) {
  return object::steal(PyBytes_FromStringAndSize(reinterpret_cast<const char*>(bytes.data()),
                                                 static_cast<Py_ssize_t>(bytes.size())));
}

// A large part of a result, where its worker has put it. The memory stays the result's as long as
// this lives; then the worker may use it again.
struct segment_object {
  PyObject_HEAD;
  detail::job_handle job;
  std::size_t index;
};

int lend_segment(PyObject* self, Py_buffer* view, int flags) {
  auto& segment = *reinterpret_cast<segment_object*>(self);
  const auto bytes = segment.job.segment(segment.index);
  // The client's mapping is writable, and the range is this result's alone.
  return PyBuffer_FillInfo(view, self, const_cast<std::byte*>(bytes.data()),
                           static_cast<Py_ssize_t>(bytes.size()), 0, flags);
}

void destroy_segment(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  reinterpret_cast<segment_object*>(self)->job.~job_handle();
  type->tp_free(self);
  Py_DECREF(type);
}

PyTypeObject* segment_type() {
  static PyType_Slot slots[] = {
      {Py_bf_getbuffer, reinterpret_cast<void*>(&lend_segment)},
      {Py_tp_dealloc, reinterpret_cast<void*>(&destroy_segment)},
      {0, nullptr},
  };
  static PyType_Spec spec{.name = "hardstop._engine.Segment",
                          .basicsize = sizeof(segment_object),
                          .itemsize = 0,
                          .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                          .slots = slots};
  static PyObject* const made = PyType_FromSpec(&spec);
  return reinterpret_cast<PyTypeObject*>(made);
}

object segment_of_job(const detail::job_handle& job, std::size_t index) {
  PyTypeObject* type = segment_type();
  PyObject* self = type == nullptr ? nullptr : type->tp_alloc(type, 0);
  if (self == nullptr) return {};
  auto& segment = *reinterpret_cast<segment_object*>(self);
  new (&segment.job) detail::job_handle(job);
  segment.index = index;
  return object::steal(self);
}

object list_of_segments(const detail::job_handle& job) {
  object list = object::steal(PyList_New(0));
  for (std::size_t index = 0; list && !job.segment(index).empty(); ++index) {
    const object segment = segment_of_job(job, index);
    if (!segment || PyList_Append(list.get(), segment.get()) != 0) return {};
  }
  return list;
}

class dictionary {
 public:
  dictionary() : dict_(checked(PyDict_New())) {}

  void set(const char* name, const std::string& text) {
    put(name, PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace"));
  }

  void set(const char* name, std::string_view text) { set(name, std::string(text)); }

  void set(const char* name, std::int64_t number) { put(name, PyLong_FromLongLong(number)); }

  void set(const char* name, std::chrono::nanoseconds time) {
    put(name, PyFloat_FromDouble(std::chrono::duration<double>(time).count()));
  }

  void set(const char* name, bool flag) { put(name, PyBool_FromLong(flag ? 1 : 0)); }

  object take() { return std::move(dict_); }

 private:
  void put(const char* name, PyObject* made) {
    const object value = checked(made);
    if (PyDict_SetItemString(dict_.get(), name, value.get()) != 0) throw python_error();
  }

  object dict_;
};

void add(dictionary& /*into*/, const outcome::value& /*how*/) {}

void add(dictionary& into, const outcome::exception& how) {
  into.set("exception_type", how.type);
  into.set("exception_text", how.what);
}

void add(dictionary& into, const outcome::cancelled& how) {
  into.set("started", how.how == outcome::cancelled::extent::killed);
  into.set("by_shutdown", how.by == outcome::cancelled::source::shutdown);
}

void add(dictionary& into, const outcome::timed_out& how) {
  into.set("limit", how.limit);
}

void add(dictionary& into, const outcome::worker_died& how) {
  if (how.signal) into.set("signal", static_cast<std::int64_t>(*how.signal));
  if (how.exit_code) into.set("exit_code", static_cast<std::int64_t>(*how.exit_code));
  into.set("core_dumped", how.core_dumped);
  into.set("peak_memory", static_cast<std::int64_t>(how.peak_memory));
  into.set("cpu_time", how.cpu_time);
  into.set("likely_cause", how.likely_cause);
}

void add(dictionary& into, const outcome::memory_limit& how) {
  into.set("memory_limit", static_cast<std::int64_t>(how.limit));
  into.set("memory_used", static_cast<std::int64_t>(how.used));
}

void add(dictionary& into, const outcome::not_started& how) {
  into.set("by_shutdown", how.why == outcome::not_started::cause::shutdown);
  into.set("reason", how.reason);
}

}  // namespace

loaded_result load_result(const detail::job_handle& job) {
  std::span<const std::byte> payload = job.payload();
  object copy;
  if (payload.size() > longest_private_payload) {
    copy = bytes_of(payload);
    if (!copy) return {};
    payload = std::as_bytes(std::span(PyBytes_AS_STRING(copy.get()), payload.size()));
  }
  if (job.kind() == outcome_kind::value && !payload.empty() &&
      payload[0] == static_cast<std::byte>(format::plain)) {
    return {.value = object::steal(read_plain(payload.subspan(1), {&segment_of, &job})),
            .exception = {}};
  }
  if (!copy) copy = bytes_of(payload);
  const object segments = list_of_segments(job);
  if (!copy || !segments) return {};
  object loaded = object::steal(PyObject_CallFunctionObjArgs(the_callbacks().load_result.get(),
                                                             copy.get(), segments.get(), nullptr));
  if (!loaded || job.kind() == outcome_kind::value) {
    return {.value = std::move(loaded), .exception = {}};
  }
  if (PyExceptionInstance_Check(loaded.get()) != 0) {
    return {.value = {}, .exception = std::move(loaded)};
  }
  PyErr_SetString(PyExc_ValueError, "the job's process told of an exception that is none");
  return {};
}

void release_result(const detail::job_handle& job) {
  if (job.segment(0).empty()) job.release_payload();
}

object describe(const outcome& how) {
  try {
    dictionary all;
    all.set("kind", to_string(how.kind()));
    all.set("job", how.job());
    all.set("pid", static_cast<std::int64_t>(how.pid()));
    all.set("attempt", static_cast<std::int64_t>(how.attempt()));
    all.set("ran_for", how.ran_for());
    all.set("cancel", static_cast<std::int64_t>(how.cancel()));
    all.set("processes_stopped", static_cast<std::int64_t>(how.processes_stopped()));
    if (how.unconfirmed()) {
      all.set("unconfirmed_pid", static_cast<std::int64_t>(how.unconfirmed()->pid));
      all.set("unconfirmed_reason", how.unconfirmed()->reason);
    }
    all.set("stack", how.stack());
    all.set("output", how.output());
    all.set("error_output", how.error_output());
    all.set("text", how.describe());
    std::visit([&](const auto& each) { add(all, each); }, how.how());
    return all.take();
  } catch (const python_error&) {
    return {};
  }
}

}  // namespace hardstop::python
