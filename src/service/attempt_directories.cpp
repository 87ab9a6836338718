#include "service/attempt_directories.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

#include <hardstop/errors.hpp>

namespace hardstop::serving {

namespace {

namespace fs = std::filesystem;

constexpr const char* prefix = "hardstop-attempts-";

fs::path base_directory() {
  const char* const wanted = std::getenv("TMPDIR");
  return wanted != nullptr && *wanted != '\0' ? wanted : "/tmp";
}

// Those of runs that are over: their lock is free. Ours by name and by owner.
void remove_abandoned(const fs::path& base) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(base, ignored)) {
    if (!entry.path().filename().string().starts_with(prefix) || !entry.is_directory(ignored)) {
      continue;
    }
    // One without is just being made.
    if (!fs::exists(entry.path() / "run-lock", ignored)) continue;
    try {
      const lock_file mine((entry.path() / "run").string(), "directory", {});
      fs::remove_all(entry.path(), ignored);
    } catch (const queue_failure&) {
      // In use, or somebody else's.
    }
  }
}

}  // namespace

attempt_directories::attempt_directories() {
  const fs::path base = base_directory();
  remove_abandoned(base);
  std::string name = (base / (std::string(prefix) + "XXXXXX")).string();
  if (::mkdtemp(name.data()) == nullptr) {
    throw queue_failure("cannot make a directory for attempts below " + base.string() + ": " +
                        std::generic_category().message(errno));
  }
  root_ = std::move(name);
  lock_ =
      std::make_unique<lock_file>((root_ / "run").string(), "directory", std::chrono::seconds(1));
}

attempt_directories::~attempt_directories() {
  remove(root_.string());
}

std::string attempt_directories::make(job_number job) const {
  const fs::path made = root_ / std::to_string(static_cast<std::uint64_t>(job));
  fs::create_directory(made);
  fs::permissions(made, fs::perms::owner_all);
  return made.string();
}

void attempt_directories::remove(const std::string& directory) noexcept {
  std::error_code ignored;
  fs::remove_all(directory, ignored);
}

}  // namespace hardstop::serving
