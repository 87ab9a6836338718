// Using SQLite in a forked child of a process that has used it.
//
// SQLite's own advice is to open the file anew in the child. That is not enough: the library keeps
// a table of the files that this process has open, by device and inode, with the POSIX locks that
// it holds on each, and the child inherits the table but none of the locks. A connection that is
// opened there finds the file in the table, believes it locked already, and locks nothing: when the
// parent closes its last connection it takes itself for the last user of the file and deletes the
// log, into which the child goes on writing. What the child then commits is lost
// (forked_child_test.cpp).
//
// So in a forked child the files of ours have another inode number, as far as SQLite can see: what
// is opened there is not found in the table, and is locked as it should be. SQLite provides for
// such a replacement of its system calls (sqlite3_vfs::xSetSystemCall).
//
// And its locks within the process may be held by threads of the parent at the moment of the fork,
// which the child does not have. They are taken around each fork(), as the C library does with its
// allocator's.
#pragma once

#include <string>

namespace hardstop::storage {

// To be called before SQLite opens the file, which must be there. Any thread; cheap.
void prepare_sqlite(const std::string& path);

}  // namespace hardstop::storage
