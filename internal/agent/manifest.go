package agent

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/towpath/towpath/internal/towpath"
)

// entry is one thing in a folder of files, as its layer has it.
type entry struct {
	Path  string         `json:"path"`           // relative, with slashes
	Mode  fs.FileMode    `json:"mode"`           // type and permissions
	Sum   towpath.Digest `json:"sum,omitempty"`  // of a file's content
	Link  string         `json:"link,omitempty"` // where a symbolic link leads
	Stamp stamp          `json:"stamp,omitzero"` // of a file that has this content
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
		e := entry{Path: within(root, p), Mode: fi.Mode().Type() | fi.Mode().Perm()}
		switch {
		case fi.Mode().IsRegular():
			e.Stamp = stampOf(fi)
			e.Sum, err = sumOfFile(p)
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

func sumOfFile(path string) (towpath.Digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
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

// readManifest reads what a folder held when it was put in place; ok is false
// for one of a version that did not describe it.
func readManifest(dir string) (all []entry, ok bool) {
	b, err := os.ReadFile(filepath.Join(dir, manifestFile))
	return all, err == nil && json.Unmarshal(b, &all) == nil
}
