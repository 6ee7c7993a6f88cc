package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

func TestService_Scrub(t *testing.T) {
	each(t, registry.Config{}, func(t *testing.T, w *world) {
		ctx := t.Context()
		var want []registry.Finding
		for i, harm := range []registry.Harm{"", registry.Damaged, registry.Missing, ""} {
			b := fmt.Sprintf("blob %d", i)
			d := towpath.DigestOf([]byte(b))
			if err := w.PutBlob(ctx, w.ana, repo, d, strings.NewReader(b)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(w.dir, "blobs", "sha256", d.Hex()[:2], d.Hex())
			switch harm {
			case registry.Damaged:
				if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte("b1ob 1"), 0o600)); err != nil {
					t.Fatal(err)
				}
			case registry.Missing:
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			default:
				continue
			}
			want = append(want, registry.Finding{Digest: d, Harm: harm, NeededBy: []string{string(repo)}})
		}
		slices.SortFunc(want, func(a, b registry.Finding) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
		got, err := w.Scrub(ctx, root, registry.ScrubRequest{})
		if err != nil || got.Next != "" || got.Checked.Blobs != 3 || fmt.Sprint(got.Findings) != fmt.Sprint(want) {
			t.Fatalf("scrub = %+v, %v, want %v", got, err, want)
		}
		t.Run("after a digest", func(t *testing.T) {
			got, err := w.Scrub(ctx, root, registry.ScrubRequest{After: want[0].Digest})
			if err != nil || len(got.Findings) != 1 || got.Findings[0].Digest != want[1].Digest {
				t.Errorf("%+v, %v", got, err)
			}
		})
		t.Run("again, and the ledger has it once", func(t *testing.T) {
			got, err := w.Scrub(ctx, root, registry.ScrubRequest{})
			if err != nil || len(got.Findings) != 2 || w.count.of["registry.damaged"] != 2 {
				t.Errorf("%+v, %v; recorded %v", got, err, w.count.of)
			}
		})
		t.Run("nobody repairs it without a replica", func(t *testing.T) {
			for _, after := range []towpath.Digest{"", want[0].Digest} {
				got, err := w.Scrub(ctx, root, registry.ScrubRequest{Repair: "eu", After: after})
				if towpath.KindOf(err) != towpath.KindInvalid || len(got.Findings) != 0 {
					t.Errorf("after %q: %+v, %v", after, got, err)
				}
			}
		})
		t.Run("what was damaged is missing then, and pushing it heals it", func(t *testing.T) {
			for i := range 4 {
				b := fmt.Sprintf("blob %d", i)
				if err := w.PutBlob(ctx, w.ana, repo, towpath.DigestOf([]byte(b)), strings.NewReader(b)); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := w.Scrub(ctx, root, registry.ScrubRequest{}); err != nil || len(got.Findings) != 0 || got.Checked.Blobs != 4 {
				t.Errorf("%+v, %v", got, err)
			}
			path := filepath.Join(w.dir, "blobs", "sha256", want[0].Digest.Hex()[:2], want[0].Digest.Hex())
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if got, err := w.Scrub(ctx, root, registry.ScrubRequest{}); err != nil || len(got.Findings) != 1 || w.count.of["registry.damaged"] != 3 {
				t.Errorf("harmed once more: %+v, %v; recorded %v", got, err, w.count.of)
			}
		})
		t.Run("is not for everybody", func(t *testing.T) {
			if _, err := w.Scrub(ctx, w.ana, registry.ScrubRequest{}); towpath.KindOf(err) != towpath.KindForbidden {
				t.Errorf("a releaser may scrub: %v", err)
			}
		})
	})
}

// copies are the replicas of one project.
type copies struct {
	of      towpath.ProjectName
	content map[towpath.Digest]string
}

func (copies) Ready(context.Context, towpath.ReplicationName) error { return nil }

func (c copies) Open(_ context.Context, p towpath.ProjectName, _ towpath.ReplicationName, what towpath.Stored) (io.ReadCloser, error) {
	if p != c.of {
		return nil, towpath.E(towpath.KindNotFound, "test", "%s has no such rule", p)
	}
	return io.NopCloser(strings.NewReader(c.content[what.Digest])), nil
}

// TestService_Scrub_repairsForAny: what many need is repaired from the replica of any
// of them, also of one that a finding does not list.
func TestService_Scrub_repairsForAny(t *testing.T) {
	const text = "what all of them need"
	d := towpath.DigestOf([]byte(text))
	each(t, registry.Config{Replicas: copies{"zoo", map[towpath.Digest]string{d: text}}}, func(t *testing.T, w *world) {
		ctx := t.Context()
		put := func(r towpath.RepositoryName) {
			t.Helper()
			if err := w.PutBlob(ctx, w.ana, r, d, strings.NewReader(text)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 25 {
			put(towpath.RepositoryName(fmt.Sprintf("shop/app%02d", i)))
		}
		lose := func() registry.Finding {
			t.Helper()
			if err := os.Remove(filepath.Join(w.dir, "blobs", "sha256", d.Hex()[:2], d.Hex())); err != nil {
				t.Fatal(err)
			}
			got, err := w.Scrub(ctx, root, registry.ScrubRequest{Repair: "eu"})
			if err != nil || len(got.Findings) != 1 || len(got.Findings[0].NeededBy) != 20 {
				t.Fatalf("%+v, %v", got, err)
			}
			return got.Findings[0]
		}
		if f := lose(); f.Repaired || f.Why == "" {
			t.Errorf("nobody has a replica, and got %+v", f)
		}
		err := w.store.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertProject(ctx, towpath.Project{Name: "zoo", CreatedAt: w.now})
		})
		if err != nil {
			t.Fatal(err)
		}
		put("zoo/app")
		if f := lose(); !f.Repaired {
			t.Errorf("got %+v", f)
		}
	})
}
