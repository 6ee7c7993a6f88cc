package agent

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/towpath/towpath/internal/towpath"
)

// entry is one thing in a folder of files, as its layer has it.
type entry struct {
	Path  string         `json:"path"`            // relative, with slashes
	Mode  fs.FileMode    `json:"mode"`            // type and permissions
	Owner *owner         `json:"owner,omitempty"` // nil: of a version that did not write it down
	Sum   towpath.Digest `json:"sum,omitempty"`   // of a file's content
	Link  string         `json:"link,omitempty"`  // where a symbolic link leads
	Stamp stamp          `json:"stamp,omitzero"`  // of a file that has this content
}

// stamp is what the file system says of a file without its content being read.
// Whoever writes to a file or replaces it leaves another one: the time of the
// last change of the inode can't be set.
type stamp struct {
	Inode   uint64 `json:"inode"`
	Size    int64  `json:"size"`
	Written int64  `json:"written"` // nanoseconds since 1970
	Changed int64  `json:"changed"` // likewise, of the inode
}

func stampOf(fi fs.FileInfo) stamp {
	s := stamp{Size: fi.Size(), Written: fi.ModTime().UnixNano()}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		s.Inode, s.Changed = st.Ino, st.Ctim.Nano()
	}
	return s
}

// permissions are all bits that say who may do what with a file: a program that
// has got the bit to run as its owner is another one.
const permissions = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

func permissionsOf(m fs.FileMode) fs.FileMode { return m & permissions }

// owner is whom a file belongs to: whoever that is may write to it, whatever its
// permissions.
type owner struct {
	User  uint32 `json:"user"`
	Group uint32 `json:"group"`
}

func ownerOf(fi fs.FileInfo) owner {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return owner{}
	}
	return owner{User: st.Uid, Group: st.Gid}
}

// mayBe reports whether somebody may own what was put in place for an owner: that
// one, or whoever the agent runs as by now, who was given its folder.
func (o owner) mayBe(now owner) bool {
	return now == o || now == owner{User: uint32(os.Geteuid()), Group: uint32(os.Getegid())} //nolint:gosec // IDs of Linux have 32 bits
}

// manifestFile stands beside the folder that it describes.
const manifestFile = "files.json"

// describe lists everything in a folder.
func describe(ctx context.Context, root string) ([]entry, error) {
	var all []entry
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil || p == root {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		e := entry{Path: within(root, p), Mode: fi.Mode().Type() | permissionsOf(fi.Mode())}
		if fi.Mode()&fs.ModeSymlink == 0 {
			o := ownerOf(fi)
			e.Owner = &o
		}
		switch {
		case fi.Mode().IsRegular():
			e.Stamp = stampOf(fi)
			e.Sum, err = sumOfFile(p, fi.Size())
		case fi.Mode()&fs.ModeSymlink != 0:
			e.Link, err = os.Readlink(p)
		}
		all = append(all, e)
		return err
	})
	return all, err
}

func within(root, p string) string {
	rel, err := filepath.Rel(root, p)
	if err != nil {
		return p
	}
	return filepath.ToSlash(rel)
}

// sumOfFile is the digest of a file that was of a size a moment ago. It follows no
// link, waits for no writer and reads one byte more at most, whatever has come in
// the file's place or grows there.
func sumOfFile(path string, size int64) (towpath.Digest, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !fi.Mode().IsRegular() {
		return "", nil // of no content
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, size+1)); err != nil {
		return "", err
	}
	return towpath.DigestFrom(h.Sum(nil)), nil
}

// writeManifest describes the files of a folder beside them.
func writeManifest(ctx context.Context, dir string) error {
	all, err := describe(ctx, filepath.Join(dir, "root"))
	if err != nil {
		return err
	}
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, manifestFile), b, 0o444)
}

// errUndescribed is of a folder of a version that did not describe what it held.
var errUndescribed = errors.New("nobody described it")

// readManifest reads what a folder held when it was put in place. It is errUndescribed
// only where the marker does not say that somebody described it: what was described and
// can't be read is damaged.
func readManifest(dir string) (all []entry, err error) {
	b, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if errors.Is(err, fs.ErrNotExist) {
		if m, markerErr := readMarker(dir); markerErr == nil && !m.Described {
			return nil, errUndescribed
		}
	}
	return all, err
}
