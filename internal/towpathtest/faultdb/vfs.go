package faultdb

import (
	"bytes"
	"errors"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// install puts a VFS in front of the default one, once in a process.
var install = sync.OnceValue(func() error {
	tls := libc.NewTLS() // lives as long as the process, as the VFS does
	base := sqlite3.Xsqlite3_vfs_find(tls, 0)
	if base == 0 {
		return errors.New("SQLite has no default VFS")
	}
	ours := libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_vfs{})))
	name, err := libc.CString("faultdb")
	if err != nil || ours == 0 {
		return errors.New("no memory for a VFS")
	}
	vfs := at[sqlite3.Tsqlite3_vfs](ours)
	*vfs = *at[sqlite3.Tsqlite3_vfs](base)
	real.open, real.remove = vfs.FxOpen, vfs.FxDelete
	vfs.FzName, vfs.FpNext = name, 0
	vfs.FxOpen, vfs.FxDelete = pointer(open), pointer(remove)
	if rc := sqlite3.Xsqlite3_vfs_register(tls, ours, 1); rc != sqlite3.SQLITE_OK {
		return errors.New("SQLite refused the VFS")
	}
	return nil
})

// real is what the default VFS does.
var real struct{ open, remove uintptr }

// files are the open files, by their sqlite3_file. Each has its own methods
// of the default VFS, which differ by the kind of file.
var files struct {
	sync.Mutex
	all map[uintptr]openFile
}

type openFile struct {
	path    string
	methods *sqlite3.Tsqlite3_io_methods
	journal bool // new, so that its first sync syncs the folder too
}

type (
	openFunc     = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32
	removeFunc   = func(tls *libc.TLS, vfs, name uintptr, syncDir int32) int32
	closeFunc    = func(tls *libc.TLS, file uintptr) int32
	writeFunc    = func(tls *libc.TLS, file, data uintptr, n int32, off int64) int32
	truncateFunc = func(tls *libc.TLS, file uintptr, size int64) int32
	syncFunc     = func(tls *libc.TLS, file uintptr, flags int32) int32
)

// open opens a file and puts our methods in front of its own.
func open(tls *libc.TLS, vfs, name, f uintptr, flags int32, out uintptr) int32 {
	rc := call[openFunc](real.open)(tls, vfs, name, f, flags, out)
	head := at[sqlite3.Tsqlite3_file](f)
	if rc != sqlite3.SQLITE_OK || head.FpMethods == 0 || name == 0 {
		return rc
	}
	theirs := at[sqlite3.Tsqlite3_io_methods](head.FpMethods)
	ours := libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(*theirs)))
	if ours == 0 {
		return sqlite3.SQLITE_NOMEM
	}
	m := at[sqlite3.Tsqlite3_io_methods](ours)
	*m = *theirs
	m.FxClose, m.FxWrite = pointer(closeFile), pointer(write)
	m.FxTruncate, m.FxSync = pointer(truncate), pointer(syncFile)
	head.FpMethods = ours
	files.Lock()
	defer files.Unlock()
	if files.all == nil {
		files.all = map[uintptr]openFile{}
	}
	const journals = sqlite3.SQLITE_OPEN_MAIN_JOURNAL | sqlite3.SQLITE_OPEN_SUPER_JOURNAL | sqlite3.SQLITE_OPEN_WAL
	files.all[f] = openFile{libc.GoString(name), theirs, flags&sqlite3.SQLITE_OPEN_CREATE != 0 && flags&journals != 0}
	return rc
}

func find(f uintptr) openFile {
	files.Lock()
	defer files.Unlock()
	return files.all[f]
}

func closeFile(tls *libc.TLS, f uintptr) int32 {
	theirs := find(f).methods
	files.Lock()
	delete(files.all, f)
	files.Unlock()
	libc.Xfree(tls, at[sqlite3.Tsqlite3_file](f).FpMethods)
	return call[closeFunc](theirs.FxClose)(tls, f)
}

func write(tls *libc.TLS, f, data uintptr, n int32, off int64) int32 {
	o := find(f)
	rc := call[writeFunc](o.methods.FxWrite)(tls, f, data, n, off)
	if rc == sqlite3.SQLITE_OK {
		record(action{kind: written, path: o.path, off: off, data: bytes.Clone(unsafe.Slice(at[byte](data), n))})
	}
	return rc
}

func truncate(tls *libc.TLS, f uintptr, size int64) int32 {
	o := find(f)
	rc := call[truncateFunc](o.methods.FxTruncate)(tls, f, size)
	if rc == sqlite3.SQLITE_OK {
		record(action{kind: truncated, path: o.path, off: size})
	}
	return rc
}

func syncFile(tls *libc.TLS, f uintptr, flags int32) int32 {
	o := find(f)
	rc := call[syncFunc](o.methods.FxSync)(tls, f, flags)
	if rc == sqlite3.SQLITE_OK {
		record(action{kind: synced, path: o.path})
		if o.journal {
			record(action{kind: folderSynced, path: o.path})
			o.journal = false
			files.Lock()
			files.all[f] = o
			files.Unlock()
		}
	}
	return rc
}

func remove(tls *libc.TLS, vfs, name uintptr, syncDir int32) int32 {
	rc := call[removeFunc](real.remove)(tls, vfs, name, syncDir)
	if rc == sqlite3.SQLITE_OK {
		path := libc.GoString(name)
		record(action{kind: removed, path: path})
		if syncDir != 0 {
			record(action{kind: folderSynced, path: path})
		}
	}
	return rc
}

// at is what stands at an address of SQLite's memory, which the garbage
// collector neither moves nor frees.
func at[T any](p uintptr) *T { return *(**T)(unsafe.Pointer(&p)) }

// pointer and call turn functions into what SQLite, translated to Go, takes
// for C's function pointers, and back. The functions are declared ones, so
// that they stay where they are.
func pointer[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

func call[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&p)) }
