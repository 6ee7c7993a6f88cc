package registry_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/store/migrations"
	"github.com/towpath/towpath/internal/towpath"
)

// TestService_Scrub_BitFlips flips a bit, at random, in the file of an SQLite database,
// scrubs, and collects all garbage that it may. Either that refuses, or every image is
// there, with what is about it, and has its tag, but for tags that the scrub says it put
// aside. It does the same when somebody has SQLite rebuild its indexes.
func TestService_Scrub_BitFlips(t *testing.T) {
	const (
		images   = 40
		flips    = 60
		pageSize = 4096
	)
	ctx := t.Context()
	dir := t.TempDir()
	sound := filepath.Join(dir, "sound.db")
	db, err := sqldb.Open(ctx, sound)
	if err != nil {
		t.Fatal(err)
	}
	if err := sqldb.Migrate(ctx, db, migrations.FS); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, db, registry.Config{})
	var all [images][2][]byte
	for i := range all {
		image := about("", "n", fmt.Sprint(i))
		all[i] = [2][]byte{image, about(towpath.DigestOf(image), "n", fmt.Sprint(i))}
		if err := w.push(image); err != nil {
			t.Fatal(err)
		}
		if err := w.push(all[i][1]); err != nil {
			t.Fatal(err)
		}
		w.tag(repo, fmt.Sprint("v", i), image)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(sound)
	if err != nil {
		t.Fatal(err)
	}
	var pages []int
	for i := range len(content) / pageSize {
		if bytes.Contains(content[i*pageSize:(i+1)*pageSize], []byte(repo)) {
			pages = append(pages, i)
		}
	}
	now := func() time.Time { return w.now.Add(24 * time.Hour) }
	// care scrubs and collects, and reports whether that was done.
	care := func(db *sqldb.DB, where string) bool {
		s := registry.New(registry.Config{Now: now}, store.For[registry.Tx](store.New(db, ledgerless{}, nil)), w.blobs, untouched{}, nothing{}, nothing{})
		scrubbed, err := s.Scrub(ctx, root, registry.ScrubRequest{})
		if err == nil {
			_, err = s.CollectGarbage(ctx, root, registry.Garbage{UntaggedAge: time.Minute})
		}
		if err != nil {
			return false
		}
		for i, two := range all {
			for _, m := range two {
				if _, err := s.Manifest(ctx, root, repo, string(towpath.DigestOf(m))); err != nil {
					t.Errorf("with a bit flipped in %s, %s is lost: %v; %+v", where, m, err, scrubbed)
				}
			}
			a, err := s.Manifest(ctx, root, repo, fmt.Sprint("v", i))
			if err == nil && a.Digest == towpath.DigestOf(two[0]) {
				continue
			}
			if aside := strings.Contains(fmt.Sprintf("%+v", scrubbed.Findings), "set it again"); !aside {
				t.Errorf("with a bit flipped in %s, v%d is %+v, %v; %+v", where, i, a, err, scrubbed)
			}
		}
		return true
	}
	done, rebuilt, refused := 0, 0, 0
	for i := range flips {
		bit := 8*pageSize*pages[rand.IntN(len(pages))] + rand.IntN(8*pageSize)
		path := filepath.Join(dir, fmt.Sprintf("%d.db", i))
		content[bit/8] ^= 1 << (bit % 8)
		err := os.WriteFile(path, content, 0o600)
		where := fmt.Sprintf("%q (bit %d of %d)", content[max(bit/8-40, 0):min(bit/8+40, len(content))], bit%8, bit/8)
		content[bit/8] ^= 1 << (bit % 8)
		if err != nil {
			t.Fatal(err)
		}
		db, err := sqldb.Open(ctx, path)
		if err != nil {
			refused++
			continue
		}
		if care(db, where) {
			done++
		} else if _, err := db.Exec(ctx, `REINDEX`); err == nil && care(db, where) {
			rebuilt++
		} else {
			refused++
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	if done == 0 || rebuilt == 0 {
		t.Errorf("garbage was collected %d times, and %d times after a REINDEX", done, rebuilt)
	}
	t.Logf("%d bits flipped in %d pages: garbage was collected %d times, %d times after a REINDEX, and refused %d times", flips, len(pages), done, rebuilt, refused)
}

// untouched has no uploads.
type untouched struct{ registry.Staging }

func (untouched) Sweep(context.Context, time.Time, func(string) (bool, error)) (int, error) {
	return 0, nil
}
