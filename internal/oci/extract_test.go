package oci_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// archive writes headers, each with as many bytes of content as it says.
func archive(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(name string, size int64) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644}
}

func dir(name string) tar.Header {
	return tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755}
}

func link(name, target string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}
}

func TestExtract(t *testing.T) {
	src := t.TempDir()
	write(t, src, sample())
	layer, packed := pack(t, src, ".")

	t.Run("gives read-only files that a later RemoveTree removes", func(t *testing.T) {
		base := t.TempDir()
		dest := filepath.Join(base, "files")
		if err := os.Mkdir(dest, 0o755); err != nil {
			t.Fatal(err)
		}
		got, err := oci.Extract(t.Context(), bytes.NewReader(layer), openRoot(t, dest), oci.ExtractOptions{ReadOnly: true, Sync: true})
		if err != nil || got.Files != packed.Files || got.Bytes != packed.Bytes {
			t.Fatalf("extracted %+v, %v", got, err)
		}
		for name, want := range map[string]fs.FileMode{".": 0o555, "bin": 0o555, "bin/api": 0o555, "README": 0o444, "empty": 0o555} {
			if info, err := os.Stat(filepath.Join(dest, name)); err != nil || info.Mode().Perm() != want {
				t.Fatalf("%s has mode %v, %v", name, info.Mode(), err)
			}
		}
		if target, err := os.Readlink(filepath.Join(dest, "deep/up")); err != nil || target != "../README" {
			t.Fatalf("link %q, %v", target, err)
		}
		for range 2 {
			if err := oci.RemoveTree(dest); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := os.Stat(dest); !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	})
	t.Run("notices that the layer is cut off, anywhere", func(t *testing.T) {
		for n := 0; n < len(layer); n += 256 {
			_, err := oci.Extract(t.Context(), bytes.NewReader(layer[:n]), openRoot(t, t.TempDir()), oci.ExtractOptions{})
			if towpath.KindOf(err) != towpath.KindInvalid {
				t.Fatalf("cut at %d: %v", n, err)
			}
		}
	})
	t.Run("passes an error of the source on", func(t *testing.T) {
		damaged := towpath.E(towpath.KindInternal, "blob.read", "damaged")
		r := io.MultiReader(bytes.NewReader(layer[:len(layer)/2]), iotest.ErrReader(damaged))
		if _, err := oci.Extract(t.Context(), r, openRoot(t, t.TempDir()), oci.ExtractOptions{}); !errors.Is(err, damaged) {
			t.Fatal(err)
		}
		r = io.MultiReader(bytes.NewReader(layer[:700]), iotest.ErrReader(io.ErrClosedPipe))
		_, err := oci.Extract(t.Context(), r, openRoot(t, t.TempDir()), oci.ExtractOptions{})
		if towpath.KindOf(err) != towpath.KindUnavailable {
			t.Fatal(err)
		}
	})
	t.Run("does not write over what is there", func(t *testing.T) {
		dest := t.TempDir()
		write(t, dest, map[string]string{"README": "mine"})
		_, err := oci.Extract(t.Context(), bytes.NewReader(layer), openRoot(t, dest), oci.ExtractOptions{})
		if towpath.KindOf(err) != towpath.KindConflict {
			t.Fatal(err)
		}
	})
}

func TestExtract_refuses(t *testing.T) {
	for name, tt := range map[string]struct {
		layer  []byte
		limits oci.Limits
		kind   towpath.Kind
		want   string
	}{
		"a name that goes up":        {layer: archive(t, file("../x", 1)), want: `"../x" leads out`},
		"a name with .. inside":      {layer: archive(t, dir("a"), file("a/../x", 1)), want: "not a clean path"},
		"an absolute name":           {layer: archive(t, file("/etc/x", 1)), want: "absolute"},
		"an absolute link":           {layer: archive(t, link("l", "/etc")), want: `"l" has an absolute target`},
		"a link out":                 {layer: archive(t, dir("a"), link("a/l", "../../x")), want: "leads out of the root"},
		"a link out through another": {layer: archive(t, dir("a"), link("a/l", "."), link("m", "a/l/../..")), want: "goes up after"},
		"a file below a link":        {layer: archive(t, dir("a"), link("l", "a"), file("l/f", 1)), want: `"l", which is not a folder`},
		"a file below a file":        {layer: archive(t, file("f", 1), file("f/g", 1)), want: "not a folder"},
		"a file in no folder":        {layer: archive(t, file("a/f", 1)), want: "not a folder of the layer"},
		"a hard link":                {layer: archive(t, file("f", 1), tar.Header{Typeflag: tar.TypeLink, Name: "h", Linkname: "f"}), want: `"h" is a hard link`},
		"a device":                   {layer: archive(t, tar.Header{Typeflag: tar.TypeChar, Name: "null", Devmajor: 1, Devminor: 3}), want: "device"},
		"a block device":             {layer: archive(t, tar.Header{Typeflag: tar.TypeBlock, Name: "sda"}), want: "device"},
		"a pipe":                     {layer: archive(t, tar.Header{Typeflag: tar.TypeFifo, Name: "p"}), want: "named pipe"},
		"a name twice":               {layer: archive(t, file("f", 1), file("f", 1)), want: `"f" comes twice`},
		"a folder twice":             {layer: archive(t, dir("d"), dir("d")), want: "twice"},
		"a folder that was a link":   {layer: archive(t, link("d", "."), dir("d")), want: "twice"},
		"an empty name":              {layer: archive(t, file(".", 1)), want: "not a clean path"},
		"something after the end":    {layer: append(archive(t, file("f", 1)), "more"...), want: "after its end"},
		"padding after the end":      {layer: append(archive(t, file("f", 1)), make([]byte, 512)...), want: "after its end"},
		"nothing at all":             {layer: nil, want: "cut off"},
		"no archive":                 {layer: bytes.Repeat([]byte("x"), 2048), want: "well-formed"},
		"a name that is not UTF-8":   {layer: archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "a\xffb", Format: tar.FormatGNU}), want: "not UTF-8"},
		"too many entries":           {layer: archive(t, file("a", 0), file("b", 0), file("c", 0)), limits: oci.Limits{Entries: 2}, kind: towpath.KindExhausted, want: "more than 2 entries"},
		"too many bytes":             {layer: archive(t, file("a", 4000)), limits: oci.Limits{Bytes: 2000}, kind: towpath.KindExhausted, want: "larger than 2000 bytes"},
		"a name too deep":            {layer: archive(t, dir("a"), dir("a/b"), file("a/b/c", 1)), limits: oci.Limits{Depth: 2}, kind: towpath.KindExhausted, want: `"a/b/c" is deeper`},
		"a name too long":            {layer: archive(t, file(strings.Repeat("n", 90), 1)), limits: oci.Limits{NameLen: 80}, kind: towpath.KindExhausted, want: "longer than 80"},
		"a part of a name too long":  {layer: archive(t, file(strings.Repeat("n", 300), 1)), kind: towpath.KindExhausted, want: "file system"},
		"a link's target too long":   {layer: archive(t, link("l", strings.Repeat("n", 90))), limits: oci.Limits{NameLen: 80}, kind: towpath.KindExhausted, want: "target"},
		"a sparse bomb":              {layer: sparseBomb(t), want: "sparse"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.kind == "" {
				tt.kind = towpath.KindInvalid
			}
			base := t.TempDir()
			dest := filepath.Join(base, "in", "here")
			if err := os.MkdirAll(dest, 0o755); err != nil {
				t.Fatal(err)
			}
			_, err := oci.Extract(t.Context(), bytes.NewReader(tt.layer), openRoot(t, dest), oci.ExtractOptions{Limits: tt.limits})
			if towpath.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("%v (kind %s)", err, towpath.KindOf(err))
			}
			if entries, err := os.ReadDir(filepath.Join(base, "in")); err != nil || len(entries) != 1 {
				t.Fatalf("something was written outside: %v, %v", entries, err)
			}
		})
	}
}

// sparseBomb is a PAX 1.0 sparse file: a few hundred bytes that say that they
// stand for 1 TiB.
func sparseBomb(t testing.TB) []byte {
	t.Helper()
	records := ""
	for _, kv := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=bomb", "GNU.sparse.realsize=1099511627776"} {
		n := len(kv) + 4
		if n >= 100 {
			t.Fatal("the length of a record has two digits here")
		}
		records += string(rune('0'+n/10)) + string(rune('0'+n%10)) + " " + kv + "\n"
	}
	x := archive(t, file("PaxHeaders/x", int64(len(records))))
	copy(x[512:], records)
	x[156] = 'x' // the type of its header
	checksum(x[:512])
	content := archive(t, file("bomb", 512))
	copy(content[512:], "0\n") // no data at all
	return append(x[:1024], content...)
}

func checksum(header []byte) {
	copy(header[148:156], "        ")
	sum := 0
	for _, b := range header {
		sum += int(b)
	}
	for i := 5; i >= 0; i-- {
		header[148+i] = byte('0' + sum&7)
		sum >>= 3
	}
	header[154] = 0
}

func FuzzExtract(f *testing.F) {
	f.Add(archive(f, dir("a"), file("a/f", 700), link("a/l", "f"), link("m", "a/l")))
	f.Add(archive(f, file("../x", 1)))
	f.Add(archive(f, file(strings.Repeat("long/", 40)+"x", 1)))
	f.Add(sparseBomb(f))
	f.Fuzz(func(t *testing.T, layer []byte) {
		base := t.TempDir()
		dest := filepath.Join(base, "a", "b")
		if err := os.MkdirAll(dest, 0o755); err != nil {
			t.Fatal(err)
		}
		limits := oci.Limits{Bytes: 1 << 20, Entries: 100, Depth: 10, NameLen: 200}
		_, err := oci.Extract(t.Context(), bytes.NewReader(layer), openRoot(t, dest), oci.ExtractOptions{Limits: limits})
		for _, outside := range []string{base, filepath.Dir(dest)} {
			if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
				t.Fatalf("something was written outside: %v, %v", entries, err)
			}
		}
		if err != nil {
			var known *towpath.Error
			if !errors.As(err, &known) || known.Message == "" {
				t.Fatalf("an error that says nothing: %v", err)
			}
			return
		}
		walkInside(t, dest)
		var again bytes.Buffer
		if _, err := oci.Pack(t.Context(), &again, openRoot(t, dest), "."); err != nil {
			t.Fatalf("what was extracted can't be packed: %v", err)
		}
		if _, err := oci.List(t.Context(), bytes.NewReader(layer), limits); err != nil {
			t.Fatalf("what was extracted can't be listed: %v", err)
		}
	})
}

// walkInside fails if a link leads out of dir.
func walkInside(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink == 0 {
			return err
		}
		real, err := filepath.EvalSymlinks(path)
		if err == nil && real != dir && !strings.HasPrefix(real, dir+"/") {
			t.Fatalf("%s leads to %s", path, real)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
