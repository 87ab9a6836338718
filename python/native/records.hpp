// What services, sources and queues speak of, as tuples of plain values: the Python package makes
// its own classes of them. With the GIL, all of it.
#pragma once

#include <nanobind/nanobind.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <hardstop/journal.hpp>
#include <hardstop/queue.hpp>
#include <hardstop/service.hpp>
#include <hardstop/source.hpp>

namespace hardstop::python {

// Whatever the bytes are: a queue's file may be damaged.
nanobind::str text_of(std::string_view bytes);
nanobind::bytes bytes_of(const std::vector<std::byte>& bytes);

// Seconds of the Unix epoch.
double epoch_seconds(std::chrono::system_clock::time_point when);
nanobind::object epoch_seconds(const std::optional<std::chrono::system_clock::time_point>& when);
nanobind::object seconds_of(const std::optional<std::chrono::nanoseconds>& time);

// None is unset. ValueError for what is no number.
std::optional<std::chrono::nanoseconds> duration_of(nanobind::handle seconds);

// (job, attempt)
nanobind::tuple to_tuple(const receipt& of);
receipt receipt_from(nanobind::handle pair);
nanobind::list to_list(std::span<const receipt> all);
std::vector<receipt> receipts_from(nanobind::handle pairs);

// (job, attempt, reason, text)
nanobind::tuple to_tuple(const nacked_job& of);

// (name, encoding, arguments)
nanobind::tuple to_tuple(const job_message& of);
job_message message_from(nanobind::handle triple);

// (job, attempt, (name, encoding, arguments), lease_until, timeout, grace)
nanobind::tuple to_tuple(const taken_job& of);
taken_job taken_from(nanobind::handle tuple);

nanobind::tuple to_tuple(const queued_job& of);
nanobind::tuple to_tuple(const journal_entry& of);
nanobind::tuple to_tuple(const journal_run& of);
nanobind::tuple to_tuple(const journal_recovery& of);
nanobind::dict to_dict(const service_stats& of);

template <class T>
nanobind::list to_list_of(const std::vector<T>& all) {
  nanobind::list made;
  for (const T& each : all)
    made.append(to_tuple(each));
  return made;
}

}  // namespace hardstop::python
