// Package faultdb records what SQLite asks of its disk, and makes of it what
// would be there after a power cut: what was synced for sure, and of the rest
// anything, torn and out of order. It owns a VFS that stands in front of the
// default one; it must not know what is in a database.
//
// Start reading at [Disk]. What other programs write to the same files is not
// seen. Source: sqlite.org/c3ref/vfs.html and io_methods.html; atomiccommit.html
// says what SQLite expects of a disk.
package faultdb
