// Who is left: a mark that a job puts on its process, and a search of /proc for those that bear it.
//
// The mark is inherited by every process the job starts, whatever that does to get away: a forked
// one has its memory mapping, an executed one its environment variable.
#pragma once

#include <cstddef>
#include <set>
#include <string>

namespace demo {

// Unlike that of any other act, and of any other demo that runs now.
std::string new_mark(const std::string& act);

// In the job: from now on this process, and what it starts, bears the mark.
void bear(const std::string& mark);

struct carriers {
  std::size_t processes = 0;
  std::set<int> sessions{};
  std::set<std::string> programs{};
};

// Looks at every process of this machine.
carriers find_carriers(const std::string& mark);

}  // namespace demo
