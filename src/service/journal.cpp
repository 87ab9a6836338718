#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "service/journal_store.hpp"
#include <hardstop/errors.hpp>
#include <hardstop/journal.hpp>

namespace hardstop {

std::string_view to_string(journal_state state) noexcept {
  switch (state) {
    case journal_state::taken:
      return "taken";
    case journal_state::started:
      return "started";
    case journal_state::ended:
      return "ended";
    case journal_state::settled:
      return "settled";
    case journal_state::left:
      return "left";
  }
  return "unknown";
}

class journal::implementation {
 public:
  implementation(const std::string& path, std::chrono::nanoseconds patience)
      : store(path, patience) {}

  serving::journal_store store;
};

namespace {

const std::string& existing(const std::string& path) {
  if (::access(path.c_str(), F_OK) != 0) {
    throw queue_failure("no journal " + path + ": " + std::strerror(errno));
  }
  return path;
}

}  // namespace

journal::journal(std::string path, std::chrono::nanoseconds patience)
    : implementation_(std::make_unique<implementation>(existing(path), patience)) {}

journal::~journal() = default;

std::vector<journal_entry> journal::unfinished() const {
  return implementation_->store.unfinished();
}

std::vector<journal_entry> journal::history(std::size_t at_most) const {
  return implementation_->store.history(at_most);
}

std::vector<journal_run> journal::runs() const {
  return implementation_->store.runs();
}

journal_recovery journal::recover(source& into) {
  return implementation_->store.recover(into);
}

journal_recovery journal::requeue(queue& into, const enqueue_options& options) {
  return implementation_->store.requeue(into, options);
}

const std::string& journal::path() const noexcept {
  return implementation_->store.path();
}

}  // namespace hardstop
