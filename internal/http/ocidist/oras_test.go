package ocidist_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/memory"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/ocitest"
	"github.com/towpath/towpath/internal/towpathtest/pgtest"
)

// orasRepository is a repository as a real client sees it, which logs in by the
// challenge that it gets.
func orasRepository(t testing.TB, target ocitest.Target, name string) *remote.Repository {
	t.Helper()
	host := strings.TrimPrefix(target.URL, "http://")
	repo, err := remote.NewRepository(host + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	store := credentials.NewMemoryStore()
	if err := store.Put(t.Context(), host, auth.Credential{Username: target.User, Password: target.Secret}); err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = true
	repo.Client = &auth.Client{Cache: auth.NewCache(), Credential: credentials.Credential(store)}
	return repo
}

func referrersOf(t testing.TB, repo *remote.Repository, subject v1.Descriptor, artifactType string) []v1.Descriptor {
	t.Helper()
	var all []v1.Descriptor
	err := repo.Referrers(t.Context(), subject, artifactType, func(found []v1.Descriptor) error {
		all = append(all, found...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestClient_Oras has a real client push, pull, attach, list and copy.
func TestClient_Oras(t *testing.T) {
	each(t, func(t *testing.T, r *running) {
		ctx := t.Context()
		target := r.target("ana", towpath.RoleReleaser, towpath.RoleViewer)
		repo := orasRepository(t, target, "shop/oras")

		blob := bytes.Repeat([]byte("content "), 300_000)
		layer, err := oras.PushBytes(ctx, repo, "application/vnd.example.layer", blob)
		if err != nil {
			t.Fatal(err)
		}
		subject, err := oras.PackManifest(ctx, repo, oras.PackManifestVersion1_1, "application/vnd.example", oras.PackManifestOptions{Layers: []v1.Descriptor{layer}})
		if err != nil {
			t.Fatal(err)
		}
		if err := repo.Tag(ctx, subject, "v1"); err != nil {
			t.Fatal(err)
		}
		attach := func(artifactType, note string) v1.Descriptor {
			t.Helper()
			d, err := oras.PackManifest(ctx, repo, oras.PackManifestVersion1_1, artifactType, oras.PackManifestOptions{
				Subject: &subject, ManifestAnnotations: map[string]string{"note": note},
			})
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		attach("application/vnd.example.sbom", "one")
		signature := attach("application/vnd.example.signature", "two")

		t.Run("what was pushed is pulled", func(t *testing.T) {
			local := memory.New()
			got, err := oras.Copy(ctx, repo, "v1", local, "", oras.DefaultCopyOptions)
			if err != nil || got.Digest != subject.Digest {
				t.Fatal(got, err)
			}
			if b, err := content.FetchAll(ctx, local, layer); err != nil || !bytes.Equal(b, blob) {
				t.Errorf("%d bytes, %v", len(b), err)
			}
		})
		t.Run("a pull can go on in the middle", func(t *testing.T) {
			rc, err := repo.Blobs().Fetch(ctx, layer)
			if err != nil {
				t.Fatal(err)
			}
			defer rc.Close()
			seeker, ok := rc.(io.ReadSeeker)
			if !ok {
				t.Fatal("the client does not know that ranges are served")
			}
			if _, err := seeker.Seek(2_000_000, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			if rest, err := io.ReadAll(seeker); err != nil || !bytes.Equal(rest, blob[2_000_000:]) {
				t.Errorf("%d bytes, %v", len(rest), err)
			}
		})
		t.Run("referrers are listed and filtered", func(t *testing.T) {
			if all := referrersOf(t, repo, subject, ""); len(all) != 2 {
				t.Errorf("got %v", all)
			}
			got := referrersOf(t, repo, subject, "application/vnd.example.signature")
			if len(got) != 1 || got[0].Digest != signature.Digest || got[0].Annotations["note"] != "two" {
				t.Errorf("got %v", got)
			}
		})
		t.Run("the client does not fall back to tags", func(t *testing.T) {
			var tags []string
			if err := repo.Tags(ctx, "", func(page []string) error { tags = append(tags, page...); return nil }); err != nil || !slices.Equal(tags, []string{"v1"}) {
				t.Errorf("got %v, %v", tags, err)
			}
		})
		t.Run("a copy with everything about it arrives whole, without sending blobs again", func(t *testing.T) {
			other := orasRepository(t, target, "other/oras")
			opts := oras.DefaultExtendedCopyOptions
			var mounted atomic.Int64
			opts.MountFrom = func(context.Context, v1.Descriptor) ([]string, error) { return []string{"shop/oras"}, nil }
			opts.OnMounted = func(context.Context, v1.Descriptor) error { mounted.Add(1); return nil }
			got, err := oras.ExtendedCopy(ctx, repo, "v1", other, "copied", opts)
			if err != nil || got.Digest != subject.Digest {
				t.Fatal(got, err)
			}
			if mounted.Load() == 0 {
				t.Error("no blob was mounted")
			}
			if all := referrersOf(t, other, subject, ""); len(all) != 2 {
				t.Errorf("got %v", all)
			}
		})
		t.Run("what is deleted is gone", func(t *testing.T) {
			if err := repo.Delete(ctx, signature); err != nil {
				t.Fatal(err)
			}
			if all := referrersOf(t, repo, subject, ""); len(all) != 1 {
				t.Errorf("got %v", all)
			}
		})
	})
}

// TestReferrers_NoneIsLost has eight real clients attach to one subject at once.
func TestReferrers_NoneIsLost(t *testing.T) {
	each(t, func(t *testing.T, r *running) { noneIsLost(t, r, r) })
	t.Run("by two servers over one database and one folder", func(t *testing.T) {
		data, database := t.TempDir(), pgtest.New(t)
		noneIsLost(t, start(t, data, database, nil), start(t, data, database, nil))
	})
}

func noneIsLost(t *testing.T, r, second *running) {
	const clients, attachments = 8, 40
	ctx := t.Context()
	target := r.target("ana", towpath.RoleReleaser, towpath.RoleViewer)
	other := target
	other.URL = second.s.URL()
	repo := orasRepository(t, target, "shop/busy")
	subject, err := oras.PackManifest(ctx, repo, oras.PackManifestVersion1_1, "application/vnd.example", oras.PackManifestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	var wg sync.WaitGroup
	for i := range clients {
		repo := orasRepository(t, []ocitest.Target{target, other}[i%2], "shop/busy")
		wg.Go(func() {
			for j := range attachments {
				d, err := oras.PackManifest(ctx, repo, oras.PackManifestVersion1_1, fmt.Sprintf("application/vnd.example.%d", j%3), oras.PackManifestOptions{
					Subject: &subject, ManifestAnnotations: map[string]string{"n": fmt.Sprintf("%d of %d", j, i)},
				})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acknowledged[string(d.Digest)] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	found := map[string]bool{}
	for _, d := range referrersOf(t, repo, subject, "") {
		found[string(d.Digest)] = true
	}
	lost := 0
	for d := range acknowledged {
		if !found[d] {
			lost++
		}
	}
	if lost > 0 || len(acknowledged) != clients*attachments || len(found) != len(acknowledged) {
		t.Errorf("of %d acknowledged referrers %d are lost, and %d are listed", len(acknowledged), lost, len(found))
	}
}
