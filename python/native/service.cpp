#include "service.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "calling.hpp"
#include "queues.hpp"
#include "records.hpp"
#include "service/engine.hpp"
#include "service_runner.hpp"
#include "service_source.hpp"

namespace nb = nanobind;

namespace hardstop::python {

namespace {

template <class T>
void read(const nb::dict& given, const char* name, T& into) {
  if (given.contains(name) && !given[name].is_none()) into = nb::cast<T>(given[name]);
}

void read_count(const nb::dict& given, const char* name, auto& into) {
  if (given.contains(name) && !given[name].is_none()) into = nb::cast<std::size_t>(given[name]);
}

void read_time(const nb::dict& given, const char* name, auto& into) {
  if (!given.contains(name)) return;
  if (const auto time = duration_of(given[name])) into = *time;
}

disposal disposal_called(const std::string& name) {
  static const std::pair<const char*, disposal> all[] = {{"automatic", disposal::automatic},
                                                         {"requeue", disposal::requeue},
                                                         {"journal", disposal::journal},
                                                         {"raise", disposal::raise},
                                                         {"run", disposal::run},
                                                         {"callback", disposal::callback}};
  for (const auto& [text, value] : all) {
    if (name == text) return value;
  }
  throw nb::value_error(("dispose='" + name +
                         "': give 'automatic', 'requeue', 'journal', 'raise', 'run' or 'callback'")
                            .c_str());
}

void read_hook(const nb::dict& hooks, const char* phase, std::function<void()>& into) {
  if (!hooks.contains(phase)) return;
  into = [hook = shared_callable(hooks[phase])] { call_python([&] { hook.get()(); }); };
}

service_hooks hooks_of(const nb::dict& given) {
  service_hooks hooks;
  read_hook(given, "setup", hooks.setup);
  read_hook(given, "accept", hooks.accept);
  read_hook(given, "drain", hooks.drain);
  read_hook(given, "dispose", hooks.dispose);
  read_hook(given, "shutdown", hooks.shutdown);
  if (given.contains("dispose_job")) {
    hooks.dispose_job = [hook = shared_callable(given["dispose_job"])](const taken_job& job) {
      call_python([&] { hook.get()(to_tuple(job)); });
    };
  }
  return hooks;
}

void hand_over(const shared_callable& log, const log_record& record) {
  call_python([&] {
    nb::dict fields;
    for (const auto& [name, value] : record.fields)
      fields[text_of(name)] = text_of(value);
    log.get()(static_cast<int>(record.level), epoch_seconds(record.when), text_of(record.text),
              text_of(record.event), fields);
  });
}

service_options options_of(const nb::dict& given, const nb::dict& hooks, nb::callable log) {
  service_options options;
  read(given, "workers", options.pool.workers);
  read_count(given, "prefetch", options.prefetch);
  read_count(given, "window", options.window);
  read(given, "journal", options.journal);
  read_time(given, "grace", options.grace);
  read_time(given, "drain", options.drain_time);
  read_time(given, "dispose_time", options.dispose_time);
  read_time(given, "shutdown_time", options.shutdown_time);
  read_time(given, "setup_time", options.setup_time);
  read_time(given, "hurried_drain", options.hurried_drain);
  read_time(given, "progress_interval", options.progress_interval);
  options.dispose = disposal_called(nb::cast<std::string>(given["dispose"]));
  read(given, "exit_if_stuck", options.exit_if_stuck);
  read(given, "private_tmpdir", options.private_tmpdir);
  read(given, "name", options.name);
  options.hooks = hooks_of(hooks);
  options.on_log = [log = shared_callable(log)](const log_record& record) {
    hand_over(log, record);
  };
  return options;
}

// One service; it runs once.
class service_core {
 public:
  service_core(const nb::dict& settings, const nb::dict& hooks, nb::callable log,
               const nb::dict& runner, const nb::dict& graces) {
    auto made = std::make_unique<python_runner>(
        runner_callbacks{.open = shared_callable(runner["open"]),
                         .call_for = shared_callable(runner["call_for"]),
                         .close = shared_callable(runner["close"])});
    for (const auto [name, grace] : graces) {
      if (const auto time = duration_of(grace)) {
        made->set_grace(nb::cast<std::string>(name), *time);
      }
    }
    engine_ = std::make_unique<serving::service_engine>(options_of(settings, hooks, log),
                                                        std::move(made));
  }

  // It may wait for threads that want the GIL.
  ~service_core() {
    const gil_released others_run;
    engine_.reset();
  }

  // The status; or a list of jobs, as hardstop::jobs_left has them. `signals`: where their numbers
  // can be read; negative: nowhere.
  nb::object run(nb::handle from, int signals) {
    try {
      return nb::cast(run_on(from, signals));
    } catch (const jobs_left& left) {
      return to_list_of(left.jobs());
    }
  }

  void stop() noexcept { engine_->stop(); }

  // The core holds a lock while it decides what to do next.
  nb::dict stats() const {
    return to_dict(without_gil([&] { return engine_->stats(); }));
  }

  nb::str metrics() const {
    return text_of(without_gil([&] { return engine_->metrics(); }));
  }

  nb::str describe() const {
    return text_of(without_gil([&] { return engine_->describe(); }));
  }

 private:
  int run_on(nb::handle from, int signals) {
    serving::number_pipe numbers(signals);
    serving::signal_watch* const watch = signals < 0 ? nullptr : &numbers;
    if (source* const native = native_source(from)) {
      const gil_released others_run;
      return engine_->run(*native, watch);
    }
    source_traits traits{.description = nb::cast<std::string>(from.attr("description")),
                         .leases = nb::cast<bool>(from.attr("leases")),
                         .settles = nb::cast<bool>(from.attr("settles"))};
    auto implementation = object::borrow(from.ptr());
    const gil_released others_run;
    python_source adapter(std::move(implementation), std::move(traits));
    return engine_->run(adapter, watch);
  }

  std::unique_ptr<serving::service_engine> engine_;
};

// The dispositions of some signals, to be put back as they were, flags and all.
class kept_handlers {
 public:
  explicit kept_handlers(const std::vector<int>& numbers) {
    for (const int number : numbers) {
      auto& [signal, action] = kept_.emplace_back();
      signal = number;
      ::sigaction(number, nullptr, &action);
    }
  }

  // From now on they are dropped by the kernel: none can come between Python's last look and the
  // return of the former handler, who would take it for his.
  void mute() const {
    struct sigaction ignore {};

    ignore.sa_handler = SIG_IGN;
    for (const auto& [signal, action] : kept_)
      ::sigaction(signal, &ignore, nullptr);
  }

  void put_back() const {
    for (const auto& [signal, action] : kept_)
      ::sigaction(signal, &action, nullptr);
  }

 private:
  struct one {
    int signal;
    struct sigaction action;
  };

  std::vector<one> kept_;
};

}  // namespace

void add_service(nb::module_& module) {
  nb::class_<service_core>(module, "ServiceCore")
      .def(nb::init<const nb::dict&, const nb::dict&, nb::callable, const nb::dict&,
                    const nb::dict&>())
      .def("run", &service_core::run)
      .def("stop", &service_core::stop)
      .def("stats", &service_core::stats)
      .def("metrics", &service_core::metrics)
      .def("describe", &service_core::describe);
  nb::class_<kept_handlers>(module, "KeptHandlers")
      .def(nb::init<const std::vector<int>&>())
      .def("mute", &kept_handlers::mute)
      .def("put_back", &kept_handlers::put_back);
}

}  // namespace hardstop::python
