#include "python_language.hpp"

#include <unistd.h>

#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "callbacks.hpp"
#include "guardian/role.hpp"
#include "os/exit.hpp"
#include "python_runtime.hpp"
#include "worker/loop.hpp"
#include "worker/spec.hpp"
#include <hardstop/errors.hpp>

namespace hardstop::python {

namespace {

// What this process was born with, if it is a worker, until serve_jobs() takes it.
std::optional<guardian::worker_birth> own_birth;

// Set in an interpreter that was executed: it is a guardian that forks, and Python must be told.
bool executed = false;

[[noreturn]] void fail_to_start() {
  PyErr_Print();
  os::exit_now(static_cast<int>(hardstop::worker::exit_code::start_failed));
}

object runtime_of(const os::descriptor& spec) {
  const auto told = hardstop::worker::read_spec(spec);
  if (!told) {
    PyErr_SetString(PyExc_RuntimeError, "the pool's description cannot be read");
    return {};
  }
  return object::steal(
      PyBytes_FromStringAndSize(reinterpret_cast<const char*>(told->runtime.data()),
                                static_cast<Py_ssize_t>(told->runtime.size())));
}

// Guardian and workers run with the GIL, which the thread that forked them had.
class python_hooks final : public guardian::guardian_hooks {
 public:
  int in_guardian(const os::descriptor& spec) override {
    const int failed = guardian_hooks::in_guardian(spec);
    // A guardian that is a copy of the client stays out of Python: its workers are the children.
    if (failed != 0 || !executed) return failed;
    PyOS_AfterFork_Child();                        // a child of the warden
    if (!the_callbacks().guardian_main) return 0;  // its workers load the package, each for itself
    const object runtime = runtime_of(spec);
    const object loaded =
        runtime
            ? object::steal(PyObject_CallOneArg(the_callbacks().guardian_main.get(), runtime.get()))
            : object();
    // What cannot be preloaded is imported, or fails, in the workers.
    if (!loaded) PyErr_Print();
    return 0;
  }

  pid_t fork_worker() override {
    if (executed) PyOS_BeforeFork();
    const pid_t pid = ::fork();
    if (pid == 0) {
      PyOS_AfterFork_Child();
    } else if (executed) {
      PyOS_AfterFork_Parent();
    }
    return pid;
  }

  [[noreturn]] void run_worker(guardian::worker_birth born) override {
    if (!the_callbacks().worker_main) {
      const object package = object::steal(PyImport_ImportModule("hardstop"));
      if (!package) fail_to_start();
    }
    const object runtime = runtime_of(born.spec);
    const auto number = static_cast<unsigned long long>(born.worker);
    const int guardian = born.guardian_pid;
    own_birth.emplace(std::move(born));
    if (!runtime) fail_to_start();
    const object code = object::steal(PyObject_CallFunction(
        the_callbacks().worker_main.get(), "KiO", number, guardian, runtime.get()));
    if (!code) fail_to_start();
    os::exit_now(static_cast<int>(PyLong_AsLong(code.get())));
  }
};

python_hooks& hooks_of_python() {
  // Never destroyed: forked processes may outlive the client.
  static auto* const hooks = new python_hooks();
  return *hooks;
}

}  // namespace

python_language::python_language(std::vector<std::string> program, object make_runtime)
    : program_(std::move(program)), make_runtime_(std::move(make_runtime)) {}

python_language::~python_language() {
  // The engine lets go of it in a thread of its own, maybe when there is no interpreter any more.
  if (Py_IsInitialized() == 0) {
    static_cast<void>(make_runtime_.release());
    return;
  }
  const gil_taken gil;
  make_runtime_ = {};
}

guardian::guardian_hooks& python_language::hooks() {
  return hooks_of_python();
}

std::vector<std::byte> python_language::spec() {
  const gil_taken gil;
  births_.fetch_add(1, std::memory_order_release);
  const object bytes = checked(PyObject_CallNoArgs(make_runtime_.get()));
  if (!PyBytes_Check(bytes.get())) throw error("what a worker is told is not bytes");
  const auto view = std::as_bytes(std::span(
      PyBytes_AS_STRING(bytes.get()), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.get()))));
  return {view.begin(), view.end()};
}

void python_language::before_fork() {
  // Kept until after_fork(): the copy begins with it, in the thread that had it.
  gil_ = take_gil();
  const object ready = object::steal(PyObject_CallNoArgs(the_callbacks().before_fork.get()));
  if (!ready) PyErr_WriteUnraisable(nullptr);
  PyOS_BeforeFork();
}

void python_language::after_fork() {
  PyOS_AfterFork_Parent();
  PyGILState_Release(gil_);
}

int python_language::question_signal() const {
  return where_signal();
}

// A payload of kind exception: length of what follows, type and text for people, then Python's.
std::optional<wire::failure> python_language::read_failure(
    std::span<const std::byte> payload) const {
  std::uint32_t length = 0;
  if (payload.size() < 1 + sizeof length) return std::nullopt;
  std::memcpy(&length, payload.data() + 1, sizeof length);
  const auto rest = payload.subspan(1 + sizeof length);
  if (length > rest.size()) return std::nullopt;
  return wire::decode_failure(rest.first(length));
}

void serve_role() {
  executed = true;
  // The warden runs no Python and forks once: what its guardian undoes (in_guardian) is done here.
  if (guardian::role_of_this_process() == guardian::process_role::guardian) PyOS_BeforeFork();
  guardian::serve(hooks_of_python());
}

void serve_jobs() {
  if (!own_birth) throw error("this process was not born as a worker");
  guardian::worker_birth born = std::move(*own_birth);
  own_birth.reset();
  hardstop::worker::birth birth{.lane = std::move(born.lane),
                                .arguments = std::move(born.arguments),
                                .results = std::move(born.results),
                                .spec = std::move(born.spec),
                                .standard_output = {},
                                .standard_error = {}};
  if (born.standard_output) birth.standard_output = std::move(born.standard_output);
  if (born.standard_error) birth.standard_error = std::move(born.standard_error);
  static auto* const runtime = new python_runtime();
  hardstop::worker::serve(std::move(birth), *runtime);
}

}  // namespace hardstop::python
