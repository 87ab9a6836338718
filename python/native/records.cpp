#include "records.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <cmath>

#include "seconds.hpp"

namespace nb = nanobind;

namespace hardstop::python {

nb::str text_of(std::string_view bytes) {
  PyObject* const made =
      PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "replace");
  if (made == nullptr) throw nb::python_error();
  return nb::steal<nb::str>(made);
}

nb::bytes bytes_of(const std::vector<std::byte>& bytes) {
  return nb::bytes(bytes.data(), bytes.size());
}

double epoch_seconds(std::chrono::system_clock::time_point when) {
  return std::chrono::duration<double>(when.time_since_epoch()).count();
}

nb::object epoch_seconds(const std::optional<std::chrono::system_clock::time_point>& when) {
  return when ? nb::cast(epoch_seconds(*when)) : nb::none();
}

nb::object seconds_of(const std::optional<std::chrono::nanoseconds>& time) {
  return time ? nb::cast(std::chrono::duration<double>(*time).count()) : nb::none();
}

std::optional<std::chrono::nanoseconds> duration_of(nb::handle seconds) {
  if (seconds.is_none()) return std::nullopt;
  const auto value = nb::cast<double>(seconds);
  if (std::isnan(value)) throw nb::value_error("a time is not a number");
  return to_duration(value);
}

nb::tuple to_tuple(const receipt& of) {
  return nb::make_tuple(text_of(of.job), of.attempt);
}

receipt receipt_from(nb::handle pair) {
  return {.job = nb::cast<std::string>(pair[0]), .attempt = nb::cast<unsigned>(pair[1])};
}

nb::list to_list(std::span<const receipt> all) {
  nb::list made;
  for (const receipt& each : all)
    made.append(to_tuple(each));
  return made;
}

std::vector<receipt> receipts_from(nb::handle pairs) {
  std::vector<receipt> all;
  for (const nb::handle each : pairs)
    all.push_back(receipt_from(each));
  return all;
}

nb::tuple to_tuple(const nacked_job& of) {
  return nb::make_tuple(text_of(of.receipt.job), of.receipt.attempt, text_of(to_string(of.reason)),
                        text_of(of.text));
}

nb::tuple to_tuple(const job_message& of) {
  return nb::make_tuple(text_of(of.name), text_of(to_string(of.format)), bytes_of(of.arguments));
}

job_message message_from(nb::handle triple) {
  job_message made{.name = nb::cast<std::string>(triple[0])};
  const auto encoding = nb::cast<std::string>(triple[1]);
  for (const auto format :
       {argument_format::json, argument_format::messagepack, argument_format::signed_pickle}) {
    if (to_string(format) == encoding) made.format = format;
  }
  const auto bytes = nb::cast<nb::bytes>(triple[2]);
  const auto* begin = static_cast<const std::byte*>(bytes.data());
  made.arguments.assign(begin, begin + bytes.size());
  return made;
}

nb::tuple to_tuple(const taken_job& of) {
  return nb::make_tuple(text_of(of.receipt.job), of.receipt.attempt, to_tuple(of.message),
                        epoch_seconds(of.lease_until), seconds_of(of.timeout),
                        seconds_of(of.grace));
}

taken_job taken_from(nb::handle tuple) {
  taken_job made{.receipt = receipt_from(tuple), .message = message_from(tuple[2])};
  if (const nb::object until = tuple[3]; !until.is_none()) {
    const std::chrono::duration<double> since_epoch(nb::cast<double>(until));
    made.lease_until = std::chrono::system_clock::time_point(
        std::chrono::round<std::chrono::system_clock::duration>(since_epoch));
  }
  made.timeout = duration_of(tuple[4]);
  made.grace = duration_of(tuple[5]);
  return made;
}

nb::tuple to_tuple(const queued_job& of) {
  return nb::make_tuple(text_of(of.id), to_tuple(of.message), text_of(to_string(of.state)),
                        of.priority, text_of(of.unique), of.attempts, of.max_attempts,
                        epoch_seconds(of.enqueued_at), epoch_seconds(of.due_at),
                        epoch_seconds(of.lease_until), of.cancel_requested, text_of(of.reason));
}

nb::tuple to_tuple(const journal_entry& of) {
  return nb::make_tuple(of.run, of.number, to_tuple(of.receipt), to_tuple(of.message),
                        text_of(of.source), of.leased, text_of(to_string(of.state)), of.finished,
                        text_of(of.text), epoch_seconds(of.taken_at), epoch_seconds(of.started_at),
                        epoch_seconds(of.ended_at));
}

nb::tuple to_tuple(const journal_run& of) {
  return nb::make_tuple(of.run, text_of(of.service), text_of(of.source), of.pid,
                        epoch_seconds(of.began_at), epoch_seconds(of.ended_at), of.status);
}

nb::tuple to_tuple(const journal_recovery& of) {
  return nb::make_tuple(of.acked, of.failed, of.returned, of.stale, of.requeued);
}

nb::dict to_dict(const service_stats& of) {
  nb::dict all;
  all["phase"] = text_of(to_string(of.phase));
  all["ready"] = of.ready;
  all["waiting"] = of.waiting;
  all["running"] = of.running;
  all["unsettled"] = of.unsettled;
  all["taken"] = of.taken;
  all["finished"] = of.finished;
  all["failed"] = of.failed;
  all["killed"] = of.killed;
  all["cancelled"] = of.cancelled;
  all["returned"] = of.returned;
  all["refused"] = of.refused;
  all["journaled"] = of.journaled;
  all["lost_leases"] = of.lost_leases;
  all["source_errors"] = of.source_errors;
  all["oldest"] = seconds_of(of.oldest);
  all["drain_left"] = seconds_of(of.drain_left);
  return all;
}

}  // namespace hardstop::python
