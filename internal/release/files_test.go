package release

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

func TestService_files(t *testing.T) {
	blobs, err := blob.NewDisk(blob.DiskConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	put := func(b []byte) towpath.ReleaseComponent {
		d := towpath.DigestOf(b)
		if _, _, err := blobs.Put(t.Context(), d, bytes.NewReader(b), 1<<20); err != nil {
			t.Fatal(err)
		}
		return towpath.ReleaseComponent{Name: "api", Layer: d, Size: int64(len(b))}
	}
	layer := func(files ...string) towpath.ReleaseComponent { // name=content
		dir := t.TempDir()
		for _, f := range files {
			name, content, _ := strings.Cut(f, "=")
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		var b bytes.Buffer
		if _, err := oci.Pack(t.Context(), &b, root, "."); err != nil {
			t.Fatal(err)
		}
		return put(b.Bytes())
	}
	content := func(c towpath.ReleaseComponent) *towpath.ReleaseContent {
		return &towpath.ReleaseContent{Components: []towpath.ReleaseComponent{c}}
	}
	var many, named []string
	for i := range MaxFiles + 7 {
		many = append(many, fmt.Sprintf("d/%03d=x", i))
		if i < MaxFiles {
			named = append(named, fmt.Sprintf("d/%03d", i))
		}
	}
	first := layer("bin/api=1", "VERSION=1", "old=1")
	large, gone := first, first
	large.Layer, large.Size = towpath.DigestOf([]byte("large")), maxCompared
	gone.Layer = towpath.DigestOf([]byte("gone"))
	for _, c := range []struct {
		name string
		next towpath.ReleaseComponent
		want *FilesDiff
	}{
		{"the same", first, nil},
		{"others", layer("bin/api=2", "VERSION=1", "new=1", "a/b=1"), &FilesDiff{Added: []string{"a/b", "new"}, Removed: []string{"old"}, Changed: []string{"bin/api"}}},
		{"many", layer(slices.Concat(many, []string{"bin/api=1", "VERSION=1", "old=1"})...), &FilesDiff{Added: named, More: 7}},
		{"a layer that is not here", gone, &FilesDiff{Unread: "the files are not compared: a layer is not on this server"}},
		{"a large layer", large, &FilesDiff{Unread: "the files are not compared: the layers of both releases are larger than 1024 MiB"}},
		{"no layer at all", put([]byte("something")), &FilesDiff{Unread: "the files are not compared: "}},
	} {
		left := int64(maxCompared)
		got, err := (&Service{blobs: blobs}).files(t.Context(), content(first), content(c.next), "api", &left)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.want != nil && got != nil && c.want.Unread != "" && strings.HasPrefix(got.Unread, c.want.Unread) {
			continue
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	t.Run("no more than is left is read", func(t *testing.T) {
		next := layer("bin/api=2")
		left := first.Size + next.Size
		for want := range 2 {
			got, err := (&Service{blobs: blobs}).files(t.Context(), content(first), content(next), "api", &left)
			if err != nil || got == nil || (got.Unread != "") != (want == 1) || left != 0 {
				t.Errorf("the time %d: %+v, %v, with %d left", want+1, got, err, left)
			}
		}
	})
	t.Run("what is at another place is not fetched for it", func(t *testing.T) {
		left := int64(maxCompared)
		got, err := (&Service{blobs: far{blobs}}).files(t.Context(), content(first), content(layer("x=1")), "api", &left)
		if err != nil || got == nil || !strings.Contains(got.Unread, "not on this server") {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

// far is a store whose layers are all elsewhere.
type far struct{ blob.Store }

func (far) Away(context.Context, towpath.Digest) (int64, bool, error) { return 1, true, nil }
