#include "service/database_file.hpp"

#include <SQLiteCpp/Exception.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>

#include "os/error.hpp"

namespace hardstop::storage {
namespace {

constexpr mode_t owner_only = S_IRUSR | S_IWUSR;
constexpr mode_t written_by_others = S_IWGRP | S_IWOTH;

constexpr std::string_view opening = "open";

std::string reason(int code) {
  return std::generic_category().message(code);
}

void make_if_missing(const std::string& path) {
  // Not open(): see the header. Two that do it at once: the second is told that it exists.
  if (::mknod(path.c_str(), S_IFREG | owner_only, 0) == 0) {
    // A umask may only have taken rights away, which the owner then lacks until this line.
    if (::chmod(path.c_str(), owner_only) == 0) return;
  } else if (errno == EEXIST) {
    return;
  }
  throw failure(opening, path,
                reason(errno) + ". Choose a folder that is there and that you may write to");
}

// What each of SQLite's refusals is to somebody who has never heard of its codes.
std::string cure(int code, int extended, const std::string& path,
                 std::chrono::milliseconds busy_timeout) {
  if (extended == SQLITE_READONLY_DBMOVED) {
    return "The file was moved or deleted while it was in use: put it back; the next try opens "
           "what is there then";
  }
  switch (code) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "Another process has been writing to it for longer than busy_timeout (" +
             std::to_string(busy_timeout.count()) +
             " ms): see which one with `fuser`, or allow more time";
    case SQLITE_FULL:
      return "The disk is full: make room; nothing was changed";
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return "You need the right to write to the file and to its folder";
    case SQLITE_CANTOPEN:
      return "The file, its folder and the files -wal and -shm beside it must be there to be read "
             "and written by you";
    case SQLITE_CORRUPT:
      return "The file is damaged: stop who uses it, keep a copy, and save what can be read with "
             "`sqlite3 " +
             path + " .recover | sqlite3 saved.db`";
    case SQLITE_NOTADB:
      return "It is another kind of file: choose another path";
    case SQLITE_IOERR:
      return "The disk, or the file system, has failed: look at the kernel's log";
    default:
      return "Nothing was changed";
  }
}

}  // namespace

std::string absolute(const std::string& path) {
  if (path.empty()) throw bad_options("path = \"\": name a file");
  return std::filesystem::absolute(path).lexically_normal().string();
}

void make_file(const std::string& path) {
  make_if_missing(path);

  struct stat found {};

  if (::stat(path.c_str(), &found) != 0) throw failure(opening, path, reason(errno));
  if (!S_ISREG(found.st_mode)) {
    throw failure(opening, path, "it is not a regular file. Choose another path");
  }
  if ((found.st_mode & written_by_others) != 0) {
    throw failure(opening, path,
                  "others than its owner may write to it, so that what it holds is not to be "
                  "trusted. If you do trust it: chmod go-w " +
                      path);
  }
}

std::string explain(const SQLite::Exception& error, const std::string& path,
                    std::chrono::milliseconds busy_timeout) {
  return std::string{error.what()} + ". " +
         cure(error.getErrorCode(), error.getExtendedErrorCode(), path, busy_timeout);
}

queue_failure failure(std::string_view operation, const std::string& path, const std::string& why) {
  return queue_failure{"cannot " + std::string{operation} + " " + path + ": " + why};
}

}  // namespace hardstop::storage
