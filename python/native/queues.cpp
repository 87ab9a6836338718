#include "queues.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "python.hpp"
#include "records.hpp"
#include <hardstop/journal.hpp>
#include <hardstop/memory_queue.hpp>
#include <hardstop/queue.hpp>

namespace nb = nanobind;

namespace hardstop::python {

namespace {

void read_time(const nb::dict& given, const char* name, auto& into) {
  if (!given.contains(name)) return;
  if (const auto time = duration_of(given[name])) into = *time;
}

template <class T>
void read(const nb::dict& given, const char* name, T& into) {
  if (given.contains(name) && !given[name].is_none()) into = nb::cast<T>(given[name]);
}

enqueue_options enqueue_options_of(const nb::dict& given) {
  enqueue_options options;
  read(given, "priority", options.priority);
  read_time(given, "delay", options.delay);
  read(given, "unique", options.unique);
  read(given, "max_attempts", options.max_attempts);
  read_time(given, "back_off", options.back_off);
  read_time(given, "max_back_off", options.max_back_off);
  read_time(given, "timeout", options.timeout);
  read_time(given, "grace", options.grace);
  return options;
}

queue_options queue_options_of(const nb::dict& given) {
  queue_options options;
  read_time(given, "lease", options.lease);
  read_time(given, "keep_done", options.keep_done);
  read_time(given, "busy_timeout", options.busy_timeout);
  if (nb::cast<std::string>(given["durability"]) == "process") {
    options.durability = durability::process;
  }
  return options;
}

std::vector<job_message> messages_from(nb::handle triples) {
  std::vector<job_message> all;
  for (const nb::handle each : triples)
    all.push_back(message_from(each));
  return all;
}

nb::list texts_of(const std::vector<std::string>& all) {
  nb::list made;
  for (const std::string& each : all)
    made.append(text_of(each));
  return made;
}

std::optional<queued_state> state_called(const std::optional<std::string>& name) {
  if (!name) return std::nullopt;
  for (const auto state : {queued_state::queued, queued_state::leased, queued_state::done,
                           queued_state::cancelled, queued_state::dead, queued_state::refused}) {
    if (to_string(state) == *name) return state;
  }
  throw nb::value_error(
      ("state='" + *name + "': give 'queued', 'leased', 'done', 'cancelled', 'dead' or 'refused'")
          .c_str());
}

void add_queue(nb::module_& module) {
  nb::class_<queue>(module, "QueueCore")
      .def("__init__",
           [](queue* made, const std::string& path, const nb::dict& options) {
             const queue_options chosen = queue_options_of(options);
             without_gil([&] { new (made) queue(path, chosen); });
           })
      .def("enqueue",
           [](queue& self, nb::handle messages, const nb::dict& options) {
             const auto all = messages_from(messages);
             const auto how = enqueue_options_of(options);
             return texts_of(without_gil([&] { return self.enqueue_all(all, how); }));
           })
      .def("cancel",
           [](queue& self, const std::string& id) {
             return without_gil([&] { return self.cancel(id); });
           })
      .def("requeue",
           [](queue& self, const std::string& id) {
             return without_gil([&] { return self.requeue(id); });
           })
      .def("find",
           [](const queue& self, const std::string& id) -> nb::object {
             const auto found = without_gil([&] { return self.find(id); });
             return found ? nb::object(to_tuple(*found)) : nb::none();
           })
      .def(
          "jobs",
          [](const queue& self, const std::optional<std::string>& state, const std::string& name,
             std::size_t at_most) {
            const queued_filter filter{
                .state = state_called(state), .name = name, .at_most = at_most};
            return to_list_of(without_gil([&] { return self.jobs(filter); }));
          },
          nb::arg("state").none(), nb::arg("name"), nb::arg("at_most"))
      .def("count", [](const queue& self, const std::string& state) {
        const auto wanted = state_called(state);
        return without_gil([&] { return self.count(*wanted); });
      });
}

void add_memory_queue(nb::module_& module) {
  nb::class_<memory_queue>(module, "MemoryQueueCore")
      .def("__init__",
           [](memory_queue* made, unsigned max_attempts, double lease) {
             new (made) memory_queue(
                 {.max_attempts = max_attempts, .lease = *duration_of(nb::cast(lease))});
           })
      .def("enqueue",
           [](memory_queue& self, nb::handle message) {
             return text_of(self.enqueue(message_from(message)));
           })
      .def("cancel",
           [](memory_queue& self, const std::string& id) {
             return without_gil([&] { return self.cancel(id); });
           })
      .def("close", [](memory_queue& self) { without_gil([&] { self.close(); }); })
      .def("size", &memory_queue::size)
      .def("abandoned", [](const memory_queue& self) { return to_list_of(self.abandoned()); });
}

// Opened for each question, so that no journal is kept from its service by somebody who only
// looked.
template <class Ask>
auto ask_journal(const std::string& path, double patience, Ask&& ask) {
  const auto within = *duration_of(nb::cast(patience));
  return without_gil([&] {
    journal opened(path, within);
    return ask(opened);
  });
}

void add_journal(nb::module_& module) {
  module.def("journal_unfinished", [](const std::string& path, double patience) {
    return to_list_of(ask_journal(path, patience, [](journal& it) { return it.unfinished(); }));
  });
  module.def("journal_history", [](const std::string& path, double patience, std::size_t at_most) {
    return to_list_of(
        ask_journal(path, patience, [&](journal& it) { return it.history(at_most); }));
  });
  module.def("journal_runs", [](const std::string& path, double patience) {
    return to_list_of(ask_journal(path, patience, [](journal& it) { return it.runs(); }));
  });
  module.def("journal_recover", [](const std::string& path, double patience, queue& into) {
    return to_tuple(ask_journal(path, patience, [&](journal& it) { return it.recover(into); }));
  });
  module.def("journal_requeue",
             [](const std::string& path, double patience, queue& into, const nb::dict& options) {
               const auto how = enqueue_options_of(options);
               return to_tuple(
                   ask_journal(path, patience, [&](journal& it) { return it.requeue(into, how); }));
             });
}

}  // namespace

void add_queues(nb::module_& module) {
  add_queue(module);
  add_memory_queue(module);
  add_journal(module);
}

source* native_source(nb::handle object) {
  if (nb::isinstance<queue>(object)) return nb::inst_ptr<queue>(object);
  if (nb::isinstance<memory_queue>(object)) return nb::inst_ptr<memory_queue>(object);
  return nullptr;
}

}  // namespace hardstop::python
