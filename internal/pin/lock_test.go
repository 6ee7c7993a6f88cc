package pin_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/pin"
	"github.com/towpath/towpath/internal/towpath"
)

func TestLock_Format(t *testing.T) {
	commit := strings.Repeat("0a", 20)
	l := &pin.Lock{Version: 1, Entries: []towpath.Pin{
		{Name: "redis:7", Kind: towpath.ExternalImage, Digest: sum},
		{Name: "https://e.com/redis >=1 <2", Kind: towpath.ExternalChart, Version: "1.10", Digest: sum},
		{Name: "git::https://e.com/a?ref=v1", Kind: towpath.ExternalModule, Ref: "refs/tags/v1", Commit: commit},
		{Name: "a/b/c ~> 1", Kind: towpath.ExternalModule, Version: "1.0.0"},
	}}
	want := `# What this project's references from outside stand for. ` + "`towpath lock`" + ` writes it; commit it.
version: 1
entries:
  - name: "a/b/c ~> 1"
    kind: module
    version: "1.0.0"
  - name: "git::https://e.com/a?ref=v1"
    kind: module
    ref: "refs/tags/v1"
    commit: "` + commit + `"
  - name: "https://e.com/redis >=1 <2"
    kind: chart
    version: "1.10"
    digest: ` + sum + `
  - name: "redis:7"
    kind: image
    digest: ` + sum + `
`
	for range 20 {
		rand.Shuffle(len(l.Entries), func(i, k int) { l.Entries[i], l.Entries[k] = l.Entries[k], l.Entries[i] })
		if diff := cmp.Diff(want, string(l.Format())); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		again, err := pin.ParseLock(l.Format())
		if err != nil {
			t.Fatal(err)
		}
		if string(again.Format()) != want {
			t.Fatal("it is not read as it was written")
		}
	}
	empty, err := pin.ParseLock((&pin.Lock{}).Format())
	if err != nil || len(empty.Entries) != 0 {
		t.Error(err)
	}
}

func TestParseLock(t *testing.T) {
	// As it was before entries had kinds.
	if l, err := pin.ParseLock([]byte("version: 1\nentries: [{name: a, digest: '" + sum + "'}]\n")); err != nil || len(l.Entries) != 1 {
		t.Error(err)
	}
	for what, src := range map[string]string{
		"nothing pinned":  "version: 1\nentries: [{name: a}]",
		"no name":         "version: 1\nentries: [{digest: '" + sum + "'}]",
		"a short commit":  "version: 1\nentries: [{name: a, commit: abcdef1}]",
		"a bad digest":    "version: 1\nentries: [{name: a, version: '1', digest: sha256:1}]",
		"another kind":    "version: 1\nentries: [{name: a, kind: jar, version: '1'}]",
		"another version": "version: 2",
		"twice":           "version: 1\nentries: [{name: a, version: '1'}, {name: a, version: '2'}]",
		"no YAML":         "[",
		"too deep":        strings.Repeat("[", 100_000),
	} {
		if _, err := pin.ParseLock([]byte(src)); towpath.KindOf(err) != towpath.KindInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// answers is a resolver that counts, and numbers its answers.
type answers struct {
	mu    sync.Mutex
	asked []string
	fail  string
}

func (a *answers) Resolve(_ context.Context, ref towpath.External) (towpath.Pin, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, ref.String())
	if a.fail != "" && strings.Contains(ref.String(), a.fail) {
		return towpath.Pin{}, towpath.E(towpath.KindNotFound, "", "there is no %s", ref)
	}
	return towpath.Pin{Name: ref.String(), Kind: ref.Kind, Digest: towpath.DigestOf([]byte(fmt.Sprint(len(a.asked), ref)))}, nil
}

func images(names ...string) []pin.Found {
	var out []pin.Found
	for i, n := range names {
		ref, err := pin.Image(n)
		if err != nil {
			panic(err)
		}
		out = append(out, pin.Found{Reference: ref, File: "f", Line: i + 1})
	}
	out[0].Use = "api.first"
	return out
}

func relock(t *testing.T, l *pin.Lock, found []pin.Found, sel pin.Selection, want ...string) (*pin.Lock, []pin.Change) {
	t.Helper()
	a := &answers{}
	u, err := pin.Relock(t.Context(), l, found, sel, a)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(a.asked)
	if diff := cmp.Diff(append([]string{}, want...), append([]string{}, a.asked...)); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	return u.Lock, u.Changes
}

func TestRelock(t *testing.T) {
	found := images("first:1", "second:1", "third@"+sum, "second:1")
	l, changes := relock(t, nil, found, pin.Selection{}, "first:1", "second:1")
	if len(changes) != 2 || len(l.Entries) != 2 {
		t.Fatalf("%v", changes)
	}
	before := string(l.Format())
	t.Run("asks for nothing that is pinned, and changes nothing", func(t *testing.T) {
		again, changes := relock(t, l, found, pin.Selection{})
		if len(changes) != 0 || string(again.Format()) != before {
			t.Errorf("%v", changes)
		}
	})
	t.Run("moves a pin by each of its names, and no other", func(t *testing.T) {
		for _, name := range []string{"first:1", "first", "api.first"} {
			again, changes := relock(t, l, found, pin.Selection{Names: []string{name}}, "first:1")
			second, _ := again.Find("second:1")
			was, _ := l.Find("second:1")
			if len(changes) > 1 || second != was {
				t.Errorf("%v", changes)
			}
		}
		relock(t, l, found, pin.Selection{All: true}, "first:1", "second:1")
	})
	t.Run("adds and takes out what the project's files do", func(t *testing.T) {
		again, changes := relock(t, l, images("first:1", "fourth:2"), pin.Selection{}, "fourth:2")
		if len(changes) != 2 || changes[0].From != nil || !changes[1].Unused || len(again.Entries) != 2 {
			t.Errorf("%v", changes)
		}
	})
	t.Run("asks again for an entry that pins nothing", func(t *testing.T) {
		l := &pin.Lock{Entries: []towpath.Pin{{Name: "first:1", Version: "1"}}}
		relock(t, l, images("first:1"), pin.Selection{}, "first:1")
	})
	t.Run("asks for what an exception frees only by name", func(t *testing.T) {
		free := []string{"second:1"}
		got, changes := relock(t, nil, found, pin.Selection{Free: free}, "first:1")
		if len(changes) != 1 || len(got.Entries) != 1 {
			t.Errorf("%v", changes)
		}
		relock(t, nil, found, pin.Selection{Free: free, All: true}, "first:1")
		relock(t, nil, found, pin.Selection{Free: free, Names: []string{"second"}}, "first:1", "second:1")
		if kept, _ := relock(t, l, found, pin.Selection{Free: free}); string(kept.Format()) != before {
			t.Error("an entry that was there is gone")
		}
	})
	t.Run("without a resolver says what is missing", func(t *testing.T) {
		u, err := pin.Relock(t.Context(), nil, found, pin.Selection{}, nil)
		if err != nil || len(u.Changes) != 2 || u.Changes[0].To != nil || u.Changes[0].Unused {
			t.Errorf("%v, %v", u.Changes, err)
		}
	})
	t.Run("names every failure, and gives no half a lock", func(t *testing.T) {
		u, err := pin.Relock(t.Context(), nil, found, pin.Selection{}, &answers{fail: ":1"})
		if u.Lock != nil || towpath.KindOf(err) != towpath.KindNotFound || !strings.Contains(err.Error(), "first:1") || !strings.Contains(err.Error(), "second:1") {
			t.Errorf("%v", err)
		}
	})
	t.Run("guesses at a misspelt name", func(t *testing.T) {
		_, err := pin.Relock(t.Context(), l, found, pin.Selection{Names: []string{"api.frist"}}, &answers{})
		var e *towpath.Error
		if !errors.As(err, &e) || !strings.Contains(e.Hint, "api.first") {
			t.Errorf("%v", err)
		}
	})
}

func TestJudge(t *testing.T) {
	now := time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	found := images("a:1", "b:1", "b:1")
	found[1].File, found[2].File = "x/f", "y/f"
	except := func(x towpath.PinException) []towpath.PinException {
		x.Reason, x.Until = "because", "2026-03-31"
		return []towpath.PinException{x}
	}
	for _, c := range []struct {
		what       string
		exceptions []towpath.PinException
		at         time.Time
		refused    int
		free       string
	}{
		{"nothing is excepted", nil, now, 3, ""},
		{"a reference, everywhere", except(towpath.PinException{Reference: "b:1"}), now, 1, "b:1"},
		{"files", except(towpath.PinException{Path: "x/**"}), now, 2, ""},
		{"a reference in a file", except(towpath.PinException{Reference: "b:1", Path: "x/f"}), now, 2, ""},
		{"another reference in a file", except(towpath.PinException{Reference: "a:1", Path: "x/f"}), now, 3, ""},
		{"until the end of the day", except(towpath.PinException{Reference: "b:1"}), now.Add(12*time.Hour - 1), 1, "b:1"},
		{"and not after it", except(towpath.PinException{Reference: "b:1"}), now.Add(12 * time.Hour), 3, ""},
	} {
		j := pin.Judge(found, nil, c.exceptions, c.at)
		if len(j.Refused) != c.refused || len(j.Refused)+len(j.Excepted) != 3 || strings.Join(j.Free(), " ") != c.free {
			t.Errorf("%s: refused %v, excepted %v", c.what, j.Refused, j.Excepted)
		}
	}
}

// TestJudge_Edited judges by a lock file that somebody wrote into.
func TestJudge_Edited(t *testing.T) {
	now := time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	commit := strings.Repeat("0a", 20)
	for _, c := range []struct {
		what, source, versions string
		entry                  towpath.Pin
		why                    string
	}{
		{"a branch without its ref", "git::https://e.com/a?ref=main", "", towpath.Pin{Commit: commit}, "towpath.lock does not say whether a tag or a branch is the ref: towpath lock writes it"},
		{"a tag", "git::https://e.com/a?ref=v1", "", towpath.Pin{Commit: commit, Ref: "refs/tags/v1"}, ""},
		{"another version", "a/b/c", "1.4", towpath.Pin{Version: "1.4.9"}, `towpath.lock has 1.4.9, which "1.4" does not allow: towpath lock brings it up to date`},
		{"no version", "a/b/c", "1.4", towpath.Pin{Version: "newest"}, `towpath.lock has newest, which "1.4" does not allow: towpath lock brings it up to date`},
		{"the version", "a/b/c", "1.4", towpath.Pin{Version: "v1.4.0"}, ""},
	} {
		ref, err := pin.Module(c.source, c.versions)
		if err != nil {
			t.Fatal(err)
		}
		c.entry.Name = ref.String()
		lock := &pin.Lock{Entries: []towpath.Pin{c.entry}}
		j := pin.Judge([]pin.Found{{Reference: ref, File: "main.tf"}}, lock, nil, now)
		why := ""
		if len(j.Refused) == 1 {
			why = j.Refused[0].Why
		}
		if why != c.why {
			t.Errorf("%s: %q", c.what, why)
		}
	}
}
