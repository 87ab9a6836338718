#include "wire/job_request.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace hardstop::wire {

namespace {

enum header_word : std::uint8_t { of_kind, of_id, of_context, of_longest, of_count, header_words };

using header = std::array<std::uint64_t, header_words>;

std::byte* append(std::byte* to, const void* from, std::size_t size) {
  if (size != 0) std::memcpy(to, from, size);
  return to + size;
}

}  // namespace

std::vector<std::byte> encode(const job_request& what) {
  const header head{static_cast<std::uint64_t>(what.kind), what.id, what.context,
                    static_cast<std::uint64_t>(what.longest.count()), what.wants.size()};
  const std::size_t wants = what.wants.size() * sizeof(wanted_permits);
  const std::size_t reason = std::min(what.reason.size(), longest_reason);
  std::vector<std::byte> bytes(sizeof head + wants + reason);
  std::byte* to = append(bytes.data(), head.data(), sizeof head);
  to = append(to, what.wants.data(), wants);
  append(to, what.reason.data(), reason);
  return bytes;
}

std::optional<job_request> decode_job_request(std::span<const std::byte> bytes) {
  header head{};
  if (bytes.size() < sizeof head) return std::nullopt;
  std::memcpy(head.data(), bytes.data(), sizeof head);
  bytes = bytes.subspan(sizeof head);
  const std::uint64_t count = head[of_count];
  if (head[of_kind] < static_cast<std::uint64_t>(job_request_kind::acquire) ||
      head[of_kind] > static_cast<std::uint64_t>(job_request_kind::unshield) ||
      count > most_wanted || bytes.size() < count * sizeof(wanted_permits)) {
    return std::nullopt;
  }
  job_request what{.kind = static_cast<job_request_kind>(head[of_kind]),
                   .id = head[of_id],
                   .context = head[of_context],
                   .wants = std::vector<wanted_permits>(count),
                   .longest = std::chrono::nanoseconds(static_cast<std::int64_t>(head[of_longest])),
                   .reason = {}};
  if (count != 0) std::memcpy(what.wants.data(), bytes.data(), count * sizeof(wanted_permits));
  bytes = bytes.subspan(count * sizeof(wanted_permits));
  if (bytes.size() > longest_reason || what.longest.count() < 0) return std::nullopt;
  what.reason.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return what;
}

}  // namespace hardstop::wire
