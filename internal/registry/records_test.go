package registry_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// TestService_DamagedRecords changes what the database has of a tag and of an
// artifact: nobody gets it as if it were right, and a scrub finds it. It mends the
// artifact from its manifest, and the tag by its sum or puts it aside.
func TestService_DamagedRecords(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, registry.Config{})
		ctx := t.Context()
		image := about("", "a", "b")
		subject := towpath.DigestOf(image)
		set := func() {
			t.Helper()
			if err := w.push(image); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Push(ctx, w.ana, registry.PushRequest{Repository: repo, Reference: "v1", Manifest: image}); err != nil {
				t.Fatal(err)
			}
		}
		set()
		if err := w.push(about(subject, "said", "by ana")); err != nil {
			t.Fatal(err)
		}
		// reads is what clients are told, or an error of each that is not.
		reads := func() (said []string, errs int) {
			a, err := w.Manifest(ctx, w.ana, repo, "v1")
			if err != nil {
				errs++
			} else {
				said = append(said, "v1 is "+string(a.Digest)+" "+a.MediaType)
			}
			tags, err := w.Tags(ctx, w.ana, repo, 10, "")
			if err != nil {
				errs++
			} else {
				said = append(said, "tags "+strings.Join(tags.Names, " "))
			}
			all, _, err := w.Referrers(ctx, w.ana, repo, subject, "x/y", "")
			if err != nil {
				errs++
			}
			for _, a := range all {
				said = append(said, "about it "+string(a.Digest)+" "+a.ArtifactType+" "+a.Annotations["said"])
			}
			return said, errs
		}
		right, errs := reads()
		if errs > 0 || len(right) != 3 {
			t.Fatalf("%q, %d errors", right, errs)
		}
		for name, tt := range map[string]struct {
			change   string
			seen     bool // by a client; what is not does no harm to what it gets
			repaired bool
		}{
			"where a tag points":               {`UPDATE registry_tag SET digest = (SELECT digest FROM registry_artifact WHERE subject <> '')`, true, true},
			"a tag's sum":                      {`UPDATE registry_tag SET sum = 'x' || substr(sum, 2)`, true, true},
			"a tag's name":                     {`UPDATE registry_tag SET tag = 'v3', folded = 'v3'`, true, true},
			"two bits of a tag's name":         {`UPDATE registry_tag SET tag = 'v2', folded = 'v2'`, true, false},
			"a tag's sum, all of it":           {`UPDATE registry_tag SET sum = 'x'`, true, false},
			"the order of a tag":               {`UPDATE registry_tag SET folded = 'v3'`, false, true},
			"an annotation":                    {`UPDATE registry_artifact SET doc = replace(doc, 'by ana', 'by bna') WHERE subject <> ''`, true, true},
			"JSON":                             {`UPDATE registry_artifact SET doc = replace(doc, '{', 'z') WHERE subject <> ''`, true, true},
			"a type, by which it is not found": {`UPDATE registry_artifact SET artifact_type = 'x/z' WHERE subject <> ''`, false, true},
			"the media type of an image":       {`UPDATE registry_artifact SET doc = replace(doc, 'image', 'imagd') WHERE subject = ''`, true, true},
		} {
			t.Run(name, func(t *testing.T) {
				n, err := db.Exec(ctx, tt.change)
				if err != nil {
					t.Fatal(err)
				}
				if changed, _ := n.RowsAffected(); changed != 1 {
					t.Fatalf("%d rows were changed", changed)
				}
				said, errs := reads()
				for _, s := range said {
					if !strings.Contains(strings.Join(right, "\n"), s) {
						t.Errorf("a client is told %q", s)
					}
				}
				if (errs > 0) != tt.seen {
					t.Errorf("%d errors", errs)
				}
				if got, err := w.CollectGarbage(ctx, root, registry.Garbage{UntaggedAge: time.Hour}); towpath.KindOf(err) != towpath.KindInternal {
					t.Errorf("garbage was collected by it: %+v, %v", got, err)
				}
				found, err := w.Scrub(ctx, root, registry.ScrubRequest{})
				if err != nil || len(found.Findings) != 1 {
					t.Fatalf("%+v, %v", found, err)
				}
				if f := found.Findings[0]; f.Harm != registry.Damaged || f.Repaired != tt.repaired || f.Record == "" || !f.Repaired && f.Why == "" {
					t.Errorf("%+v", f)
				}
				if tt.repaired {
					if now, errs := reads(); errs > 0 || strings.Join(now, "\n") != strings.Join(right, "\n") {
						t.Errorf("mended: %q, %d errors, want %q", now, errs, right)
					}
				}
				set() // a tag that was put aside can be set again
				if now, errs := reads(); errs > 0 || strings.Join(now, "\n") != strings.Join(right, "\n") {
					t.Errorf("%q, %d errors, want %q", now, errs, right)
				}
				if found, err := w.Scrub(ctx, root, registry.ScrubRequest{}); err != nil || len(found.Findings) != 0 {
					t.Errorf("%+v, %v", found, err)
				}
			})
		}
	})
}

// changed changes one row.
func (w *world) changed(db *sqldb.DB, change string, args ...any) {
	w.t.Helper()
	res, err := db.Exec(w.t.Context(), change, args...)
	if err != nil {
		w.t.Fatal(err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		w.t.Fatalf("%d rows were changed, %v", n, err)
	}
}

// found scrubs and finds one damaged record.
func (w *world) found() registry.Finding {
	w.t.Helper()
	out, err := w.Scrub(w.t.Context(), root, registry.ScrubRequest{})
	records := slices.DeleteFunc(out.Findings, func(f registry.Finding) bool { return f.Record == "" })
	if err != nil || len(records) != 1 {
		w.t.Fatalf("%+v, %v", out, err)
	}
	return records[0]
}

// tag tags a manifest that is there.
func (w *world) tag(r towpath.RepositoryName, tag string, manifest []byte) {
	w.t.Helper()
	if _, err := w.Push(w.t.Context(), w.ana, registry.PushRequest{Repository: r, Reference: tag, Manifest: manifest}); err != nil {
		w.t.Fatal(err)
	}
}

// racing is a store to which somebody comes between reading and writing.
type racing struct {
	registry.Store
	between func()
}

func (r *racing) Update(ctx context.Context, f func(context.Context, registry.Tx) error) error {
	if between := r.between; between != nil {
		r.between = nil
		between()
	}
	return r.Store.Update(ctx, f)
}

// TestService_Scrub_LeavesWhatIsSoundAgain: what is damaged when it is looked for, and
// sound when it would be mended, stays as it is.
func TestService_Scrub_LeavesWhatIsSoundAgain(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, registry.Config{})
		ctx := t.Context()
		image, next := about("", "a", "b"), about("", "c", "d")
		if err := errors.Join(w.push(image), w.push(next)); err != nil {
			t.Fatal(err)
		}
		w.tag(repo, "v1", image)
		for name, tt := range map[string]struct {
			change string
			heal   func() error
		}{
			"a tag that somebody set": {
				`UPDATE registry_tag SET folded = 'x', sum = 'x'`,
				func() error {
					return w.store.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
						return tx.SetTag(ctx, repo, "v1", towpath.DigestOf(next), w.now)
					})
				},
			},
			"a tag that somebody deleted": {
				`UPDATE registry_tag SET digest = (SELECT MIN(digest) FROM registry_artifact a WHERE a.digest <> registry_tag.digest)`,
				func() error { _, err := db.Exec(ctx, `DELETE FROM registry_tag`); return err },
			},
			"an artifact that somebody pushed": {
				`UPDATE registry_artifact SET doc = replace(doc, '{', 'z') WHERE digest = '` + string(towpath.DigestOf(next)) + `'`,
				func() error { return w.push(next) },
			},
		} {
			t.Run(name, func(t *testing.T) {
				w.tag(repo, "v1", image)
				w.changed(db, tt.change)
				before := w.count.of["registry.damaged"]
				between := func() {
					if err := tt.heal(); err != nil {
						t.Error(err)
					}
				}
				s := registry.New(registry.Config{Now: func() time.Time { return w.now }}, &racing{store.For[registry.Tx](w.store), between}, w.blobs, nil, nothing{}, nothing{})
				out, err := s.Scrub(ctx, root, registry.ScrubRequest{})
				if err != nil || len(out.Findings) > 0 || w.count.of["registry.damaged"] > before {
					t.Errorf("%+v, %v; recorded %v", out, err, w.count.of)
				}
				a, err := w.Manifest(ctx, w.ana, repo, "v1")
				switch {
				case name == "a tag that somebody set" && (err != nil || a.Digest != towpath.DigestOf(next)):
					t.Errorf("the tag is gone, or another: %+v, %v", a, err)
				case name == "a tag that somebody deleted" && registry.CodeOf(err) != registry.ManifestUnknown:
					t.Errorf("the tag is back: %+v, %v", a, err)
				}
			})
		}
	})
}

// TestService_Scrub_MendsNothingInUnsoundFiles: what leads to a damaged row may lead to
// a sound one.
func TestService_Scrub_MendsNothingInUnsoundFiles(t *testing.T) {
	db := dbtest.SQLite(t)
	w := newWorld(t, db, registry.Config{})
	image := about("", "a", "b")
	if err := w.push(image); err != nil {
		t.Fatal(err)
	}
	w.tag(repo, "v1", image)
	w.changed(db, `UPDATE registry_reference SET digest = CAST(digest AS BLOB)`)
	refuses := func() {
		t.Helper()
		if _, err := w.CollectGarbage(t.Context(), root, registry.Garbage{}); towpath.KindOf(err) != towpath.KindInternal {
			t.Errorf("garbage was collected: %v", err)
		}
	}
	refuses()
	w.changed(db, `UPDATE registry_tag SET tag = 'v3', folded = 'v3'`)
	out, err := w.Scrub(t.Context(), root, registry.ScrubRequest{})
	if err != nil || len(out.Findings) != 2 || out.Findings[0].Record != "the database" || out.Findings[1].Repaired || w.count.of["registry.damaged"] > 0 {
		t.Errorf("%+v, %v; recorded %v", out, err, w.count.of)
	}
	refuses()
	w.changed(db, `UPDATE registry_reference SET digest = CAST(digest AS TEXT)`)
	if f := w.found(); !f.Repaired {
		t.Errorf("%+v", f)
	}
	if a, err := w.Manifest(t.Context(), w.ana, repo, "v1"); err != nil || a.Digest != towpath.DigestOf(image) {
		t.Errorf("%+v, %v", a, err)
	}
}
