// A database's file, before and beside SQLite: made for its owner alone, refused if others could
// have written it; and what SQLite says against it, in words that help.
#pragma once

#include <SQLiteCpp/Exception.h>

#include <chrono>
#include <string>
#include <string_view>

#include <hardstop/errors.hpp>

namespace hardstop::storage {

// So that it stays true when the process changes its folder, and is no URI. Throws bad_options if
// it is empty.
[[nodiscard]] std::string absolute(const std::string& path);

// Makes the file with mode 0600, whatever the umask, if it is not there. Throws queue_failure if it
// cannot, if it is no regular file, or if its group or others may write it.
//
// Opens nothing: when any descriptor of a file is closed, the kernel drops all the locks that the
// process holds on it, those of SQLite's connections included.
void make_file(const std::string& path);

// Why something failed, and the cure: "database is locked. Another process …".
[[nodiscard]] std::string explain(const SQLite::Exception& error, const std::string& path,
                                  std::chrono::milliseconds busy_timeout);

// "cannot take jobs from /srv/jobs.db: ".
[[nodiscard]] queue_failure failure(std::string_view operation, const std::string& path,
                                    const std::string& why);

}  // namespace hardstop::storage
