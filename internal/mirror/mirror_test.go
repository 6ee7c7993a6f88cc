package mirror

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/towpath"
)

func TestClean(t *testing.T) {
	good := []towpath.MirrorSource{{From: "ghcr.io/acme/"}, {From: "docker.io"}, {From: "127.0.0.1:5000", PlainHTTP: true}, {From: "localhost"}}
	got, err := clean(good)
	want := []towpath.MirrorSource{{From: "127.0.0.1:5000", PlainHTTP: true}, {From: "docker.io"}, {From: "ghcr.io/acme"}, {From: "localhost"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, bad := range []string{"", "/", "redis", "ghcr.io/Acme", "GHCR.io", "a b.example", "docker.io:x:y", "user:secret@docker.io", "http://docker.io", "docker.io/..", "[::1]:5000"} {
		if _, err := clean([]towpath.MirrorSource{{From: bad}}); towpath.KindOf(err) != towpath.KindInvalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := clean([]towpath.MirrorSource{{From: "docker.io"}, {From: "docker.io/"}}); towpath.KindOf(err) != towpath.KindInvalid {
		t.Errorf("twice: %v", err)
	}
	if _, err := clean(make([]towpath.MirrorSource, maxSources+1)); towpath.KindOf(err) != towpath.KindExhausted {
		t.Errorf("too many: %v", err)
	}
}

func TestCombine(t *testing.T) {
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	d := towpath.DigestOf([]byte("redis"))
	redis := towpath.PinnedImage{Name: "redis:7", Source: "docker.io/library/redis", Digest: d, Repository: "shop/mirror/docker.io/library/redis"}
	odd := towpath.PinnedImage{Name: "[::1]:5000/x", Source: "[::1]:5000/x", Digest: d}
	read := []towpath.ReleaseImages{
		{Candidates: []towpath.CandidateID{"cnd_1"}, Images: []towpath.PinnedImage{redis}, Moving: []string{"x"}},
		{Candidates: []towpath.CandidateID{"cnd_2"}, Images: []towpath.PinnedImage{redis, odd}, Moving: []string{"x"}},
	}
	got := Combine("shop", "sha256:r", read, []towpath.MirroredImage{{Repository: redis.Repository, Digest: d, Done: at}})
	redis.Mirrored = at
	odd.Error = "[::1]:5000/x can't be the name of a repository here"
	want := towpath.ReleaseImages{
		Project: "shop", Release: "sha256:r", Candidates: []towpath.CandidateID{"cnd_1", "cnd_2"},
		Images: []towpath.PinnedImage{odd, redis}, Moving: []string{"x"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
