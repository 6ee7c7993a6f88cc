package registry_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// TestService_DamagedArtifact_KeepsItsTime: what was said with a key before its time was
// over counts after a scrub too, and nothing becomes older than it is.
func TestService_DamagedArtifact_KeepsItsTime(t *testing.T) {
	const (
		pushed = 0 * time.Hour
		again  = 2 * time.Hour
		scrub  = 400 * 24 * time.Hour
	)
	for name, tt := range map[string]struct {
		set   string // of the signature's row
		again bool   // it was pushed once more
		want  time.Duration
		how   string
	}{
		"beside its time":                        {`doc = replace(doc, 'by ana', 'by bna')`, true, pushed, "from its manifest, pushed at 2026-11-20T12:00:00Z"},
		"JSON":                                   {`doc = replace(doc, '{', 'z')`, true, pushed, "from its manifest, pushed at 2026-11-20T12:00:00Z"},
		"its sum":                                {`sum = 'x' || substr(sum, 2)`, true, pushed, "by its sum"},
		"what it is found by":                    {`artifact_type = 'x/z'`, true, pushed, "by its sum"},
		"its time":                               {`doc = replace(doc, 'T12:00', 'T08:00')`, false, pushed, "from its manifest, pushed at 2026-11-20T12:00:00Z"},
		"its time, and it was pushed again":      {`doc = replace(doc, 'T12:00', 'T08:00')`, true, again, "from its manifest, pushed at 2026-11-20T14:00:00Z"},
		"that it has a time":                     {`doc = replace(doc, 'pushed', 'pvshed')`, true, again, "from its manifest, pushed at 2026-11-20T14:00:00Z"},
		"all times, which are to come":           {`pushed = 4000000000000000, doc = replace(doc, '2026-', '2926-')`, true, scrub, "from its manifest, pushed at 2027-12-25T12:00:00Z"},
		"all times, which were long ago":         {`pushed = 7, doc = replace(doc, '2026-', '1026-')`, true, scrub, "from its manifest, pushed at 2027-12-25T12:00:00Z"},
		"the row's time, and it has no sum":      {`pushed = 7, sum = '', doc = replace(doc, 'x/y', 'x/z')`, true, pushed, "from its manifest, pushed at 2026-11-20T12:00:00Z"},
		"an annotation that looks like the time": {`doc = replace(doc, '"said":"by ana"', '"pushed":"2025-11-20T12:00:00Z"')`, true, pushed, "from its manifest, pushed at 2026-11-20T12:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
				w := newWorld(t, db, registry.Config{})
				ctx, begin := t.Context(), w.now
				subject := towpath.DigestOf([]byte("s"))
				said := about(subject, "said", "by ana")
				if err := w.push(said); err != nil {
					t.Fatal(err)
				}
				last := begin
				if tt.again {
					last = begin.Add(again)
					w.now = last
					if err := w.push(said); err != nil {
						t.Fatal(err)
					}
				}
				w.changed(db, `UPDATE registry_artifact SET `+tt.set)
				w.now = begin.Add(scrub)
				if f := w.found(); !f.Repaired {
					t.Fatalf("%+v", f)
				}
				all, _, err := w.Referrers(ctx, w.ana, repo, subject, "x/y", "")
				if err != nil || len(all) != 1 || !all[0].Pushed.Equal(begin.Add(tt.want)) || all[0].Annotations["said"] != "by ana" {
					t.Errorf("%+v, %v; it is of %s", all, err, begin.Add(tt.want))
				}
				if got := w.count.last["registry.repaired"].Reason; got != tt.how {
					t.Errorf("the ledger says %q", got)
				}
				if strings.Contains(tt.set, "pushed = ") {
					return
				}
				var column int64
				if err := db.QueryRow(ctx, `SELECT pushed FROM registry_artifact`).Scan(&column); err != nil || column != last.UnixMicro() {
					t.Errorf("it was pushed last at %s, %v", time.UnixMicro(column).UTC(), err)
				}
			})
		})
	}
}

const index = "application/vnd.oci.image.index.v1+json"

// twice is accepted by nobody any more.
var twice = []byte(`{"schemaVersion":2,"schemaVersion":2,"manifests":[]}`)

// before puts a manifest into the registry as something before us would have.
func (w *world) before(r towpath.RepositoryName, manifest []byte, subject towpath.Digest) towpath.Digest {
	w.t.Helper()
	d := towpath.DigestOf(manifest)
	_, _, err := w.blobs.Put(w.t.Context(), d, bytes.NewReader(manifest), 1000)
	if err == nil {
		err = w.store.Update(w.t.Context(), func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.OpenRepository(ctx, r, w.now), tx.SaveArtifact(ctx, towpath.Artifact{
				Repository: r, Digest: d, MediaType: index, Size: int64(len(manifest)), Subject: subject, Pushed: w.now, ByClient: true,
			}))
		})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func TestService_DamagedArtifact(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, registry.Config{})
		ctx := t.Context()
		t.Run("that is an index because its sender said so", func(t *testing.T) {
			m := []byte(`{"schemaVersion":2,"annotations":{"a":"b"}}`)
			got, err := w.Push(ctx, w.ana, registry.PushRequest{Repository: repo, Reference: "v1", Manifest: m, ContentType: index})
			if err != nil {
				t.Fatal(err)
			}
			w.changed(db, `UPDATE registry_artifact SET doc = replace(doc, '{', 'z') WHERE digest = $1`, got.Digest)
			if f := w.found(); !f.Repaired {
				t.Errorf("%+v", f)
			}
			if a, err := w.Manifest(ctx, w.ana, repo, "v1"); err != nil || a.MediaType != index {
				t.Errorf("%+v, %v", a, err)
			}
		})
		t.Run("whose row is another's", func(t *testing.T) {
			m := about("", "key", "hit")
			if err := w.push(m); err != nil {
				t.Fatal(err)
			}
			d := towpath.DigestOf(m)
			hit := string(d[:len(d)-1]) + "x"
			harm := func() {
				t.Helper()
				if _, err := db.Exec(ctx, `DELETE FROM registry_reference WHERE artifact = $1`, d); err != nil {
					t.Fatal(err)
				}
				w.changed(db, `UPDATE registry_artifact SET digest = $1 WHERE digest = $2`, hit, d)
			}
			harm()
			if f := w.found(); !f.Repaired {
				t.Errorf("%+v", f)
			}
			if a, err := w.Manifest(ctx, w.ana, repo, string(d)); err != nil || a.Digest != d {
				t.Errorf("%+v, %v", a, err)
			}
			harm()
			if err := w.push(m); err != nil {
				t.Fatal(err)
			}
			if f := w.found(); !f.Repaired {
				t.Errorf("%+v", f)
			}
			if a, err := w.Manifest(ctx, w.ana, repo, string(d)); err != nil || a.Digest != d {
				t.Errorf("%+v, %v", a, err)
			}
			if out, err := w.Scrub(ctx, root, registry.ScrubRequest{}); err != nil || len(out.Findings) > 0 {
				t.Errorf("%+v, %v", out, err)
			}
		})
		t.Run("is mended by who pushes it again, and is as old as it is", func(t *testing.T) {
			subject := towpath.DigestOf([]byte("s"))
			said := about(subject, "said", "by ana")
			if err := w.push(said); err != nil {
				t.Fatal(err)
			}
			was := w.now
			w.changed(db, `UPDATE registry_artifact SET doc = replace(doc, 'by ana', 'by bna') WHERE subject <> ''`)
			w.now = w.now.Add(time.Hour)
			if err := w.push(said); err != nil {
				t.Fatal(err)
			}
			all, _, err := w.Referrers(ctx, w.ana, repo, subject, "x/y", "")
			if err != nil || len(all) != 1 || !all[0].Pushed.Equal(was) || all[0].Annotations["said"] != "by ana" {
				t.Errorf("%+v, %v", all, err)
			}
		})
		t.Run("that nobody can mend is recorded once, and deleted by who manages the server", func(t *testing.T) {
			d := w.before(repo, twice, "")
			harm := func() {
				t.Helper()
				w.changed(db, `UPDATE registry_artifact SET doc = replace(doc, '{', 'z') WHERE digest = $1`, d)
			}
			for range 2 {
				harm()
				before := w.count.of["registry.damaged"]
				for range 3 {
					if f := w.found(); f.Repaired || f.Digest != d || !strings.Contains(f.Why, "delete it by its digest") {
						t.Errorf("%+v", f)
					}
				}
				if n := w.count.of["registry.damaged"] - before; n != 1 {
					t.Errorf("it was recorded %d times", n)
				}
				if _, err := w.CollectGarbage(ctx, root, registry.Garbage{}); towpath.KindOf(err) != towpath.KindInternal {
					t.Errorf("garbage was collected: %v", err)
				}
				if err := w.Delete(ctx, w.ana, repo, string(d)); towpath.KindOf(err) != towpath.KindForbidden {
					t.Errorf("a releaser may delete what nobody knows: %v", err)
				}
				if err := w.Delete(ctx, root, repo, string(d)); err != nil {
					t.Errorf("nobody may delete it: %v", err)
				}
				if out, err := w.Scrub(ctx, root, registry.ScrubRequest{}); err != nil || len(out.Findings) > 0 {
					t.Errorf("%+v, %v", out, err)
				}
				if _, err := w.CollectGarbage(ctx, root, registry.Garbage{}); err != nil {
					t.Error(err)
				}
				w.before(repo, twice, "")
			}
		})
		t.Run("that is about what an environment needs stays", func(t *testing.T) {
			subject := towpath.DigestOf([]byte("needed"))
			d := w.before("shop", twice, subject)
			w.changed(db, `UPDATE registry_artifact SET doc = replace(doc, '{', 'z') WHERE repository = 'shop'`)
			s := registry.New(registry.Config{Now: func() time.Time { return w.now }}, store.For[registry.Tx](w.store), w.blobs, nil, needed(subject), nothing{})
			wantCode(t, s.Delete(ctx, root, "shop", string(d)), registry.Denied)
			if err := w.Delete(ctx, root, "shop", string(d)); err != nil {
				t.Errorf("nothing needs it: %v", err)
			}
		})
	})
}

// needed is a digest that an environment needs.
type needed towpath.Digest

func (n needed) Protected(_ context.Context, _ registry.Tx, _ towpath.ProjectName, d towpath.Digest) (string, error) {
	if d == towpath.Digest(n) {
		return "runs it", nil
	}
	return "", nil
}
