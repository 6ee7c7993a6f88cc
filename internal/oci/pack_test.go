package oci_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

func openRoot(t interface {
	Fatal(...any)
	Cleanup(func())
}, dir string) *os.Root {
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

// write makes files from "name" → content; a content "-> x" is a link, a name
// that ends in / a folder, one that ends in * executable.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, strings.TrimSuffix(name, "*"))
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		switch {
		case err != nil:
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		case strings.HasPrefix(content, "-> "):
			err = os.Symlink(content[3:], path)
		default:
			mode := os.FileMode(0o644)
			if strings.HasSuffix(name, "*") {
				mode = 0o755
			}
			err = os.WriteFile(path, []byte(content), mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func pack(t *testing.T, dir string, paths ...string) ([]byte, oci.Packed) {
	t.Helper()
	var b bytes.Buffer
	p, err := oci.Pack(t.Context(), &b, openRoot(t, dir), paths...)
	if err != nil {
		t.Fatal(err)
	}
	if p.Digest != towpath.DigestOf(b.Bytes()) || p.Size != int64(b.Len()) {
		t.Fatalf("packed %+v of %d bytes with digest %s", p, b.Len(), towpath.DigestOf(b.Bytes()))
	}
	return b.Bytes(), p
}

func sample() map[string]string {
	return map[string]string{
		"bin/api*": "#!/bin/sh\n", "README": "read me", "deep/er/file": "x", "empty/": "",
		"link": "-> bin/api", "deep/up": "-> ../README", "deep/er/ünï": "not ASCII",
		strings.Repeat("long/", 30) + "name": "PAX",
	}
}

func TestPack(t *testing.T) {
	t.Run("gives the bytes that it always gave", func(t *testing.T) {
		// A change of this digest is a change of every release's identity.
		dir := t.TempDir()
		write(t, dir, sample())
		_, p := pack(t, dir, ".")
		const want = "sha256:dfa7b77efedff4decd4aa20e109f8cdbc07426dbf6fd0c7a5a1cd9890efd54ea"
		if p.Digest != want || p.Files != 7 {
			t.Fatalf("packed %+v, want %s", p, want)
		}
	})
	t.Run("gives the same bytes whatever the times, modes, order and place", func(t *testing.T) {
		a, b := t.TempDir(), filepath.Join(t.TempDir(), "else", "where")
		write(t, a, sample())
		old := syscall.Umask(0o077)
		write(t, b, sample())
		syscall.Umask(old)
		for _, name := range []string{"README", "bin/api", "deep"} {
			if err := os.Chtimes(filepath.Join(b, name), time.Unix(1, 0), time.Unix(2, 3)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(filepath.Join(b, "README"), 0o666); err != nil {
			t.Fatal(err)
		}
		x, _ := pack(t, a, ".")
		y, _ := pack(t, b, "link", "README", ".", "deep/er")
		if !bytes.Equal(x, y) {
			t.Fatal("the bytes differ")
		}
	})
	t.Run("says nothing of users, times and modes", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, sample())
		b, _ := pack(t, dir, ".")
		for r := tar.NewReader(bytes.NewReader(b)); ; {
			h, err := r.Next()
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if h.Uid|h.Gid != 0 || h.Uname+h.Gname != "" || h.ModTime.Unix() != oci.Epoch || h.Mode&^0o755 != 0 && h.Typeflag != tar.TypeSymlink {
				t.Fatalf("header %+v", h)
			}
		}
	})
	t.Run("packs only what is asked for, with the folders above it", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, sample())
		b, _ := pack(t, dir, "bin/api", "deep/er")
		list, err := oci.List(t.Context(), bytes.NewReader(b), oci.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range list {
			names = append(names, e.Name)
		}
		if got := strings.Join(names, " "); got != "bin bin/api deep deep/er deep/er/file deep/er/ünï" {
			t.Fatal(got)
		}
	})
}

func TestPack_refuses(t *testing.T) {
	for name, tt := range map[string]struct {
		make  func(dir string) error
		paths []string
		want  string
	}{
		"a pipe":                   {make: func(d string) error { return syscall.Mkfifo(d+"/pipe", 0o600) }, want: "named pipe"},
		"a link out of the root":   {make: func(d string) error { return os.Symlink("../../etc", d+"/l") }, want: "leads out"},
		"an absolute link":         {make: func(d string) error { return os.Symlink("/etc/passwd", d+"/l") }, want: "absolute"},
		"a link down and up again": {make: func(d string) error { return os.Symlink("a/../b", d+"/l") }, want: "goes up after"},
		"a name that is not UTF-8": {make: func(d string) error { return os.WriteFile(d+"/\xff", nil, 0o600) }, want: "not UTF-8"},
		"a path that is not there": {paths: []string{"nothing"}, want: "there is no"},
		"a path out of the root":   {paths: []string{"../x"}, want: "not a path inside"},
		"an absolute path":         {paths: []string{"/etc"}, want: "not a path inside"},
		"a path through a link": {make: func(d string) error {
			return errors.Join(os.Mkdir(d+"/a", 0o700), os.WriteFile(d+"/a/f", nil, 0o600), os.Symlink("a", d+"/l"))
		}, paths: []string{"l/f"}, want: "not a folder"},
		"a socket": {make: func(d string) error {
			l, err := net.Listen("unix", d+"/s")
			if err == nil {
				l.(*net.UnixListener).SetUnlinkOnClose(false)
				err = l.Close()
			}
			return err
		}, want: "socket"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.make != nil {
				if err := tt.make(dir); err != nil {
					t.Fatal(err)
				}
			}
			if tt.paths == nil {
				tt.paths = []string{"."}
			}
			_, err := oci.Pack(t.Context(), io.Discard, openRoot(t, dir), tt.paths...)
			if towpath.KindOf(err) != towpath.KindInvalid || !strings.Contains(err.Error(), tt.want) {
				t.Fatal(err)
			}
		})
	}
	t.Run("to go on when the context ended", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := oci.Pack(ctx, io.Discard, openRoot(t, t.TempDir()), "."); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
}

func TestPack_roundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		name := rapid.StringMatching(`[a-zé]{1,3}(/[a-z.]{0,2}[a-z]){0,3}`)
		files := rapid.MapOfN(name, rapid.SliceOfN(rapid.Byte(), 0, 2000), 0, 8).Draw(r, "files")
		base := t.TempDir()
		src := filepath.Join(base, "src")
		for n, content := range files {
			p := filepath.Join(src, n)
			if os.MkdirAll(filepath.Dir(p), 0o755) != nil || os.WriteFile(p, content, 0o644) != nil {
				continue // one name is a folder of another
			}
		}
		if err := errors.Join(os.MkdirAll(src, 0o755), os.MkdirAll(filepath.Join(base, "dst"), 0o755)); err != nil {
			r.Fatal(err)
		}
		var first, second bytes.Buffer
		if _, err := oci.Pack(t.Context(), &first, openRoot(t, src), "."); err != nil {
			r.Fatal(err)
		}
		dst := openRoot(t, filepath.Join(base, "dst"))
		if _, err := oci.Extract(t.Context(), bytes.NewReader(first.Bytes()), dst, oci.ExtractOptions{}); err != nil {
			r.Fatal(err)
		}
		if _, err := oci.Pack(t.Context(), &second, dst, "."); err != nil {
			r.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			r.Fatal("what was extracted packs differently")
		}
	})
}
