package registry_test

import (
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// TestService_DamagedRecords changes what the database has of a tag and of an
// artifact: nobody gets it as if it were right, and a scrub finds it, puts the tag
// aside and mends the artifact from its manifest.
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
			"where a tag points":               {`UPDATE registry_tag SET digest = (SELECT digest FROM registry_artifact WHERE subject <> '')`, true, false},
			"a tag's sum":                      {`UPDATE registry_tag SET sum = 'x' || substr(sum, 2)`, true, false},
			"a tag's name":                     {`UPDATE registry_tag SET tag = 'v2', folded = 'v2'`, true, false},
			"the order of a tag":               {`UPDATE registry_tag SET folded = 'v3'`, false, false},
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
