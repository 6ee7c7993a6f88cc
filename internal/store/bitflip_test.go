package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/store/migrations"
	"github.com/towpath/towpath/internal/towpath"
)

// artifacts are how many there are, each with a tag and something about it.
const artifacts = 60

// TestStore_BitFlips flips a bit, at random, in the file of an SQLite database, and
// asks for every tag and everything about every artifact: nobody is told what was
// not there, and what is lost, which a page without a checksum can't show, is found by
// what a scrub asks.
func TestStore_BitFlips(t *testing.T) {
	const flips = 400
	dir := t.TempDir()
	sound := filepath.Join(dir, "sound.db")
	records(t, sound)
	right, err := told(t.Context(), sound)
	if err != nil || len(right.said) != 3*artifacts+1 || right.damaged > 0 {
		t.Fatalf("%d answers, %d damaged, %v", len(right.said), right.damaged, err)
	}
	content, err := os.ReadFile(sound)
	if err != nil {
		t.Fatal(err)
	}
	pages := pagesWith(content, string(app))
	lost, refused := 0, 0
	for i := range flips {
		bit := 8*pageSize*pages[rand.IntN(len(pages))] + rand.IntN(8*pageSize)
		path := filepath.Join(dir, fmt.Sprintf("%d.db", i))
		content[bit/8] ^= 1 << (bit % 8)
		err := os.WriteFile(path, content, 0o600)
		content[bit/8] ^= 1 << (bit % 8)
		if err != nil {
			t.Fatal(err)
		}
		got, err := told(t.Context(), path)
		for _, s := range got.said {
			if !slices.Contains(right.said, s) {
				t.Errorf("with bit %d flipped it says %q", bit, s)
			}
		}
		switch {
		case err != nil || got.errs > 0:
			refused++
		case len(got.said) < len(right.said):
			if lost++; got.damaged == 0 {
				lacks := slices.DeleteFunc(slices.Clone(right.said), func(s string) bool { return slices.Contains(got.said, s) })
				t.Errorf("with bit %d flipped, in %q, these are lost and nothing finds it: %q", bit, content[max(bit/8-40, 0):min(bit/8+40, len(content))], lacks)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if refused == 0 {
		t.Error("no flip met what is read")
	}
	t.Logf("%d bits flipped in %d pages: %d refused, %d lost something and were found", flips, len(pages), refused, lost)
}

const pageSize = 4096 // of SQLite, unless somebody chooses another

// pagesWith are the numbers of the pages that have a text.
func pagesWith(content []byte, text string) (out []int) {
	for i := 0; (i+1)*pageSize <= len(content); i++ {
		if bytes.Contains(content[i*pageSize:(i+1)*pageSize], []byte(text)) {
			out = append(out, i)
		}
	}
	return out
}

// records writes a database with artifacts, a tag of each, and something about each.
func records(t *testing.T, path string) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := sqldb.Migrate(t.Context(), db, migrations.FS); err != nil {
		t.Fatal(err)
	}
	s := store.New(db, events{}, nil)
	update(t, s, func(ctx context.Context, tx *store.Tx) error {
		if err := errors.Join(tx.InsertProject(ctx, towpath.Project{Name: "shop", CreatedAt: noon}), tx.OpenRepository(ctx, app, noon)); err != nil {
			return err
		}
		for i := range artifacts {
			a := towpath.Artifact{Repository: app, Digest: towpath.HashOf("image", strconv.Itoa(i)), MediaType: "application/x", Size: 7, Pushed: noon, ByClient: true}
			about := a
			about.Digest, about.Subject, about.ArtifactType = towpath.HashOf("about", strconv.Itoa(i)), a.Digest, "x/y"
			about.Annotations = map[string]string{"says": fmt.Sprint("it is number ", i)}
			if err := errors.Join(tx.SaveArtifact(ctx, a), tx.SaveArtifact(ctx, about), tx.SetTag(ctx, app, fmt.Sprint("v", i), a.Digest, noon)); err != nil {
				return err
			}
		}
		return nil
	})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// answers is what a database says.
type answers struct {
	said    []string
	errs    int // of what was asked, but for what is not there
	damaged int // what a scrub would find
}

func told(ctx context.Context, path string) (out answers, err error) {
	db, err := sqldb.Open(ctx, path)
	if err != nil {
		return out, err
	}
	defer db.Close()
	s := store.New(db, events{}, nil)
	ask := func(f func(ctx context.Context, tx *store.Tx) error) {
		if err := s.View(ctx, f); err != nil && towpath.KindOf(err) != towpath.KindNotFound {
			out.errs++
		}
	}
	for i := range artifacts {
		image := towpath.HashOf("image", strconv.Itoa(i))
		ask(func(ctx context.Context, tx *store.Tx) error {
			d, err := tx.Tag(ctx, app, fmt.Sprint("v", i))
			if err == nil {
				out.said = append(out.said, fmt.Sprintf("tag %d is %s", i, d))
			}
			return err
		})
		ask(func(ctx context.Context, tx *store.Tx) error {
			a, err := tx.Artifact(ctx, app, image)
			if err == nil {
				out.said = append(out.said, fmt.Sprintf("image %d: %+v", i, a))
			}
			return err
		})
		ask(func(ctx context.Context, tx *store.Tx) error {
			all, err := tx.Referrers(ctx, app, image, "x/y", "", 10)
			for _, a := range all {
				out.said = append(out.said, fmt.Sprintf("about %d: %+v", i, a))
			}
			return err
		})
	}
	ask(func(ctx context.Context, tx *store.Tx) error {
		tags, err := tx.Tags(ctx, app, "", 100)
		if err == nil && len(tags) == artifacts {
			out.said = append(out.said, fmt.Sprint("tags ", tags))
		}
		return err
	})
	found := func(n int, err error) {
		if out.damaged += n; err != nil {
			out.damaged++
		}
	}
	ask(func(ctx context.Context, tx *store.Tx) error {
		for after := new(registry.TagKey); after != nil; { // some at a time
			all, next, err := tx.DamagedTags(ctx, *after, 7)
			found(len(all), err)
			after = next
		}
		return nil
	})
	ask(func(ctx context.Context, tx *store.Tx) error {
		for after := new(registry.ArtifactKey); after != nil; {
			all, next, err := tx.DamagedArtifacts(ctx, *after, 7)
			found(len(all), err)
			after = next
		}
		return nil
	})
	ask(func(ctx context.Context, tx *store.Tx) error {
		all, err := tx.Unsound(ctx, 10)
		found(len(all), err)
		return nil
	})
	return out, nil
}
