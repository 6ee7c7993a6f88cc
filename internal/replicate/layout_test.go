package replicate_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	digest "github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/memory"
	orasoci "oras.land/oras-go/v2/content/oci"
	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/towpath"
)

// TestExport_SameBytes: whatever is exported, read and exported again has the
// same bytes, through a folder too.
func TestExport_SameBytes(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		s := arbitrary(t)
		here := caseFolder(t, dir, n)
		first := export(t, here, "first.tar", s, s.graph(t), "1.0.0", "latest")
		for i, from := range []string{first, export(t, here, "folder", s, s.graph(t), "latest", "1.0.0")} {
			l := must(replicate.OpenLayout(context.Background(), from, replicate.Limits{}))(t)
			if unused := must(l.Check(context.Background()))(t); len(unused) != 0 {
				t.Fatalf("not used: %v", unused)
			}
			g := must(replicate.Walk(context.Background(), l, s.root, quick()))(t)
			again := export(t, here, []string{"archive.tar", "again.tar"}[i], l, g, "latest", "1.0.0")
			if !bytes.Equal(must(os.ReadFile(first))(t), must(os.ReadFile(again))(t)) {
				t.Fatalf("exported from %s it differs", filepath.Base(from))
			}
			must(0, l.Close())(t)
		}
		must(0, os.RemoveAll(here))(t)
	})
}

// TestExport_OtherToolsReadIt has oras read what we write, by name, with
// everything that is about it.
func TestExport_OtherToolsReadIt(t *testing.T) {
	s := story(t)
	for _, name := range []string{"layout.tar", "layout"} {
		path := export(t, t.TempDir(), name, s, s.graph(t), "1.4.0")
		var store oras.ReadOnlyGraphTarget
		// oras looks upward from what it is given only, so it is given the report too.
		if strings.HasSuffix(name, ".tar") {
			store = must(orasoci.NewFromTar(t.Context(), path))(t)
		} else {
			store = must(orasoci.New(path))(t)
		}
		to := memory.New()
		got := must(oras.ExtendedCopy(t.Context(), store, "1.4.0", to, "", oras.DefaultExtendedCopyOptions))(t)
		must(0, oras.ExtendedCopyGraph(t.Context(), store, to, s.report, oras.DefaultExtendedCopyGraphOptions))(t)
		if got.Digest != s.root.Digest {
			t.Errorf("%s: 1.4.0 is %s", name, got.Digest)
		}
		for d, b := range s.content {
			has, err := to.Exists(t.Context(), v1.Descriptor{Digest: d, Size: int64(len(b)), MediaType: mediaTypeOf(s, d)})
			if err != nil || !has {
				t.Errorf("%s: oras did not find %s: %v", name, d, err)
			}
		}
	}
}

func mediaTypeOf(s *shelf, d digest.Digest) string {
	for _, all := range s.about {
		for _, x := range all {
			if x.Digest == d {
				return x.MediaType
			}
		}
	}
	for _, known := range []string{v1.MediaTypeEmptyJSON, "application/vnd.example.layer", v1.MediaTypeImageManifest} {
		if b := string(s.content[d]); (known == v1.MediaTypeEmptyJSON) == (b == "{}") && (known != "application/vnd.example.layer" || !strings.HasPrefix(b, "{")) {
			return known
		}
	}
	return ""
}

// TestOpenLayout_OfOtherTools reads what oras writes.
func TestOpenLayout_OfOtherTools(t *testing.T) {
	s := story(t)
	mine := must(orasoci.New(export(t, t.TempDir(), "layout", s, s.graph(t), "1.4.0")))(t)
	dir := t.TempDir()
	theirs := must(orasoci.New(dir))(t)
	must(oras.ExtendedCopy(t.Context(), mine, "1.4.0", theirs, "v1", oras.DefaultExtendedCopyOptions))(t)
	must(0, oras.ExtendedCopyGraph(t.Context(), mine, theirs, s.report, oras.DefaultExtendedCopyGraphOptions))(t)
	l := open(t, dir)
	_, err := l.Resolve("v2")
	if m, hint := towpath.PublicMessage(err); m != "the layout has nothing of that name (v2)" || !strings.Contains(hint, "it has v1 ("+string(s.root.Digest)+")") {
		t.Errorf("of a name that it does not have it says %q, %q", m, hint)
	}
	root := must(l.Resolve("v1"))(t)
	g := must(replicate.Walk(t.Context(), l, root, quick()))(t)
	if want := s.graph(t); root.Digest != s.root.Digest || len(g.Nodes) != len(want.Nodes) || len(g.Blobs()) != len(want.Blobs()) {
		t.Errorf("found %d manifests and %d blobs, of %d and %d", len(g.Nodes), len(g.Blobs()), len(want.Nodes), len(want.Blobs()))
	}
	must(l.Check(t.Context()))(t)
}

// check opens a layout and verifies all of it.
func check(t testing.TB, path string) ([]string, error) {
	t.Helper()
	l, err := replicate.OpenLayout(t.Context(), path, replicate.Limits{Files: 100})
	if err != nil {
		return nil, err
	}
	unused, err := l.Check(t.Context())
	return unused, errors.Join(err, l.Close())
}

// TestLayout_Damage damages every file of a layout in every way, and expects it
// to be named.
func TestLayout_Damage(t *testing.T) {
	s := story(t)
	layout := export(t, t.TempDir(), "layout", s, s.graph(t), "1.4.0")
	var files []string
	must(0, filepath.WalkDir(filepath.Join(layout, "blobs"), func(p string, e os.DirEntry, err error) error {
		if !e.IsDir() {
			files = append(files, p)
		}
		return err
	}))(t)
	if len(files) != len(s.content) {
		t.Fatalf("%d files of %d", len(files), len(s.content))
	}
	for how, damage := range map[string]func(b []byte) []byte{
		"a bit is flipped": func(b []byte) []byte {
			b = slices.Clone(b)
			if len(b) == 0 {
				return []byte{0}
			}
			b[len(b)/2] ^= 4
			return b
		},
		"the end is missing": func(b []byte) []byte { return b[:max(len(b)-1, 0)] },
		"there is more":      func(b []byte) []byte { return append(slices.Clone(b), ' ') },
		"it is empty":        func([]byte) []byte { return nil },
		"it is gone":         nil,
	} {
		t.Run(how, func(t *testing.T) {
			for _, f := range files {
				good := must(os.ReadFile(f))(t)
				if damage == nil {
					must(0, os.Remove(f))(t)
				} else if bad := damage(good); bytes.Equal(bad, good) {
					continue
				} else {
					must(0, os.WriteFile(f, bad, 0o600))(t)
				}
				_, err := check(t, layout)
				kindIs(t, err, towpath.KindInvalid)
				if message, _ := towpath.PublicMessage(err); !strings.Contains(message, "sha256:"+filepath.Base(f)) && !strings.Contains(message, "sha256/"+filepath.Base(f)) {
					t.Errorf("%s does not name %s", message, filepath.Base(f))
				}
				must(0, os.WriteFile(f, good, 0o600))(t)
			}
		})
	}
	if _, err := check(t, layout); err != nil {
		t.Fatal(err)
	}
}

func TestLayout_NamesWhatIsNotUsed(t *testing.T) {
	s := story(t)
	layout := export(t, t.TempDir(), "layout", s, s.graph(t))
	must(0, os.WriteFile(filepath.Join(layout, "README"), []byte("hello"), 0o600))(t)
	stray := []byte("nobody names this")
	name := "blobs/sha256/" + digest.FromBytes(stray).Encoded()
	must(0, os.WriteFile(filepath.Join(layout, name), stray, 0o600))(t)
	if unused := must(check(t, layout))(t); !slices.Equal(unused, []string{"README", name}) {
		t.Errorf("got %v", unused)
	}
	t.Run("and reads it all the same", func(t *testing.T) {
		must(0, os.WriteFile(filepath.Join(layout, name), []byte("nobody names that"), 0o600))(t)
		_, err := check(t, layout)
		kindIs(t, err, towpath.KindInvalid)
	})
}

// entry is one of a hostile archive.
type entry struct {
	tar.Header
	content string
}

func archiveOf(t testing.TB, entries ...entry) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if e.Typeflag == 0 {
			e.Typeflag = tar.TypeReg
		}
		if e.Size == 0 {
			e.Size = int64(len(e.content))
		}
		must(0, w.WriteHeader(&e.Header))(t)
		must(io.WriteString(w, e.content))(t)
	}
	must(0, w.Flush())(t)
	path := filepath.Join(t.TempDir(), "hostile.tar")
	must(0, os.WriteFile(path, b.Bytes(), 0o600))(t)
	return path
}

func TestOpenLayout_Refuses(t *testing.T) {
	const version, index = `{"imageLayoutVersion":"1.0.0"}`, `{"schemaVersion":2,"manifests":[]}`
	plain := func(name, content string) entry { return entry{Header: tar.Header{Name: name}, content: content} }
	link := func(kind byte, name, target string) entry {
		return entry{Header: tar.Header{Name: name, Typeflag: kind, Linkname: target}}
	}
	folder := func(build func(dir string)) string {
		dir := t.TempDir()
		must(0, os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(version), 0o600))(t)
		must(0, os.WriteFile(filepath.Join(dir, "index.json"), []byte(index), 0o600))(t)
		build(dir)
		return dir
	}
	many := []entry{}
	for i := range 200 {
		many = append(many, plain("f"+strings.Repeat("x", i+1), ""))
	}
	s := story(t)
	whole := must(os.ReadFile(export(t, t.TempDir(), "whole.tar", s, s.graph(t))))(t)
	cut := filepath.Join(t.TempDir(), "cut.tar")
	must(0, os.WriteFile(cut, whole[:len(whole)/2+100], 0o600))(t)
	huge := `{"schemaVersion":2,"manifests":[{"mediaType":"` + v1.MediaTypeImageManifest + `","digest":"sha256:` + strings.Repeat("0", 64) + `","size":999999999}]}`
	for _, tt := range []struct {
		name, path string
		kind       towpath.Kind
		says       string
	}{
		{"what is not there", filepath.Join(t.TempDir(), "none"), towpath.KindNotFound, "there is no layout"},
		{"an empty folder", t.TempDir(), towpath.KindInvalid, "missing"},
		{"an archive without an index", archiveOf(t, plain("oci-layout", version)), towpath.KindInvalid, "index.json"},
		{"an index of nothing", archiveOf(t, plain("oci-layout", version), plain("index.json", index)), towpath.KindInvalid, "names nothing"},
		{"another version", archiveOf(t, plain("oci-layout", `{"imageLayoutVersion":"2.0.0"}`), plain("index.json", index)), towpath.KindInvalid, "version"},
		{"an index that is none", archiveOf(t, plain("oci-layout", version), plain("index.json", `[]`)), towpath.KindInvalid, "not JSON"},
		{"a name that leads out", archiveOf(t, plain("../oci-layout", version)), towpath.KindInvalid, "clean path"},
		{"a name that leads out in the middle", archiveOf(t, plain("blobs/../../x", "x")), towpath.KindInvalid, "clean path"},
		{"an absolute name", archiveOf(t, plain("/etc/passwd", "x")), towpath.KindInvalid, "clean path"},
		{"a symbolic link", archiveOf(t, link(tar.TypeSymlink, "oci-layout", "/etc/passwd")), towpath.KindInvalid, "neither file nor folder"},
		{"a hard link", archiveOf(t, plain("x", version), link(tar.TypeLink, "oci-layout", "x")), towpath.KindInvalid, "neither file nor folder"},
		{"a device", archiveOf(t, link(tar.TypeChar, "index.json", "")), towpath.KindInvalid, "neither file nor folder"},
		{"a file twice", archiveOf(t, plain("oci-layout", version), plain("index.json", index), plain("index.json", index)), towpath.KindInvalid, "twice"},
		{"more files than any has", archiveOf(t, many...), towpath.KindExhausted, "files"},
		{"a manifest larger than any", archiveOf(t, plain("oci-layout", version), plain("index.json", huge)), towpath.KindExhausted, "bytes"},
		{"an archive that is cut off", cut, towpath.KindInvalid, "cut off"},
		{"a folder with a link to a file", folder(func(dir string) { must(0, os.Symlink("/etc/passwd", filepath.Join(dir, "x")))(t) }), towpath.KindInvalid, "neither file nor folder"},
		{"a folder with a link to a folder", folder(func(dir string) { must(0, os.Symlink("/etc", filepath.Join(dir, "blobs")))(t) }), towpath.KindInvalid, "neither file nor folder"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := check(t, tt.path)
			kindIs(t, err, tt.kind)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v does not say %q", err, tt.says)
			}
		})
	}
	t.Run("a compressed archive, with a hint", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "x.tar")
		must(0, os.WriteFile(path, append([]byte{0x1f, 0x8b, 8}, make([]byte, 2000)...), 0o600))(t)
		_, err := check(t, path)
		kindIs(t, err, towpath.KindInvalid)
		if _, hint := towpath.PublicMessage(err); !strings.Contains(hint, "unpack it") {
			t.Errorf("hint: %q", hint)
		}
	})
}

// failing is a source whose connection breaks once in the middle of each blob.
type failing struct {
	*shelf
	broke map[digest.Digest]bool
}

func (f *failing) Blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	r, err := f.shelf.Blob(ctx, d)
	if f.broke[d.Digest] || err != nil {
		return r, err
	}
	f.broke[d.Digest] = true
	return io.NopCloser(io.MultiReader(io.LimitReader(r, d.Size/2), brokenOff{})), nil
}

type brokenOff struct{}

func (brokenOff) Read([]byte) (int, error) {
	return 0, towpath.E(towpath.KindUnavailable, "test", "the connection broke off")
}

func TestExport_SourceBreaksOff(t *testing.T) {
	s := story(t)
	dir := t.TempDir()
	good := export(t, dir, "good.tar", s, s.graph(t))
	f := &failing{shelf: s, broke: map[digest.Digest]bool{}}
	again := export(t, dir, "again.tar", f, s.graph(t))
	if !bytes.Equal(must(os.ReadFile(good))(t), must(os.ReadFile(again))(t)) {
		t.Error("they differ")
	}
	if len(f.broke) < 5 {
		t.Errorf("only %d connections broke off", len(f.broke))
	}
}

// TestExport_LeavesNothing: what can't be exported leaves nothing behind.
func TestExport_LeavesNothing(t *testing.T) {
	for _, name := range []string{"layout.tar", "layout"} {
		s := story(t)
		g := s.graph(t)
		s.content[g.Blobs()[1].Digest] = []byte("something else")
		dir := t.TempDir()
		_, err := replicate.Export(t.Context(), s, g, nil, filepath.Join(dir, name), quick())
		kindIs(t, err, towpath.KindInvalid)
		if left := must(os.ReadDir(dir))(t); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	}
}
