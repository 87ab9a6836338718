#include "wire/control.hpp"

#include <cerrno>
#include <cstring>
#include <type_traits>
#include <utility>

namespace hardstop::wire {
namespace {

constexpr std::uint32_t magic = 0x31737268;  // "hrs1"

// The greatest value of each enumeration that travels.
constexpr start_method last_of(start_method) {
  return start_method::spawn;
}

constexpr capture last_of(capture) {
  return capture::yes;
}

constexpr kill_containment last_of(kill_containment) {
  return kill_containment::cgroup;
}

constexpr memory_containment last_of(memory_containment) {
  return memory_containment::cgroup;
}

constexpr oom_attribution last_of(oom_attribution) {
  return oom_attribution::cgroup;
}

constexpr birth_stage last_of(birth_stage) {
  return birth_stage::worker;
}

constexpr survival last_of(survival) {
  return survival::ending;
}

template <class T>
concept number = std::is_arithmetic_v<T>;
template <class T>
concept closed_enumeration = requires(T value) { last_of(value); };

class writer {
 public:
  explicit writer(std::span<std::byte> into) : into_{into} {}

  [[nodiscard]] std::size_t size() const { return size_; }

  template <number T>
  void operator()(T value) {
    std::memcpy(&into_[size_], &value, sizeof value);
    size_ += sizeof value;
  }

  template <closed_enumeration T>
  void operator()(T value) {
    (*this)(static_cast<std::underlying_type_t<T>>(value));
  }

  void operator()(worker_id value) { (*this)(static_cast<std::uint64_t>(value)); }

  void operator()(bool value) { (*this)(static_cast<std::uint8_t>(value)); }

  template <class Period>
  void operator()(std::chrono::duration<std::int64_t, Period> value) {
    (*this)(value.count());
  }

  void operator()(const std::array<char, configure::longest_path>& path) {
    const auto length = static_cast<std::uint16_t>(::strnlen(path.data(), path.size() - 1));
    (*this)(length);
    std::memcpy(&into_[size_], path.data(), length);
    size_ += length;
  }

 private:
  std::span<std::byte> into_;
  std::size_t size_ = 0;
};

// Reads what a writer wrote; anything amiss sets `failed` and the rest is skipped.
class reader {
 public:
  explicit reader(std::span<const std::byte> from) : from_{from} {}

  [[nodiscard]] bool complete() const { return !failed_ && from_.empty(); }

  template <number T>
  void operator()(T& value) {
    if (failed_ || from_.size() < sizeof value) {
      failed_ = true;
      return;
    }
    std::memcpy(&value, from_.data(), sizeof value);
    from_ = from_.subspan(sizeof value);
  }

  template <closed_enumeration T>
  void operator()(T& value) {
    std::underlying_type_t<T> raw{};
    (*this)(raw);
    failed_ |= raw > static_cast<std::underlying_type_t<T>>(last_of(T{}));
    if (!failed_) value = static_cast<T>(raw);
  }

  void operator()(worker_id& value) {
    std::uint64_t raw = 0;
    (*this)(raw);
    value = static_cast<worker_id>(raw);
  }

  void operator()(bool& value) {
    std::uint8_t raw = 0;
    (*this)(raw);
    failed_ |= raw > 1;
    value = raw == 1;
  }

  template <class Period>
  void operator()(std::chrono::duration<std::int64_t, Period>& value) {
    std::int64_t raw = 0;
    (*this)(raw);
    value = std::chrono::duration<std::int64_t, Period>{raw};
  }

  void operator()(std::array<char, configure::longest_path>& path) {
    std::uint16_t length = 0;
    (*this)(length);
    // Room for the final zero must remain, and there must be no other zero.
    if (failed_ || length >= path.size() || from_.size() < length ||
        std::memchr(from_.data(), 0, length) != nullptr) {
      failed_ = true;
      return;
    }
    std::memcpy(path.data(), from_.data(), length);
    from_ = from_.subspan(length);
  }

 private:
  std::span<const std::byte> from_;
  bool failed_ = false;
};

// The fields of each message in the order in which they travel, for writer and reader alike.
template <class Archive, class Message>
void fields(Archive& archive, Message& message) {
  using kind = std::remove_const_t<Message>;
  if constexpr (std::is_same_v<kind, configure>) {
    archive(message.start);
    archive(message.oom_score_raise);
    archive(message.confirm_within);
    archive(message.cgroup_path);
  } else if constexpr (std::is_same_v<kind, spawn>) {
    archive(message.worker);
    archive(message.memory_limit);
    archive(message.captured);
  } else if constexpr (std::is_same_v<kind, kill>) {
    archive(message.worker);
  } else if constexpr (std::is_same_v<kind, ping> || std::is_same_v<kind, pong>) {
    archive(message.number);
  } else if constexpr (std::is_same_v<kind, hello>) {
    archive(message.warden_pid);
    archive(message.guardian_pid);
    archive(message.kill);
    archive(message.memory);
    archive(message.oom);
  } else if constexpr (std::is_same_v<kind, birth_failed>) {
    archive(message.stage);
    archive(message.error);
  } else if constexpr (std::is_same_v<kind, spawned>) {
    archive(message.worker);
    archive(message.pid);
  } else if constexpr (std::is_same_v<kind, spawn_failed>) {
    archive(message.worker);
    archive(message.stage);
    archive(message.error);
  } else if constexpr (std::is_same_v<kind, gone>) {
    archive(message.worker);
    archive(message.pid);
    archive(message.status.code);
    archive(message.status.signal);
    archive(message.status.core_dumped);
    archive(message.cpu_time);
    archive(message.peak_memory);
    archive(message.memory_at_birth);
    archive(message.processes_stopped);
    archive(message.oom_kills);
    archive(message.unconfirmed.reason);
    archive(message.unconfirmed.pid);
    archive(message.unconfirmed.tracer);
    archive(message.unconfirmed.others);
    archive(message.confirm_latency);
    archive(message.birth);
    archive(message.birth_error);
  } else {
    static_assert(std::is_same_v<kind, dismiss>);
  }
}

// Requests count from 1, reports from 101, so that neither is taken for the other.
template <class Variant>
constexpr std::uint8_t first_kind = std::is_same_v<Variant, request> ? 1 : 101;

template <class Variant>
std::size_t write(const Variant& message, std::span<std::byte> into) {
  writer archive{into};
  archive(magic);
  archive(static_cast<std::uint8_t>(first_kind<Variant> + message.index()));
  std::visit([&](const auto& body) { fields(archive, body); }, message);
  return archive.size();
}

os::error bad_message() {
  return {.code = EBADMSG, .operation = "reading a control message"};
}

template <class Variant, std::size_t... Index>
os::result<Variant> read_body(std::size_t index, reader archive, std::index_sequence<Index...>) {
  os::result<Variant> outcome{bad_message()};
  const auto attempt = [&]<std::size_t Candidate>() {
    if (index != Candidate) return;
    std::variant_alternative_t<Candidate, Variant> body;
    fields(archive, body);
    if (archive.complete()) outcome = Variant{body};
  };
  (attempt.template operator()<Index>(), ...);
  return outcome;
}

template <class Variant>
os::result<Variant> read(std::span<const std::byte> bytes) {
  constexpr std::size_t header = sizeof magic + 1;
  if (bytes.size() < header) return bad_message();
  std::uint32_t seen_magic = 0;
  std::uint8_t kind = 0;
  reader head{bytes.first(header)};
  head(seen_magic);
  head(kind);
  if (seen_magic != magic || kind < first_kind<Variant>) return bad_message();
  return read_body<Variant>(kind - std::size_t{first_kind<Variant>}, reader{bytes.subspan(header)},
                            std::make_index_sequence<std::variant_size_v<Variant>>{});
}

}  // namespace

bool configure::set_cgroup(std::string_view path) {
  if (path.size() >= cgroup_path.size() || path.find('\0') != std::string_view::npos) return false;
  cgroup_path = {};
  path.copy(cgroup_path.data(), path.size());
  return true;
}

encoded encode(const request& message) {
  encoded result;
  result.size_ = write(message, result.bytes_);
  return result;
}

encoded encode(const report& message) {
  encoded result;
  result.size_ = write(message, result.bytes_);
  return result;
}

os::result<request> decode_request(std::span<const std::byte> bytes) {
  return read<request>(bytes);
}

os::result<report> decode_report(std::span<const std::byte> bytes) {
  return read<report>(bytes);
}

std::size_t descriptors_beside(const request& message) {
  if (const auto* const wanted = std::get_if<spawn>(&message)) {
    return wanted->captured == capture::yes ? 5 : 3;
  }
  return std::holds_alternative<configure>(message) ? 1 : 0;
}

std::size_t descriptors_beside(const report& message) {
  if (std::holds_alternative<hello>(message)) return 2;
  return std::holds_alternative<spawned>(message) ? 1 : 0;
}

}  // namespace hardstop::wire
