#include "python_runtime.hpp"

#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <utility>

#include "callbacks.hpp"
#include "calls.hpp"
#include "codec.hpp"
#include "engine/worker_language.hpp"
#include "errors.hpp"
#include "interrupts.hpp"
#include "os/clock.hpp"
#include "os/proc.hpp"

namespace hardstop::python {

namespace {

running_job present;
std::uint64_t most_kept_memory = 0;

// Takes the time limit off a payload, if it has one.
std::span<const std::byte> note_deadline(std::span<const std::byte> payload) {
  present.deadline.reset();
  if (static_cast<format>(payload[0]) != format::timed) return payload;
  double limit = 0;
  std::memcpy(&limit, payload.data() + 1, sizeof limit);
  present.deadline = std::chrono::duration<double>(os::now().time_since_epoch()).count() + limit;
  return payload.subspan(1 + sizeof limit);
}

class result_writer final : public writer {
 public:
  explicit result_writer(worker::job_output& into) : into_(into) {}

  void put(const void* bytes, std::size_t size) override {
    into_.write({static_cast<const std::byte*>(bytes), size});
  }

  bool put_segment(std::span<const std::byte> bytes) override {
    const auto room = into_.new_segment(bytes.size());
    if (!room) return false;
    std::memcpy(room->data(), bytes.data(), bytes.size());
    return true;
  }

 private:
  worker::job_output& into_;
};

class unused_output final : public worker::job_output {
 public:
  void write(std::span<const std::byte> /*bytes*/) override {}

  std::optional<std::span<std::byte>> new_segment(std::size_t /*length*/) override { return {}; }

  void clear() override {}

  void set_kind(wire::report_kind /*kind*/) override {}

  void set_runtime_flags(std::uint8_t /*flags*/) override {}

  bool send(wire::ticket /*of*/, wire::report_kind /*kind*/,
            std::span<const std::byte> /*bytes*/) override {
    return false;
  }
};

object view_of(std::span<const std::byte> bytes) {
  auto* begin = const_cast<char*>(reinterpret_cast<const char*>(bytes.data()));
  return object::steal(
      PyMemoryView_FromMemory(begin, static_cast<Py_ssize_t>(bytes.size()), PyBUF_READ));
}

object segments_of(const worker::job_view& job) {
  object list = object::steal(PyList_New(0));
  for (const auto segment : job.segments) {
    const object view = view_of(segment);
    if (!list || !view || PyList_Append(list.get(), view.get()) != 0) return {};
  }
  return list;
}

std::span<const std::byte> segment_at(const void* job, std::size_t index) {
  const auto& segments = static_cast<const worker::job_view*>(job)->segments;
  return index < segments.size() ? segments[index] : std::span<const std::byte>{};
}

// A payload of Python's own making, (bytes, [buffers]), as the result.
bool write_pickled(PyObject* pair, worker::job_output& output) {
  PyObject* payload = nullptr;
  PyObject* buffers = nullptr;
  if (PyArg_ParseTuple(pair, "SO!", &payload, &PyList_Type, &buffers) == 0) return false;
  output.write(std::as_bytes(
      std::span(PyBytes_AS_STRING(payload), static_cast<std::size_t>(PyBytes_GET_SIZE(payload)))));
  for (Py_ssize_t at = 0; at < PyList_GET_SIZE(buffers); ++at) {
    Py_buffer view;
    if (PyObject_GetBuffer(PyList_GET_ITEM(buffers, at), &view, PyBUF_CONTIG_RO) != 0) return false;
    const auto size = static_cast<std::size_t>(view.len);
    const auto room = output.new_segment(size);
    if (room) std::memcpy(room->data(), view.buf, size);
    PyBuffer_Release(&view);
    if (!room) {
      PyErr_Format(PyExc_MemoryError, "no shared memory for a part of the result, %zd bytes",
                   static_cast<Py_ssize_t>(size));
      return false;
    }
  }
  return true;
}

// Large objects come and go with every job: memory that is given back to the system each time costs
// a page fault per page when it is taken again, three times as long as copying does.
void keep_warm_memory() {
  constexpr int most_kept = 256 << 20;
  ::mallopt(M_MMAP_MAX, 0);
  ::mallopt(M_TRIM_THRESHOLD, most_kept);
  ::mallopt(M_TOP_PAD, 1 << 20);
}

// Written to by faulthandler, which needs neither the GIL nor memory, and then by end_answer().
int answer_file = -1;

// Runs after faulthandler's handler, which was told to go on to the one before it.
void end_answer(int /*signal*/) {
  static_cast<void>(!::write(answer_file, &engine::end_of_answer, 1));
}

// Best effort: without it a job that is killed for a limit does not tell where it was.
void answer_where_it_is() {
  answer_file = ::memfd_create(engine::last_words_file, MFD_CLOEXEC);
  if (answer_file < 0) return;

  struct sigaction action {};

  action.sa_handler = &end_answer;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  if (::sigaction(where_signal(), &action, nullptr) != 0) return;
  const object told = object::steal(PyObject_CallFunction(the_callbacks().answer_signal.get(), "ii",
                                                          where_signal(), answer_file));
  if (!told) PyErr_WriteUnraisable(nullptr);
}

// What was raised by unpickling becomes what the client is told of that.
void raise_unreadable_call() {
  const object raised = take_raised();
  const object told =
      object::steal(PyObject_CallOneArg(the_callbacks().unreadable_call.get(), raised.get()));
  if (told) PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(told.get())), told.get());
}

std::string text_of(PyObject* value) {
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(value, &size);
  if (text == nullptr) {
    PyErr_Clear();
    return "?";
  }
  return {text, static_cast<std::size_t>(size)};
}

}  // namespace

void limit_kept_memory(std::uint64_t bytes) noexcept {
  most_kept_memory = bytes;
}

int where_signal() noexcept {
  return SIGRTMAX - 5;
}

const running_job& the_running_job() {
  return present;
}

std::optional<wire::failure> python_runtime::start(const worker::spec& /*told*/,
                                                   const wire::client_words& words) {
  keep_warm_memory();
  answer_where_it_is();
  static const wire::client_words kept = words;
  present.words = &kept;
  const object failure =
      object::steal(PyObject_CallNoArgs(the_callbacks().worker_initialize.get()));
  if (failure && failure.get() == Py_None) {
    rehearse();
    return std::nullopt;
  }
  PyObject* type = nullptr;
  PyObject* text = nullptr;
  if (!failure || PyArg_ParseTuple(failure.get(), "UU", &type, &text) == 0) {
    PyErr_Print();
    return wire::failure{.type = "hardstop.StartError", .what = "the worker could not be set up"};
  }
  return wire::failure{.type = text_of(type), .what = text_of(text)};
}

// A forked process pays for each page of the interpreter that it is the first to write to: before
// it is ready, and not when somebody waits for its first job.
void python_runtime::rehearse() {
  detail::encoder call;
  const object none = object::steal(PyTuple_New(0));
  unused_output unused;
  if (none && write_plain_call(the_callbacks().rehearsal.get(), none.get(), call)) {
    execute({.payload = call.bytes()}, unused);
  }
  PyErr_Clear();
  ran_since_ = false;
}

PyObject* python_runtime::function_of(std::span<const std::byte> blob) {
  const std::string name(reinterpret_cast<const char*>(blob.data()), blob.size());
  const auto found = functions_.find(name);
  if (found != functions_.end()) return found->second.get();
  const object bytes =
      object::steal(PyBytes_FromStringAndSize(name.data(), static_cast<Py_ssize_t>(name.size())));
  object loaded =
      bytes ? object::steal(PyObject_CallOneArg(the_callbacks().load_function.get(), bytes.get()))
            : object();
  if (!loaded) return nullptr;
  return functions_.emplace(name, std::move(loaded)).first->second.get();
}

// Trusted: only the client can have written it.
object python_runtime::call_known(std::span<const std::byte> payload, const worker::job_view& job) {
  std::uint32_t length = 0;
  std::memcpy(&length, payload.data() + 1, sizeof length);
  const auto blob = payload.subspan(1 + sizeof length, length);
  PyObject* function = function_of(blob);
  if (function == nullptr) return {};
  const object args =
      object::steal(read_plain(payload.subspan(1 + sizeof length + length), {&segment_at, &job}));
  if (!args) return {};
  return object::steal(PyObject_Call(function, args.get(), nullptr));
}

// As call_pickled(), for a function known by name and arguments without segments.
object python_runtime::call_known_with_pickle(std::span<const std::byte> payload) {
  static PyObject* const loads =
      PyObject_GetAttrString(object::steal(PyImport_ImportModule("pickle")).get(), "loads");
  std::uint32_t length = 0;
  std::memcpy(&length, payload.data() + 1, sizeof length);
  PyObject* function = function_of(payload.subspan(1 + sizeof length, length));
  if (function == nullptr) return {};
  const object view = view_of(payload.subspan(1 + sizeof length + length));
  if (!view) return {};
  const object loaded = object::steal(PyObject_CallOneArg(loads, view.get()));
  PyObject* args = nullptr;
  PyObject* kwargs = nullptr;
  if (!loaded) {
    raise_unreadable_call();
    return {};
  }
  if (PyArg_ParseTuple(loaded.get(), "O!O!", &PyTuple_Type, &args, &PyDict_Type, &kwargs) == 0) {
    return {};
  }
  return object::steal(PyObject_Call(function, args, kwargs));
}

object python_runtime::call_pickled(std::span<const std::byte> payload,
                                    const worker::job_view& job) {
  const object view = view_of(payload);
  const object segments = segments_of(job);
  if (!view || !segments) return {};
  const object loaded = object::steal(PyObject_CallFunctionObjArgs(
      the_callbacks().load_call.get(), view.get(), segments.get(), nullptr));
  PyObject* function = nullptr;
  PyObject* args = nullptr;
  PyObject* kwargs = nullptr;
  if (!loaded || PyArg_ParseTuple(loaded.get(), "OO!O!", &function, &PyTuple_Type, &args,
                                  &PyDict_Type, &kwargs) == 0) {
    return {};
  }
  return object::steal(PyObject_Call(function, args, kwargs));
}

object python_runtime::call(std::span<const std::byte> payload, const worker::job_view& job) {
  const auto how = static_cast<format>(payload[0]);
  if (how == format::plain_call) return call_known(payload, job);
  if (how == format::pickled_call && job.segments.empty()) return call_known_with_pickle(payload);
  return call_pickled(payload, job);
}

bool python_runtime::answer(PyObject* result, worker::job_output& output) {
  result_writer out(output);
  out.put_value(format::plain);
  if (write_plain(result, out)) return true;
  output.clear();
  const object pair = object::steal(PyObject_CallOneArg(the_callbacks().dump_result.get(), result));
  return pair && write_pickled(pair.get(), output);
}

// Whatever is raised now becomes the end of the attempt.
void python_runtime::answer_with_exception(worker::job_output& output) {
  const object raised = take_raised();
  output.clear();
  output.set_kind(wire::report_kind::exception);
  const object pair =
      object::steal(PyObject_CallOneArg(the_callbacks().dump_exception.get(), raised.get()));
  if (pair && write_pickled(pair.get(), output)) return;
  PyErr_Print();
  output.clear();  // an account that cannot be read is told as such
}

void python_runtime::execute(const worker::job_view& job, worker::job_output& output) {
  present.ticket = job.ticket;
  present.output = &output;
  present.attempt = job.attempt;
  ran_since_ = true;
  const auto payload = note_deadline(job.payload);
  if (static_cast<format>(payload[0]) == format::exception) {
    // The client could not write the call, and says why where its result is expected.
    output.set_kind(wire::report_kind::exception);
    output.write(payload);
  } else {
    const object result = call(payload, job);
    stop_interrupting();
    if (!result || !answer(result.get(), output)) answer_with_exception(output);
  }
  present.ticket = wire::ticket::none;
}

bool python_runtime::should_retire() {
  if (most_kept_memory == 0 || !std::exchange(ran_since_, false)) return false;
  const auto resident = [] { return os::read_resident_memory(::getpid()).value_or(0); };
  if (resident() <= most_kept_memory) return false;
  // What only waits to be used again is no reason.
  PyGC_Collect();
  ::malloc_trim(0);
  return resident() > most_kept_memory;
}

void python_runtime::before_sleep() {
  asleep_ = PyEval_SaveThread();
}

void python_runtime::after_sleep() {
  PyEval_RestoreThread(asleep_);
  // A handler that came while it slept. An idle worker has nobody to raise to.
  if (PyErr_CheckSignals() != 0) PyErr_WriteUnraisable(nullptr);
}

}  // namespace hardstop::python
